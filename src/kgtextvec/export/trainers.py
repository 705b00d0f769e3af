"""Matrices and id maps as trainers of knowledge-graph embeddings have them: row i is their id i."""

import gzip
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kgtextvec.checksums import HashedFile
from kgtextvec.errors import InputError
from kgtextvec.export.forms import TrainerFiles
from kgtextvec.export.inverses import Inverses
from kgtextvec.export.tensors import header_of
from kgtextvec.files import whole_file
from kgtextvec.kinds import RELATION_TYPES
from kgtextvec.matrices import (
    MatrixWriter,
    header_of_matrix,
    open_matrix,
    refuse_non_finite,
    rows_per_block,
    take_rows,
)
from kgtextvec.progress import Progress
from kgtextvec.space import Floats, Rows, Space

# A map's line ends at the tab or the line end; readers strip blanks around.
UNFIT = r"[\t\r\n]|^\s|\s$|^$"
LINES_PER_PIECE = 4096


def write_trainer(
    space: Space, folder: Path, model: str, files: TrainerFiles, inverses: Inverses | None = None
) -> dict[str, Any]:
    """Write the first row of each node id as a trainer's matrix and map.

    Rows are in the table's order unless the trainer sorts ids. Returns what the manifest says.
    """
    rows = space.first_rows()
    ids = space.column("node_id").take(pa.array(rows))
    if files.sort:
        order = pc.sort_indices(ids)
        rows, ids = rows[order.to_numpy()], ids.take(order)
    check_map_ids(space, ids)
    listed = ids.to_pylist()
    known = digest_if_equal(space, rows)
    facts = write_pair(files, space, model, folder, taken(space, rows), listed, inverses, known)
    facts.pop("dims")
    return facts


def write_pair(
    files: TrainerFiles,
    space: Space,
    model: str,
    folder: Path,
    found: Iterator[Floats],
    ids: Sequence[str],
    inverses: Inverses | None = None,
    known: str | None = None,
) -> dict[str, Any]:
    """Write a matrix of blocks, a row per id, and its map; return names, sizes and a self-check.

    With `inverses`, the matrix of relations has the inverse of each behind it. `known`: the digest
    of the blocks' matrix, if that was computed before.
    """
    file, ids_file = files.vectors_of(space.kind, model), files.map_of(space.kind)
    names, more = ids, {}
    if inverses and files.inverses and space.kind is RELATION_TYPES:
        found, names, known = inverses.interleave(found, ids), inverses.ids(ids), None
        more = {"ids": len(ids), "inverse_relations": inverses.asked}
    start = 0
    if files.tensors:
        groups: dict[str, int] = getattr(ids, "groups", {space.kind.name: len(ids)})
        header = header_of({name: (rows, space.dims) for name, rows in groups.items()})
        start, more = len(header), {"tensors": groups}
        digest = write_tensors(finite_of_file(space, found, file), header, folder / file)
    else:
        found = finite_of_file(space, found, file)
        digest = write_matrix(found, len(names), space.dims, folder / file, known)
    write_map(files, ids, folder / ids_file)
    return {
        "file": file,
        "map": ids_file,
        "rows": len(names),
        **more,
        "dims": space.dims,
        "xxh3_128": digest,
        "check": some_norms(folder / file, names, (len(names), space.dims), start),
    }


def check_map_ids(space: Space, ids: pa.Array) -> None:
    """Raise InputError at an id that can't stand in a map."""
    unfit = pc.match_substring_regex(ids, UNFIT)
    if pc.any(unfit).as_py():
        first = ids.filter(unfit)[0].as_py()
        raise InputError(
            f"{space.folder}: the id {first!r} is empty, holds a tab or a line end, or begins or"
            " ends with a blank; trainers' id maps can't hold it. Correct the table."
        )


def digest_if_equal(space: Space, rows: Rows) -> str | None:
    """Return the digest of a matrix of these rows if it is, byte for byte, the space's own file."""
    matrix = space.matrix
    if len(rows) != space.rows or not is_ascending(rows):
        return None
    with matrix.path.open("rb") as file:
        equal = file.read(matrix.offset) == header_of_matrix(space.rows, space.dims)
    return space.manifest.get("vectors_xxh3") if equal else None


def is_ascending(rows: Rows) -> bool:
    """Return whether each row follows the one before it in the table."""
    return bool((np.diff(rows) > 0).all())


def taken(space: Space, rows: Rows) -> Iterator[Floats]:
    """Yield the vectors of rows, a block (m, dims) at a time, compared with the manifest.

    Use a block up, or copy it, before the next one. Raises InputError after the last one when the
    space's vectors are damaged.
    """
    size = rows_per_block(space.dims, 1 << 21)
    if is_ascending(rows):
        yield from space.blocks_compared(rows, size)
        return
    with space.vectors_checked():
        for start in range(0, len(rows), size):
            yield take_rows(space.matrix, rows[start : start + size])


def finite_blocks(space: Space, rows: Rows) -> Iterator[Floats]:
    """Yield as `taken` does. Raises InputError at NaN or Inf."""

    def refuse(place: int, vector: Floats) -> None:
        refuse_non_finite(space.matrix, int(rows[place]), vector)

    return finite(taken(space, rows), refuse)


def finite_of_file(space: Space, found: Iterator[Floats], file: str) -> Iterator[Floats]:
    """Yield blocks of vectors, from a space, of a file. Raises InputError at NaN or Inf."""

    def refuse(place: int, vector: Floats) -> None:
        raise InputError(
            f"{space.folder}: the vector for row {place} of {file} (counting from 0) holds NaN or"
            " Inf. Delete the space and rerun the step that made it."
        )

    return finite(found, refuse)


def finite(found: Iterator[Floats], refuse: Callable[[int, Floats], None]) -> Iterator[Floats]:
    """Yield blocks; call `refuse` at the first vector with NaN or Inf: its place, (1, dims)."""
    done = 0
    for block in found:
        bad = np.flatnonzero(~np.isfinite(block).all(axis=1))[:1]
        if len(bad):
            refuse(done + int(bad[0]), block[bad])
        done += len(block)
        yield block


def write_matrix(
    found: Iterator[Floats], rows: int, dims: int, out: Path, known: str | None = None
) -> str:
    """Write blocks as one (rows, dims) float32 .npy; return its digest, computed unless `known`."""
    with (
        whole_file(out) as part,
        part.open("wb") as file,
        Progress("export", rows, unit="rows") as progress,
    ):
        writer = MatrixWriter(file, rows, dims, is_hashed=not known)
        for block in found:
            writer.add(block)
            progress.add(len(block))
    return known or writer.xxh3


def write_tensors(found: Iterator[Floats], header: bytes, out: Path) -> str:
    """Write blocks behind a safetensors header; return the file's digest."""
    with whole_file(out) as part, part.open("wb") as file:
        hashed = HashedFile(file)
        hashed.write(header)
        for block in found:
            hashed.write(np.ascontiguousarray(block, "<f4").tobytes())
    return hashed.xxh3


def write_map(files: TrainerFiles, ids: Sequence[str], out: Path) -> None:
    """Write an id map; equal ids give equal bytes."""
    with whole_file(out) as part, part.open("wb") as file:
        lines = iter(files.map_lines(ids))
        pieces = iter(lambda: "".join(islice(lines, LINES_PER_PIECE)).encode(), b"")
        if out.suffix == ".gz":
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                packed.writelines(pieces)
        else:
            file.writelines(pieces)


def some_norms(
    path: Path, ids: Sequence[str], shape: tuple[int, int], start: int = 0
) -> list[dict[str, Any]]:
    """Return row, id and length of five vectors of a file, for the reader to compare.

    A matrix, or (`start` above 0) float32 numbers of that shape from that byte on.
    """
    rows = np.unique(np.linspace(0, max(shape[0] - 1, 0), 5).astype(np.int64))[: shape[0]]
    if not start:
        vectors = take_rows(open_matrix(path), rows).astype(np.float64)
    elif len(rows):
        vectors = np.memmap(path, "<f4", "r", start, shape)[rows].astype(np.float64)
    else:
        vectors = np.zeros(shape)
    norms = np.sqrt((vectors**2).sum(axis=1))
    return [
        {"row": row, "id": ids[row], "norm": norm}
        for row, norm in zip(rows.tolist(), norms.tolist(), strict=True)
    ]
