"""Matrices of vectors on disk (.npy, float32), read and written in blocks, never all in memory.

Rows are read with plain reads instead of a memory map: pages of a map count as the process's own
memory, and a cluster's limit would hit a job that touches a large file once.
"""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tokenize import TokenError
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from kgtextvec.checksums import CHUNK_BYTES, HashedFile, TakesBytes, VectorsCheck
from kgtextvec.errors import InputError
from kgtextvec.files import read_json

# What numpy raises for a damaged header, which it parses as Python.
NOT_AN_NPY = (ValueError, TypeError, EOFError, SyntaxError, TokenError, MemoryError, RecursionError)


@dataclass(frozen=True)
class Matrix:
    """A float32 .npy file in C order: its shape and where its numbers begin (bytes)."""

    path: Path
    rows: int
    dims: int
    offset: int


def open_matrix(path: Path) -> Matrix:
    """Read the header of an (n, d) float32 .npy file and check it against the file's size.

    Raises InputError when the file is absent, no .npy file, of another type or shape, or cut.
    """
    try:
        with path.open("rb") as file:
            if npy.read_magic(file) == (1, 0):
                shape, fortran, dtype = npy.read_array_header_1_0(file)
            else:
                shape, fortran, dtype = npy.read_array_header_2_0(file)
            offset = file.tell()
    except FileNotFoundError:
        raise InputError(f"{path}: not there. Run the step that makes it first.") from None
    except NOT_AN_NPY as error:
        raise InputError(f"{path}: not a .npy file ({error}). Delete it and rerun.") from None
    if len(shape) != 2 or fortran or dtype != np.dtype("<f4"):
        order = "Fortran" if fortran else "C"
        raise InputError(
            f"{path}: holds {dtype} {shape} in {order} order; a float32 matrix in C order is"
            " needed. Save it again with numpy.save(…, numpy.ascontiguousarray(…, 'float32'))."
        )
    size, expected = path.stat().st_size, offset + shape[0] * shape[1] * 4
    if size != expected:
        raise InputError(
            f"{path}: has {size} bytes, its header announces {expected}. Delete it and rerun."
        )
    return Matrix(path, shape[0], shape[1], offset)


def rows_per_block(dims: int, values: int = 1 << 22) -> int:
    """Return how many rows of `dims` numbers make a block of about `values` numbers (at least 1).

    It depends on nothing but `dims`, so that sums are taken in the same order on every machine.
    """
    return max(1, values // max(dims, 1))


def blocks(
    matrix: Matrix, rows: int, digest: TakesBytes | None = None
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield (first row, (≤ rows, dims) float32) over a matrix, the next one read meanwhile.

    A block is overwritten after the next one was asked for: use it up, or copy it. `digest` is fed
    all bytes of the file, header included. Raises InputError when the file shrinks meanwhile.
    """
    buffers = [np.empty((min(rows, matrix.rows), matrix.dims), np.float32) for _ in range(2)]
    starts = range(0, matrix.rows, rows)
    with matrix.path.open("rb", buffering=0) as file, ThreadPoolExecutor(1) as reader:
        header = file.read(matrix.offset)
        if digest is not None:
            digest.update(header)

        def fill(number: int) -> NDArray[np.float32]:
            block = buffers[number % 2][: min(rows, matrix.rows - starts[number])]
            fill_block(matrix, file, block, digest)
            return block

        coming = reader.submit(fill, 0) if len(starts) else None
        for number, start in enumerate(starts):
            assert coming is not None  # noqa: S101 (for the type checker)
            block = coming.result()
            if number + 1 < len(starts):
                coming = reader.submit(fill, number + 1)
            yield start, block


def take_rows(matrix: Matrix, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Read rows (m,) by number, in any order, the same one twice if asked: (m, dims) float32.

    Rows that follow each other on disk are read in one go. Raises InputError when the file shrank.
    """
    order = np.argsort(rows, kind="stable")
    wanted = rows[order]
    starts = np.flatnonzero(np.diff(wanted, prepend=-2) != 1)
    sorted_rows = np.empty((len(rows), matrix.dims), np.float32)
    with matrix.path.open("rb", buffering=0) as file:
        for start, end in pairwise([*starts.tolist(), len(rows)]):
            file.seek(matrix.offset + int(wanted[start]) * matrix.dims * 4)
            fill_block(matrix, file, sorted_rows[start:end])
    taken = np.empty_like(sorted_rows)
    taken[order] = sorted_rows
    return taken


def fill_block(
    matrix: Matrix, file: io.FileIO, block: NDArray[np.float32], digest: TakesBytes | None = None
) -> None:
    """Fill a block from the file's position, and feed `digest` its bytes.

    Raises InputError at the file's end.
    """
    data = block.reshape(-1).view(np.uint8).data
    size = len(data) if digest is None else CHUNK_BYTES
    got = 0
    while got < len(data):
        n = file.readinto(data[got : got + size])
        if not n:
            raise InputError(f"{matrix.path}: cut short while it was read. Rerun.")
        if digest is not None:
            digest.update(data[got : got + n])
        got += n


class MatrixWriter(HashedFile):
    """Writes an (n, d) float32 .npy file from the first row to the last, hashing as it goes."""

    def __init__(self, file: IO[bytes], rows: int, dims: int, is_hashed: bool = True) -> None:
        super().__init__(file, is_hashed)
        self.write(header_of_matrix(rows, dims))

    def add(self, block: NDArray[np.float32]) -> None:
        """Write the next rows, (m, dims)."""
        rows = np.ascontiguousarray(block, np.float32)
        self.write(rows.reshape(-1).view(np.uint8).data)


def header_of_matrix(rows: int, dims: int) -> bytes:
    """Return the bytes before the numbers of an (n, d) float32 .npy file, as numpy writes them."""
    header = npy.header_data_from_array_1_0(np.empty((0, dims), np.float32))
    header["shape"] = (rows, dims)
    written = io.BytesIO()
    npy.write_array_header_1_0(written, header)
    return written.getvalue()


def refuse_non_finite(matrix: Matrix, first: int, block: NDArray[np.float32]) -> None:
    """Raise InputError if `block` (m, d) holds NaN or Inf, naming the first such row.

    `first` is the number of the block's first row in the matrix, counting from 0.
    """
    bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
    if len(bad):
        raise InputError(
            f"{matrix.path}: holds NaN or Inf, first at row {first + int(bad[0])} (counting from"
            " 0). Delete the file and rerun the step that made it."
        )


def check_by_manifest(embeddings: Path) -> VectorsCheck:
    """Return the check of a file of vectors by the manifest in its folder, if there is one."""
    manifest = embeddings.with_name("manifest.json")
    record = read_json(manifest) if manifest.exists() else {}
    return VectorsCheck(embeddings, record)
