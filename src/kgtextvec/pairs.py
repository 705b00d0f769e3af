"""Comparisons in pairs: what two spaces score on the same items, and how sure a difference is.

An item is what is drawn anew by the bootstrap: a hidden entity with all its queries, or a row. The
sums of each item are kept in a file next to the scores, since means can't be paired afterwards.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kgtextvec.files import whole_file
from kgtextvec.parquet_files import read_parquet
from kgtextvec.stats import Float64s, drawn_means

SUMS_FILE = "scores_by_row.parquet"
KEYS = ("score", "row", "n")
Items = NDArray[np.int64]


@dataclass(frozen=True)
class ItemSums:
    """What each item of a score adds up to.

    `rows` (m,): the items' rows in the table, ascending; `counts` (m,): how many values each sums
    up; `sums`: `method.metric` → (m,). `asked`: a digest; scores are of the same questions where
    it is equal.
    """

    rows: Items
    counts: Items
    sums: dict[str, Float64s]
    asked: str


@dataclass(frozen=True)
class Difference:
    """The difference of two means over the same items, with its 95 % intervals.

    `low` and `high` bound this difference alone; `low_all` and `high_all` hold for all differences
    of its family at once. None where there is one item only.
    """

    value: float
    low: float | None = None
    high: float | None = None
    low_all: float | None = None
    high_all: float | None = None
    items: int = 0

    @property
    def clear(self) -> bool:
        """Whether it is other than zero, all comparisons of its family considered."""
        if self.low_all is None or self.high_all is None:
            return False
        return self.low_all > 0 or self.high_all < 0

    def within(self, margin: float) -> bool:
        """Whether it is smaller than a margin, all comparisons considered."""
        if self.low_all is None or self.high_all is None:
            return False
        return -margin < self.low_all and self.high_all < margin

    def __neg__(self) -> "Difference":
        def minus(end: float | None) -> float | None:
            return None if end is None else -end

        return Difference(
            -self.value,
            *(minus(self.high), minus(self.low)),
            *(minus(self.high_all), minus(self.low_all)),
            self.items,
        )


def sums_by_item(owners: Items, columns: Mapping[str, Float64s], asked: str) -> ItemSums:
    """Sum up columns (n,) of values over the items (n,) that they belong to."""
    rows, places = np.unique(owners, return_inverse=True)
    n_items = len(rows)
    return ItemSums(
        rows=rows.astype(np.int64),
        counts=np.bincount(places, minlength=n_items).astype(np.int64),
        sums={
            name: np.bincount(places, weights=column, minlength=n_items).astype(np.float64)
            for name, column in columns.items()
        },
        asked=asked,
    )


def digest_of_parts(parts: Iterable[NDArray[np.generic] | pa.Array | Sequence[str]]) -> str:
    """Return a digest of arrays and lists of names, in their order."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            names = part.to_pylist() if isinstance(part, pa.Array) else part
            digest.update("\0".join(map(str, names)).encode())
        digest.update(b"\1")
    return digest.hexdigest()[:16]


def write_item_sums(path: Path, found: Mapping[str, ItemSums]) -> None:
    """Write the sums of all scores, whole or not at all: a line per score and item.

    Columns: score, row, n, and a float64 column per `method.metric`, null where a score lacks it.
    """
    names = sorted({name for one in found.values() for name in one.sums})
    tables = []
    for score, one in found.items():
        n_items = len(one.rows)
        columns = {
            "score": pa.array([score] * n_items, pa.string()).dictionary_encode(),
            "row": pa.array(one.rows, pa.int64()),
            "n": pa.array(one.counts, pa.int64()),
        }
        empty = pa.nulls(n_items, pa.float64())
        columns |= {name: pa.array(one.sums[name]) if name in one.sums else empty for name in names}
        tables.append(pa.table(columns))
    if tables:
        table = pa.concat_tables(tables).unify_dictionaries()
    else:
        table = pa.table({name: pa.array([], pa.int64()) for name in KEYS})
    about = {f"asked.{score}": one.asked for score, one in found.items()}
    with whole_file(path) as part:
        pq.write_table(table.replace_schema_metadata(about), part, compression="zstd")


def read_item_sums(path: Path) -> dict[str, ItemSums]:
    """Read what `write_item_sums` wrote, by score. Raises InputError when it is damaged."""
    table = read_parquet(path, None)
    about = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    found = {}
    for score in dict.fromkeys(table["score"].to_pylist()):
        mine = table.filter(pc.equal(table["score"].cast(pa.string()), score))
        sums = {
            name: mine[name].to_numpy()
            for name in mine.column_names
            if name not in KEYS and not mine[name].null_count
        }
        found[score] = ItemSums(
            mine["row"].to_numpy(), mine["n"].to_numpy(), sums, about.get(f"asked.{score}", "")
        )
    return found


def on_shared_items(ones: Sequence[ItemSums], names: Sequence[str]) -> tuple[Float64s, Items]:
    """Return sums (k, m) of one column of each, and counts (m,), over the items that all have.

    No items are shared where the questions differ: then m is 0.
    """
    none = np.zeros((len(ones), 0)), np.zeros(0, np.int64)
    if len({one.asked for one in ones}) != 1:
        return none
    shared = ones[0].rows
    for one in ones[1:]:
        shared = np.intersect1d(shared, one.rows, assume_unique=True)
    places = [np.searchsorted(one.rows, shared) for one in ones]
    counts = [one.counts[place] for one, place in zip(ones, places, strict=True)]
    if any((count != counts[0]).any() for count in counts):
        return none
    sums = [one.sums[name][at] for one, name, at in zip(ones, names, places, strict=True)]
    return np.stack(sums), counts[0]


def compare_pairs(
    sums: Float64s, counts: Items, pairs: Sequence[tuple[int, int]], seed: int = 0
) -> list[Difference]:
    """Return the differences of means, first minus second, for pairs of rows of `sums` (k, m).

    `counts` (m,): how many values each item has; a mean is the sum over items divided by the sum
    of counts. Items are drawn with replacement, the same ones for all (paired cluster bootstrap,
    Field & Welsh 2007). An interval of one difference alone: percentiles. Those for all at once:
    the difference ± c standard errors. These are the jackknife's. c is the 95th percentile of the
    largest of the pairs' |drawn - found| / deviation of the drawn (Westfall & Young 1993; Romano &
    Wolf 2005), turned from a normal deviate into one of Student's t, since items are few. Of
    several pairs it is the upper limit of that percentile, as it comes from a sample of draws: else
    equal spaces would be called different slightly too often.
    """
    from scipy.stats import norm, t

    n_items = sums.shape[1]
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    if not n_items or not len(first):
        return []
    total = float(counts.sum())
    means = sums.sum(axis=1) / total
    found = means[first] - means[second]
    if n_items < 2:
        return [Difference(float(value), items=n_items) for value in found]
    drawn = drawn_means(sums.T, counts.astype(np.float64), seed)
    differences = drawn[:, first] - drawn[:, second]
    low, high = np.quantile(differences, [0.025, 0.975], axis=0)
    without = (sums.sum(axis=1, keepdims=True) - sums) / np.maximum(total - counts, 1)
    spread = [(without[i] - without[j]).var() for i, j in zip(first, second, strict=True)]
    error = np.sqrt((n_items - 1) * np.array(spread))
    deviation = differences.std(axis=0)
    varies = (error > 1e-12) & (deviation > 0)
    c = float(norm.ppf(0.975))
    if varies.any():
        away = np.abs(differences - found)[:, varies] / deviation[varies]
        largest = np.sort(away.max(axis=1))
        c = max(c, float(largest[place_of_quantile(len(largest), varies.sum() > 1)]))
    # Items of many values weigh more: as many equal ones would say the same.
    as_good_as = total**2 / float(np.square(counts, dtype=np.float64).sum())
    c = float(t.isf(norm.sf(c), max(as_good_as - 1, 1)))
    return [
        Difference(value, alone[0], alone[1], value - c * half, value + c * half, n_items)
        for value, half, alone in zip(
            found.tolist(), error.tolist(), np.stack([low, high], axis=1).tolist(), strict=True
        )
    ]


def place_of_quantile(n_draws: int, upper: bool) -> int:
    """Return the place of the 95th percentile among sorted draws, or of its upper 95 % limit.

    The limit is free of any distribution: how many draws lie below the true percentile is binomial
    (Conover 1999, 3.2).
    """
    from scipy.stats import binom

    place = int(binom.ppf(0.95, n_draws, 0.95)) if upper else int(np.ceil(0.95 * n_draws)) - 1
    return min(place, n_draws - 1)
