"""The sources of the map page, and how they and a map's data become one offline HTML file."""

import base64
import gzip
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.pages import render_template
from kgtextvec.report.map.colouring import Colouring, name_places

BROWSER = Path(__file__).parent / "browser"  # what the page is made of
MODULES = (  # a module comes after those it imports
    "colours",
    "roving_tabindex",
    "data",
    "camera",
    "scene",
    "overlay",
    "legend",
    "search",
    "details",
    "selection",
    "interaction",
    "share",
    "main",
)
LAYOUT_NAMES = {"tsne": "t-SNE", "umap": "UMAP"}
TEXT_LENGTH = 300
NAME_LENGTH = 200
LIST_LENGTH = 10  # neighbours shown per point


@dataclass(frozen=True)
class MapData:
    """What a map page shows of n points; arrays are in the order of `rows` (n,), table rows.

    `positions` is layout name -> (n, 2) float32; `neighbours` (n, k) numbers points, not table
    rows, with `cosines` (n, k), falling. `texts` has one text per point, or is None. The first of
    `columns` colours the map at first.
    """

    title: str
    facts: str
    note: str
    rows: NDArray[np.int64]
    ids: list[str]
    names: list[str]
    texts: list[str] | None
    columns: list[Colouring]
    positions: dict[str, NDArray[np.float32]]
    neighbours: NDArray[np.int32]
    cosines: NDArray[np.float32]


def render_map_page(data: MapData) -> str:
    """Return the map page as one HTML text that asks nothing of any network.

    Whatever comes from the table is base64 of gzip, or escaped: it can't become markup or script.
    """
    from markupsafe import Markup

    return render_template(
        "report/map/browser/map.html",
        title=data.title,
        script=Markup(join_modules()),  # noqa: S704
        blocks={name: pack_block(content) for name, content in data_blocks(data).items()},
    )


def join_modules() -> str:
    """Return our JavaScript modules as one script, each in a scope of its own.

    A minimal bundler: every module becomes a function that returns its exports. So the page needs
    no server (browsers load no modules from file://), and this package no Node.js.
    """
    parts = ['"use strict";']
    for name in MODULES:
        source = (BROWSER / f"{name}.js").read_text("utf-8")
        source = re.sub(
            r'^import \{ ([^}]+) \} from "\./(\w+)\.js";$',
            r"const { \1 } = module_\2;",
            source,
            flags=re.MULTILINE,
        )
        exported = re.findall(
            r"^export (?:async )?(?:function|class|const) (\w+)", source, flags=re.MULTILINE
        )
        source = re.sub(r"^export ", "", source, flags=re.MULTILINE)
        ending = f"return {{ {', '.join(exported)} }};"
        parts.append(f"const module_{name} = (() => {{\n{source}\n{ending}\n}})();")
    return "\n".join(parts)


def pack_block(content: bytes) -> str:
    """Return bytes as base64 of gzip, the same on every run."""
    return base64.b64encode(gzip.compress(content, compresslevel=9, mtime=0)).decode()


def planes(numbers: NDArray[Any]) -> bytes:
    """Return unsigned numbers as all their low bytes, then all next ones: that packs better."""
    little = np.ascontiguousarray(numbers).astype(numbers.dtype.newbyteorder("<")).reshape(-1)
    return little.view(np.uint8).reshape(-1, numbers.dtype.itemsize).T.tobytes()


def compact_json(value: Any) -> bytes:
    """Return a value as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )


def data_blocks(data: MapData) -> dict[str, bytes]:
    """Return the data blocks of a page by name, points ordered along the first layout.

    Points close to each other then have close numbers, and the differences of neighbours' numbers
    are small: they are the largest block.
    """
    first = next(iter(data.positions.values()))
    order = along_a_curve(squared(first))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    count = len(order)
    k = min(LIST_LENGTH, data.neighbours.shape[1])
    near = place[data.neighbours[order, :k]] - np.arange(count)[:, None]
    falling = np.rint((data.cosines[order, :k].astype(np.float64) + 1) * 10000).astype(np.int64)
    falling[:, 1:] = falling[:, :-1] - falling[:, 1:]
    about = {
        "count": count,
        "k": k,
        "facts": data.facts,
        "note": data.note,
        "column": 0,
        "layouts": [{"key": key, "name": LAYOUT_NAMES[key]} for key in data.positions],
        "columns": [
            {
                "name": column.name,
                "kind": column.kind,
                "groups": [shorten(group, NAME_LENGTH) for group in column.groups],
                "counts": column.counts,
                "others": column.others,
                "places": [page_places(places, column) for places in data.positions.values()],
                "colours": {
                    "light": [column.colour(code).light for code in range(len(column.groups))],
                    "dark": [column.colour(code).dark for code in range(len(column.groups))],
                },
                "shapes": [column.shape(code) for code in range(len(column.groups))],
            }
            for column in data.columns
        ],
        "texts": data.texts is not None,
    }
    blocks = {
        "about": compact_json(about),
        "ids": compact_json([shorten(data.ids[at], NAME_LENGTH) for at in order]),
        "names": compact_json([shorten(data.names[at], NAME_LENGTH) for at in order]),
        "rows": planes(data.rows[order].astype(np.uint32)),
        "neighbours": planes(zigzag(near.T)),
        "cosines": planes(falling.T.astype(np.uint16)),
    }
    for key, positions in data.positions.items():
        blocks[key] = planes(squared(positions)[order].T)
    for at, column in enumerate(data.columns):
        blocks[f"column-{at}"] = column.codes[order].tobytes()
    if data.texts is not None:
        short = [shorten(data.texts[at], TEXT_LENGTH) for at in order]
        distinct = {text: at for at, text in enumerate(dict.fromkeys(short))}
        blocks["texts"] = compact_json(list(distinct))
        blocks["text-of"] = planes(np.array([distinct[text] for text in short], dtype=np.uint32))
    return blocks


def page_places(positions: NDArray[np.float32], column: Colouring) -> list[list[float] | None]:
    """Return where to write the groups' names in the square of -1 to 1 that the page shows."""
    middle, half = frame(positions)
    return [
        [round((value - centre) / half, 4) for value, centre in zip(place, middle, strict=True)]
        if place
        else None
        for place in name_places(positions, column)
    ]


def shorten(text: str, length: int) -> str:
    """Cut a text to at most `length` characters, the last one an ellipsis if it was longer."""
    return text if len(text) <= length else text[: length - 1] + "…"


def frame(positions: NDArray[np.float32]) -> tuple[list[float], float]:
    """Return the middle of (n, 2) positions and half the side of the square that holds them."""
    low, high = positions.min(axis=0).astype(np.float64), positions.max(axis=0).astype(np.float64)
    return ((low + high) / 2).tolist(), max(float((high - low).max()) / 2, 1e-12)


def squared(positions: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Scale (n, 2) positions into 0 ... 65535, both axes alike, centred."""
    middle, half = frame(positions)
    scaled = (positions.astype(np.float64) - middle + half) / (2 * half)
    return np.asarray(np.rint(scaled * 65535), dtype=np.uint16)


def along_a_curve(places: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Order (n, 2) places along a Z-shaped curve (Morton order): close ones come close."""
    code = np.zeros(len(places), dtype=np.uint64)
    for bit in range(16):
        for axis in (0, 1):
            taken = (places[:, axis].astype(np.uint64) >> np.uint64(bit)) & np.uint64(1)
            code |= taken << np.uint64(2 * bit + axis)
    return np.argsort(code, kind="stable")


def zigzag(numbers: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Write integers of either sign as 0, 1, 2, 3 … for 0, -1, 1, -2 …."""
    return ((numbers << 1) ^ (numbers >> 63)).astype(np.uint32)
