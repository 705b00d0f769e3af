"""The verb draw-map: a space laid out in two dimensions, as a page and as pictures."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kgtextvec.errors import InputError
from kgtextvec.files import whole_file
from kgtextvec.matrices import blocks, rows_per_block, take_rows
from kgtextvec.progress import say
from kgtextvec.settings.edges import EdgeReading, EdgesFlag, edges_of_json
from kgtextvec.settings.spaces import MapLayout
from kgtextvec.space import Space, checked_space
from kgtextvec.text_shards import shards_of_texts
from kgtextvec.triples import read_columns

LAYOUT_METHODS = ("tsne", "umap")


def draw_map(
    space_dir: Annotated[Path, "folder with embeddings.npy, index.parquet, manifest.json"],
    *,
    out_dir: Annotated[Path | None, "folder to write to (default: the space's)"] = None,
    title: Annotated[str, "title (default: model and table)"] = "",
    layout: MapLayout = MapLayout(),
    color_by: Annotated[str, "index column that gives the colours"] = "label",
    texts: Annotated[
        Path | None, "folder of text shards (results/texts/TABLE/shards), to show the texts"
    ] = None,
    triples: Annotated[list[Path], "the graph's edges: colour by degree too"] = [],  # noqa: B006
    edges: EdgesFlag = "",
) -> None:
    """Lay a space out in two dimensions and draw it.

    Writes map.html, map.png, map.svg and layout.parquet: all or none. The neighbours that the page
    lists are those of highest cosine in `embeddings.npy`. Above `layout.max_points` rows, a sample
    is laid out, the other rows are placed among it, and the page has no neighbours and no texts.
    Same input and seed give the same bytes. Raises InputError for a space that is incomplete, has
    no rows or contains NaN, and for an unknown column.
    """
    from kgtextvec.report.map.colouring import colourings
    from kgtextvec.report.map.layout import PERPLEXITY, compute_layouts, nearest, unit_vectors
    from kgtextvec.report.map.page import LIST_LENGTH, MapData, render_map_page
    from kgtextvec.report.map.picture import draw_picture

    seed, wanted = layout.seed, layout.layouts
    space = checked_space(space_dir)
    if not space.rows:
        raise InputError(f"{space_dir}: no rows, so there is nothing to draw. Look at the table.")
    index = space.read_index()
    if triples and "degree" not in index.column_names:
        index = index.append_column(
            "degree", pa.array(degrees(triples, index, edges_of_json(edges)))
        )
    if color_by not in index.column_names:
        raise InputError(
            f"{space.index_path}: no column '{color_by}' to colour by."
            f" Choose one of {', '.join(index.column_names)}."
        )
    rows = sampled(space.rows, layout.max_drawn, seed)
    laid_out = rows[sampled(len(rows), layout.max_points, seed)]
    shown = index.take(pa.array(rows))
    say(f"draw-map: {len(rows):,} of {space.rows:,} rows, {space.dims} dimensions")
    with space.vectors_checked():
        units = unit_vectors(finite_rows(space, laid_out))
        if len(laid_out) < len(rows):
            refuse_nan_anywhere(space)
    k = max(3 * PERPLEXITY if "tsne" in wanted else 0, 14 if "umap" in wanted else 0, LIST_LENGTH)
    found, cosines = nearest(units, k, seed)
    positions = compute_layouts(units, found, cosines, wanted, seed)
    if len(laid_out) < len(rows):
        positions = with_others(space, rows, laid_out, units, positions, seed)
        texts = None
        found, cosines = np.empty((len(rows), 0), np.int32), np.empty((len(rows), 0), np.float32)
    columns = colourings(shown, color_by)
    title = title or default_title(space)
    facts = facts_of(space)
    note = note_of(len(laid_out), len(rows), space.rows)
    page = render_map_page(
        MapData(
            title=title,
            facts=facts,
            note=note,
            rows=rows,
            ids=as_texts(shown, "id"),
            names=as_texts(shown, "name"),
            texts=find_texts(texts, as_texts(shown, "text_sha256")) if texts else None,
            columns=columns,
            positions=positions,
            neighbours=found,
            cosines=cosines,
        )
    )
    out = out_dir or space_dir
    with ExitStack() as stack:
        parts = {
            name: stack.enter_context(whole_file(out / name, record_digest=True))
            for name in ("layout.parquet", "map.html", "map.png", "map.svg")
        }
        about = {"seed": seed, "layouts": list(wanted), "rows": space.rows, "drawn": len(rows)}
        if len(laid_out) < len(rows):
            about["laid_out"] = len(laid_out)
        write_layout(parts["layout.parquet"], space.rows, rows, positions, about)
        parts["map.html"].write_text(page, "utf-8")
        pictures = {"png": parts["map.png"], "svg": parts["map.svg"]}
        draw_picture(pictures, title, facts, note, positions, columns[0])
    say(f"draw-map: {out / 'map.html'}, {len(page) / 1e6:,.1f} MB")


def degrees(
    triples: Sequence[Path], index: pa.Table, how: EdgeReading | None = None
) -> NDArray[np.int64]:
    """Count the distinct triples at each row's node, (n,); a node is `label::id` or a bare id.

    Raises InputError when the file of triples can't be read.
    """
    read = read_columns(triples, how)
    once = read.group_by(read.column_names, use_threads=False).aggregate([])
    ends = pa.chunked_array([*once["head"].chunks, *once["tail"].chunks], pa.string())
    counted = ends.value_counts()
    names, counts = counted.field("values"), counted.field("counts").to_numpy()
    found = np.zeros(index.num_rows, np.int64)
    for column in ("node_id", "id"):
        asked = index[column].combine_chunks()
        if column == "id":  # where it is the node id, it is counted already
            same = pc.equal(asked, index["node_id"].combine_chunks())
            asked = pc.if_else(same, pa.scalar(None, pa.string()), asked)
        place = pc.index_in(asked, value_set=names, skip_nulls=True)
        row = place.fill_null(-1).to_numpy(zero_copy_only=False)
        found += np.where(row >= 0, counts[row], 0) if len(counts) else 0
    return found


def sampled(n: int, most: int, seed: int) -> NDArray[np.int64]:
    """Return all row numbers, or a seeded sample of `most` of them, rising."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def finite_rows(space: Space, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Read rows of the vectors, (n, dims). Raises InputError when one holds NaN or infinity."""
    taken = take_rows(space.matrix, rows)
    refuse_not_finite(space, taken, rows)
    return taken


def refuse_nan_anywhere(space: Space) -> None:
    """Raise InputError when a row of the vectors holds NaN or infinity."""
    for start, block in blocks(space.matrix, rows_per_block(space.dims)):
        refuse_not_finite(space, block, np.arange(start, start + len(block)))


def refuse_not_finite(space: Space, taken: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
    """Raise InputError for the first of (n, dims) vectors, rows `rows`, that is not finite."""
    bad = np.flatnonzero(~np.isfinite(taken).all(axis=1))
    if len(bad):
        raise InputError(
            f"{space.matrix.path}: row {rows[bad[0]]} holds NaN or infinity."
            " Delete the file and rerun."
        )


def with_others(
    space: Space,
    rows: NDArray[np.int64],
    laid_out: NDArray[np.int64],
    units: NDArray[np.float32],
    positions: dict[str, NDArray[np.float32]],
    seed: int,
) -> dict[str, NDArray[np.float32]]:
    """Return the positions of `rows` (n,) from those of `laid_out` (m,), some of them.

    `units` (m, dims) are the unit vectors of the latter; both row numbers rise.
    """
    from kgtextvec.report.map.placing import place_rows

    others = np.setdiff1d(rows, laid_out, assume_unique=True)
    with space.vectors_checked():
        placed = place_rows(others, partial(take_rows, space.matrix), units, positions, seed)
    known, added = np.searchsorted(rows, laid_out), np.searchsorted(rows, others)
    joined = {}
    for name, places in positions.items():
        joined[name] = np.empty((len(rows), 2), np.float32)
        joined[name][known], joined[name][added] = places, placed[name]
    return joined


def as_texts(index: pa.Table, name: str) -> list[str]:
    """Return an index column as strings, empty where it is absent or null."""
    if name not in index.column_names:
        return [""] * len(index)
    return ["" if value is None else str(value) for value in index[name].to_pylist()]


def find_texts(shards: Path, digests: list[str]) -> list[str]:
    """Find the texts of sha256 `digests` in a folder of shards; "" where there is none.

    Raises InputError when the folder has no shard.
    """
    texts: dict[str, str] = {}
    for table in shards_of_texts(shards, pa.array(sorted(set(digests)))):
        texts.update(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    return [texts.get(digest, "") for digest in digests]


def default_title(space: Space) -> str:
    """Return the title of a map: `Entities by bioelmo`."""
    table = space.manifest["table"].replace("_", " ")
    return f"{table[:1].upper()}{table[1:]} by {space.manifest['model']['name']}"


def facts_of(space: Space) -> str:
    """Return the line under the title: what the points are."""
    manifest = space.manifest
    facts = [f"{space.rows:,} vectors of {space.dims:,} dimensions", f"space {manifest['space']}"]
    if "pooling" in manifest:
        facts.append(f"pooling {manifest['pooling']}")
    if "texts" in manifest:
        facts.append(f"{manifest['texts']:,} distinct texts")
    return " · ".join(facts)


def note_of(laid_out: int, drawn: int, rows: int) -> str:
    """Return what to say on the picture when not all rows are laid out, or not all drawn."""
    notes = []
    if drawn < rows:
        notes.append(f"{drawn:,} of {rows:,} rows are drawn, a seeded sample.")
    if laid_out < drawn:
        notes.append(
            f"A seeded sample of {laid_out:,} rows is laid out; the others are at the median of"
            " the three most like them."
        )
    return " ".join(notes)


def write_layout(
    path: Path,
    count: int,
    rows: NDArray[np.int64],
    positions: dict[str, NDArray[np.float32]],
    about: dict[str, Any],
) -> None:
    """Write layout.parquet: row, then x and y of each layout, NaN where none was made."""
    columns: dict[str, Any] = {"row": np.arange(count, dtype=np.int64)}
    for name in LAYOUT_METHODS:
        places = np.full((count, 2), np.nan, dtype=np.float32)
        if name in positions:
            places[rows] = positions[name]
        columns[f"{name}_x"], columns[f"{name}_y"] = places.T.copy()
    table = pa.table(columns)
    table = table.replace_schema_metadata({"kgtextvec": json.dumps(about)})
    pq.write_table(table, path, write_page_checksum=True)
