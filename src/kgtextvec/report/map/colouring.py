"""Groups of points by an index column, and the colours and shapes of these groups."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kgtextvec.pages.theme import (
    GROUP_COLOURS,
    OTHERS_COLOUR,
    SHAPES,
    STEP_COLOURS,
    Colour,
    group_colour,
    group_shape,
)

MOST_GROUPS = len(GROUP_COLOURS) * SHAPES  # more can't be distinguished
NOT_COLOURS = {"row", "id", "name", "node_id", "text_sha256"}


@dataclass(frozen=True)
class Colouring:
    """A column as groups: `codes` (n,) uint8 number the `groups`, the largest group first.

    `kind` is "names", or "steps" for fifths of a number, in rising order. `others` is the code
    of the group that gathers what is over MOST_GROUPS, or -1.
    """

    name: str
    kind: str
    groups: list[str]
    counts: list[int]
    codes: NDArray[np.uint8]
    others: int = -1

    def colour(self, code: int) -> Colour:
        """Return the colour of a group."""
        if self.kind == "steps":
            return STEP_COLOURS[code]
        return OTHERS_COLOUR if code == self.others else group_colour(code)

    def shape(self, code: int) -> int:
        """Return the shape of a group: circle, square, triangle, diamond or cross (0 to 4)."""
        return 0 if self.kind == "steps" or code == self.others else group_shape(code)


def colour_by_names(name: str, values: list[str], most: int = MOST_GROUPS) -> Colouring:
    """Group (n,) values, the most frequent first, then by name; over `most` into one of others."""
    found, codes, counts = np.unique(
        np.array(values, dtype=object), return_inverse=True, return_counts=True
    )
    order = np.lexsort((np.arange(len(found)), -counts))
    place = np.empty(len(found), dtype=np.int64)
    place[order] = np.arange(len(found))
    groups = [str(found[at]) for at in order]
    sizes = [int(counts[at]) for at in order]
    others = -1
    if len(groups) > most:
        others, rest = most, len(groups) - most
        groups = [*groups[:most], f"{rest:,} others"]
        sizes = [*sizes[:most], sum(sizes[most:])]
    places = np.minimum(place[codes.reshape(-1)], most).astype(np.uint8)
    return Colouring(name, "names", groups, sizes, places, others)


def colour_by_steps(name: str, values: NDArray[np.float64]) -> Colouring | None:
    """Group (n,) finite numbers into fifths; None when they don't give two steps."""
    edges = np.unique(np.quantile(values, [0.2, 0.4, 0.6, 0.8], method="lower"))
    fifths = np.searchsorted(edges, values, side="left")
    used, codes, counts = np.unique(fifths, return_inverse=True, return_counts=True)
    if len(used) < 2:
        return None
    groups = []
    for code in range(len(used)):
        low, high = values[codes == code].min(), values[codes == code].max()
        groups.append(f"{low:,.6g}" if low == high else f"{low:,.6g} – {high:,.6g}")
    return Colouring(name, "steps", groups, [int(n) for n in counts], codes.astype(np.uint8))


def colourings(index: pa.Table, first: str) -> list[Colouring]:
    """Return the columns of an index that can colour a map, `first` before the others.

    Texts with 2 to 256 distinct values (`first`: any number), booleans, and numbers in fifths.
    """
    names = [first, *(name for name in index.column_names if name != first)]
    found = [colouring(index[name], name, name == first) for name in names]
    return [made for made in found if made is not None]


def colouring(column: pa.ChunkedArray, name: str, wanted: bool) -> Colouring | None:
    """Return a column's groups, or None for one that is no use as colours (unless `wanted`)."""
    if name in NOT_COLOURS and not wanted:
        return None
    kind = column.type
    if pa.types.is_boolean(kind):
        values = ["yes" if value else "no" for value in column.to_pylist()]
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        numbers = np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
        steps = colour_by_steps(name, numbers) if np.isfinite(numbers).all() else None
        if steps or not wanted:
            return steps
        values = [str(value) for value in column.to_pylist()]
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        distinct = pc.count_distinct(column).as_py()
        if not wanted and not (2 <= distinct <= 256 and distinct < len(column)):
            return None
        values = ["" if value is None else value for value in column.to_pylist()]
    elif wanted:
        values = [str(value) for value in column.to_pylist()]
    else:
        return None
    made = colour_by_names(name, values)
    return made if wanted or len(made.groups) > 1 else None


def name_places(places: NDArray[np.float32], column: Colouring) -> list[list[float] | None]:
    """Find where on a layout (n, 2) the name of each group is true: where the group is densest.

    Returns [x, y] per group; None for a group of others, one of fewer than 4 points, and one
    without a place that holds some of it and is at least 3 in 10 it: a name would then mislead.
    """
    from scipy.ndimage import gaussian_filter

    if column.kind != "names" or len(column.groups) < 2:
        return [None] * len(column.groups)
    cells = 48
    low, high = places.min(axis=0), places.max(axis=0)
    wide = max(float((high - low).max()), 1e-9)
    cell = np.minimum(((places - low) / wide * cells).astype(np.int64), cells - 1)
    flat = cell[:, 0] * cells + cell[:, 1]

    def density(chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        counts = np.bincount(flat[chosen], minlength=cells * cells).reshape(cells, cells)
        return np.asarray(gaussian_filter(counts.astype(np.float64), 1.6, mode="constant"))

    everything = density(np.arange(len(places)))
    # Rows by group, sorted once: a mask per group would read all rows for each.
    order = np.argsort(column.codes, kind="stable")
    ends = np.cumsum(column.counts)
    found: list[list[float] | None] = []
    for code, count in enumerate(column.counts):
        chosen = order[ends[code] - count : ends[code]]
        here = density(chosen) if count >= 4 and code != column.others else np.zeros((1, 1))
        share = here / np.maximum(everything, 1e-9)
        peak = np.unravel_index(np.argmax(here * share), here.shape)
        near = chosen[np.abs(cell[chosen] - np.array(peak)).max(axis=1) <= 3]
        if here.size == 1 or share[peak] < 0.3 or len(near) < max(3, count / 20):
            found.append(None)
            continue
        x, y = np.median(places[near], axis=0)
        found.append([float(x), float(y)])
    return found
