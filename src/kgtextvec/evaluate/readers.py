"""What the scores read of a space: its names, unit vectors of some rows, their texts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kgtextvec.errors import InputError
from kgtextvec.matrices import Matrix, blocks, refuse_non_finite, rows_per_block, take_rows
from kgtextvec.space import Floats, Rows, Space
from kgtextvec.text_shards import shards_of_texts

FEW = 20  # a part of the rows that is quicker to read row by row than in blocks of the file


class Nodes(Protocol):
    """What triples name: the rows of a table, be it a space or its texts."""

    @property
    def folder(self) -> Path:
        """Where they are, for messages."""

    @property
    def rows(self) -> int:
        """How many there are."""

    @property
    def label_codes(self) -> Rows:
        """A number for each row's label, (rows,)."""

    def column(self, name: str) -> pa.Array:
        """Return a column of the index, (rows,)."""


@dataclass(frozen=True)
class UnitsOnDemand:
    """Unit vectors (n, d) of which a part at a time is in memory.

    `take` returns those at places (m,), ascending and distinct: (m, d) float32.
    """

    shape: tuple[int, int]
    take: Callable[[Rows], Floats]

    def followed_by(self, others: Floats) -> "UnitsOnDemand":
        """Return these and, after them, others, (m, d), that are in memory."""
        n = self.shape[0]

        def both(places: Rows) -> Floats:
            mine = np.searchsorted(places, n)
            return np.concatenate([self.take(places[:mine]), others[places[mine:] - n]])

        return UnitsOnDemand((n + len(others), self.shape[1]), both)


def identity(space: Space) -> dict[str, Any]:
    """Return which space scores are of: the first keys of every file of scores."""
    manifest = space.manifest
    return {
        "model": manifest["model"]["name"],
        "table": manifest["table"],
        "kind": manifest["kind"],
        "space": manifest["space"],
        "dims": space.dims,
        "rows": space.rows,
        "text": manifest.get("text"),
    }


def unit_blocks(matrix: Matrix, keep: Rows) -> Iterator[tuple[Rows, Floats]]:
    """Yield (row numbers, their vectors at length 1), for the rows in `keep`, ascending.

    A zero vector stays zero. Raises InputError at NaN or Inf.
    """
    for first, block in blocks(matrix, rows_per_block(matrix.dims)):
        low, high = np.searchsorted(keep, [first, first + len(block)])
        if low < high:
            if not np.isfinite(block.sum(dtype=np.float64)):
                refuse_non_finite(matrix, first, block)
            yield keep[low:high], units_of(block[keep[low:high] - first])


def units_of(vectors: NDArray[Any]) -> Floats:
    """Return (n, d) rows at length 1 as float32; a zero vector stays zero."""
    units = np.empty(vectors.shape, np.float32)
    size = rows_per_block(vectors.shape[1])
    for start in range(0, len(vectors), size):
        some = vectors[start : start + size]
        lengths = np.sqrt(np.einsum("ij,ij->i", some, some, dtype=np.float64))
        scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        units[start : start + size] = some * scale[:, None]
    return units


def take_units(matrix: Matrix, rows: Rows) -> Floats:
    """Return vectors of `rows` (ascending, distinct) at length 1: (len(rows), dims) float32.

    Few rows of many are read one by one. Raises InputError at NaN or Inf.
    """
    if len(rows) * FEW < matrix.rows:
        vectors = take_rows(matrix, rows)
        for place in np.flatnonzero(~np.isfinite(vectors).all(axis=1))[:1]:
            refuse_non_finite(matrix, int(rows[place]), vectors[[place]])
        return units_of(vectors)
    taken = np.empty((len(rows), matrix.dims), np.float32)
    done = 0
    for found, units in unit_blocks(matrix, rows):
        taken[done : done + len(found)] = units
        done += len(found)
    return taken


def read_texts_of(shards: Path, space: Nodes, rows: Rows) -> tuple[list[str], Rows]:
    """Return the distinct texts of `rows`, sorted by digest, and each row's place among them.

    `shards` is the folder of Parquet files that read-texts wrote. Raises InputError when it is
    absent or lacks a text.
    """
    wanted = space.column("text_sha256").take(pa.array(rows))
    distinct = pc.unique(wanted)
    distinct = distinct.take(pc.sort_indices(distinct))
    texts = pa.concat_tables(shards_of_texts(shards, distinct))
    places = pc.index_in(distinct, value_set=texts["text_sha256"].combine_chunks())
    if places.null_count:
        raise InputError(
            f"{shards}: lacks {places.null_count} texts of {space.folder}. Make both from the same"
            " table: run read-texts and what follows again."
        )
    found = texts["text"].take(places).to_pylist()
    where = pc.index_in(wanted, value_set=distinct).to_numpy(zero_copy_only=False)
    return found, where.astype(np.int64)
