"""export_aligned: a matrix in the very order of a trainer's ids, and proof that it is so."""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.errors import InputError
from kgtextvec.export.bundle import open_together
from kgtextvec.export.idmaps import FORMS, read_orders
from kgtextvec.export.trainers import LAYOUTS, some_norms, write_map, write_matrix
from kgtextvec.files import sha256_of, whole_folder, write_json
from kgtextvec.matrices import rows_per_block, take_rows
from kgtextvec.progress import say
from kgtextvec.space import AMBIGUOUS, MISSING, Fill, Rows, Space, label_of

Floats = NDArray[np.float32]
LISTED = 20
KINDS = ("entities", "relation_types")


def export_aligned_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `export-aligned`."""
    add = parser.add_argument
    add("space_dirs", type=Path, nargs="+", help="space folders: entities, relation types or both")
    add("--to", type=Path, nargs="+", required=True, help="the consumer's id maps, or its triples")
    add("--form", choices=FORMS, required=True, help="whose form they have, and the files get")
    add("--missing", choices=MISSING, default="error", help="what to do with ids without a row")
    add("--scale", default="none", help="none, unit, std or two numbers: low,high")
    add("--seed", type=int, default=0, help="of missing: random")
    add("--out-dir", type=Path, required=True, help="the folder to make")


def export_aligned(
    space_dirs: list[Path],
    to: list[Path],
    form: str,
    out_dir: Path,
    missing: str = "error",
    scale: str = "none",
    seed: int = 0,
) -> None:
    """Write vectors in the order of a consumer's ids: row i is its entity (or relation) i.

    Writes the matrices and maps of its form, coverage.json (ids found and missing),
    selfcheck.json (ids and lengths of five rows) and manifest.json, all or none. Raises
    InputError for a map that isn't one, and for ids without a row if `missing` is error.
    """
    spaces = {space.kind: space for space in open_together(space_dirs)}
    wanted = dict(zip(KINDS, read_orders(to, form), strict=True))
    orders = {
        kind: Order(spaces[kind], ids, missing, seed)
        for kind, ids in wanted.items()
        if ids is not None and kind in spaces
    }
    if "entities" not in orders:
        raise InputError("config, align: there is no table of entities to be aligned.")
    for order in orders.values():
        order.fill.refuse(order.ids, order.rows)
    change = scaling(scale, list(orders.values()))
    layout = LAYOUTS[form]
    about = orders["entities"].space.manifest
    name = str(about["model"]["name"])
    coverage = {kind: order.coverage() for kind, order in orders.items()}
    check: dict[str, Any] = {}
    with whole_folder(out_dir) as part:
        for kind, order in orders.items():
            file, ids_file = layout.vectors[kind].format(name=name), layout.maps[kind]
            blocks = (change.apply(block) for block in order.blocks())
            digest = write_matrix(blocks, len(order.ids), order.space.dims, part / file)
            write_map(layout, order.ids, part / ids_file)
            check[kind] = {
                "file": file,
                "map": ids_file,
                "rows": len(order.ids),
                "dims": order.space.dims,
                "sha256": digest,
                "check": some_norms(part / file, order.ids),
            }
        write_json(part / "coverage.json", coverage)
        write_json(part / "selfcheck.json", check)
        write_json(
            part / "manifest.json",
            {
                "form": form,
                "aligned": True,
                "model": name,
                "space": about["space"],
                "to": [{"file": path.name, "sha256": sha256_of(path)} for path in to],
                "missing": {"policy": missing, "seed": seed},
                "scale": change.told,
                "coverage": coverage,
                "sources": {
                    kind: order.space.manifest["vectors_digest"] for kind, order in orders.items()
                },
                **check,
            },
        )
    for kind, found in coverage.items():
        say(f"{out_dir}: {kind}: {found['found']:,} of {found['ids']:,} ids have a row")


class Order:
    """A consumer's ids (n,), the row of each in a space, and what fills the gaps."""

    def __init__(self, space: Space, ids: list[str], missing: str, seed: int) -> None:
        self.space, self.ids = space, ids
        self.rows: Rows = space.find(ids)
        self.fill = Fill(space, missing, seed)

    def blocks(self) -> Iterator[Floats]:
        """Yield the vectors in the ids' order, a block (m, dims) at a time."""
        size = rows_per_block(self.space.dims, 1 << 21)
        for start in range(0, len(self.ids), size):
            rows = self.rows[start : start + size]
            have = rows >= 0
            block = np.empty((len(rows), self.space.dims), np.float32)
            block[have] = take_rows(self.space.matrix, rows[have])
            for place in np.flatnonzero(~have).tolist():
                block[place] = self.fill.vector(self.ids[start + place])
            yield block

    def coverage(self) -> dict[str, Any]:
        """Return which ids have a row, and how many of the table's rows are used."""
        lacking = np.flatnonzero(self.rows < 0).tolist()
        labels = Counter(label_of(self.ids[place], self.space.kind) for place in lacking)
        of_mean = self.fill.missing == "mean_of_label"
        return {
            "ids": len(self.ids),
            "found": len(self.ids) - len(lacking),
            "missing": len(lacking),
            "missing_by_label": dict(labels.most_common()),
            "first_missing": [self.ids[place] for place in lacking[:LISTED]],
            "under_several_labels": int((self.rows == AMBIGUOUS).sum()),
            "filled_by_mean_of_all": sum(
                not self.fill.knows(self.ids[place]) for place in (lacking if of_mean else [])
            ),
            "table_rows": self.space.rows,
            "table_rows_unused": self.space.rows - len(np.unique(self.rows[self.rows >= 0])),
            "table_rows_of_an_earlier_id": self.space.rows - len(self.space.first_rows()),
        }


@dataclass(frozen=True)
class Scaling:
    """A change of scale, one for all matrices, and what the manifest tells of it."""

    apply: Callable[[Floats], Floats]
    told: dict[str, Any]


def scaling(asked: str, orders: list[Order]) -> Scaling:
    """Return the change of scale that is asked for.

    unit: each vector gets length 1 (a zero vector stays). std: one factor, so that all numbers of
    all matrices have standard deviation 1. low,high: all numbers come to lie in that range; by one
    factor alone if the range is symmetric, which keeps directions, else by factor and shift.
    """
    told: dict[str, Any] = {"asked": asked, "factor": 1.0, "shift": 0.0}
    if asked == "none":
        return Scaling(lambda block: block, told)
    if asked == "unit":
        return Scaling(unit, told | {"factor": "1 / length of each vector"})
    numbers = Numbers(orders)
    if asked == "std":
        factor, shift = 1.0 / (numbers.deviation or 1.0), 0.0
    else:
        low, high = range_of(asked)
        if low == -high:
            factor, shift = high / (max(-numbers.low, numbers.high) or 1.0), 0.0
        else:
            factor = (high - low) / ((numbers.high - numbers.low) or 1.0)
            shift = low - factor * numbers.low

    def change(block: Floats) -> Floats:
        return (block * factor + shift).astype(np.float32)

    before = {"low": numbers.low, "high": numbers.high, "deviation": numbers.deviation}
    return Scaling(change, told | {"factor": factor, "shift": shift, "before": before})


def range_of(asked: str) -> tuple[float, float]:
    """Read low,high."""
    try:
        low, high = (float(word) for word in asked.split(","))
    except ValueError:
        low = high = 0.0
    if not low < high or not np.isfinite([low, high]).all():
        raise InputError(
            f"config, align.scale: {asked!r} is none of none, unit, std and [low, high]."
        )
    return low, high


def unit(block: Floats) -> Floats:
    """Divide each vector by its length."""
    lengths = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))[:, None]
    units = np.divide(block, lengths, out=np.zeros(block.shape), where=lengths > 0)
    found: Floats = units.astype(np.float32)
    return found


class Numbers:
    """The least, the greatest and the standard deviation of all numbers of all matrices."""

    def __init__(self, orders: list[Order]) -> None:
        n, total, squares = 0, 0.0, 0.0
        lows, highs = [0.0], [0.0]
        for order in orders:
            for block in order.blocks():
                n += block.size
                total += float(block.sum(dtype=np.float64))
                squares += float(np.einsum("ij,ij->", block, block, dtype=np.float64))
                lows.append(float(block.min()))
                highs.append(float(block.max()))
        self.low, self.high = min(lows[1:] or lows), max(highs[1:] or highs)
        self.deviation = float(np.sqrt(max(squares / max(n, 1) - (total / max(n, 1)) ** 2, 0.0)))
