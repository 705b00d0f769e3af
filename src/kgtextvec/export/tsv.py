"""A space as TSV, in the union of the forms that BioMedGPS's server and scripts read."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kgtextvec.checksums import VectorsCheck
from kgtextvec.errors import InputError
from kgtextvec.export.plain_floats import FEW_NUMBERS, spell_few_rows
from kgtextvec.files import whole_file
from kgtextvec.kinds import Kind
from kgtextvec.matrices import Matrix, refuse_non_finite, rows_per_block
from kgtextvec.progress import Progress
from kgtextvec.space import Space

INDEX_ROWS = 8192
# Numbers that a thread formats at a time: their text stays in the processor's cache.
NUMBERS_AT_ONCE = 1 << 17
TO_QUOTE = '[\t\r\n"]'


@dataclass(frozen=True)
class RowStyle:
    """How a row looks: what separates a vector's numbers, and after the last one."""

    separator: str = "|"
    closing: str = ""


# First row, bytes of the lines' starts, where each begins (m + 1,).
LineStarts = Iterator[tuple[int, NDArray[np.uint8], NDArray[np.int32]]]


def write_tsv(space: Space, out: Path, threads: int, names: Sequence[str] = ()) -> None:
    """Write a space as TSV, complete or not at all, row i in line i + 2.

    `embedding_id` (1, 2, …) goes before the columns of its kind, or those of the names, and
    `embedding` after them. Fields are quoted only where they hold a tab, a line end or a quote.
    Memory: about 4 MB a thread, whatever the number of rows. Raises InputError at NaN or Inf, and
    when the vectors aren't those that the manifest describes.
    """
    columns = {name: space.kind.tsv[name] for name in names or space.kind.tsv}
    starts = line_starts(space, list(columns.values()))
    check = space.check_of_vectors()
    with whole_file(out) as part:
        write_lines(space.matrix, tsv_header(list(columns)), starts, part, threads, check=check)
        check.compare()


def check_tsv(space: Space, path: Path, threads: int) -> None:
    """Raise InputError unless a TSV holds what `write_tsv` would write; it is made again meanwhile.

    So no digest of the largest file has to be computed when it is written.
    """
    starts = line_starts(space, list(space.kind.tsv.values()))
    header = tsv_header(list(space.kind.tsv))
    size = write_lines(space.matrix, header, starts, path, threads, writer=LineComparer)
    if path.stat().st_size != size:
        raise differing(path, space.matrix.rows)


def tsv_header(columns: Sequence[str]) -> str:
    """Return the first line of a TSV."""
    return "\t".join(["embedding_id", *columns, "embedding"]) + "\n"


def differing(path: Path, row: int) -> InputError:
    """Return the error of a TSV that isn't of its space, from a row (from 0) on."""
    return InputError(
        f"{path}: differs from embeddings.npy or index.parquet, at row {row + 1:,} or soon"
        " after. Delete it and rerun the step that made it."
    )


def write_lines(
    matrix: Matrix,
    header: str,
    starts: LineStarts,
    out: Path,
    threads: int,
    style: RowStyle | None = None,
    writer: "type[LineWriter] | None" = None,
    check: VectorsCheck | None = None,
) -> int:
    """Write the header, then a line per row of the matrix: its start, then its numbers.

    `starts` yields what `line_starts` does, and covers all rows. `check` is given all bytes of the
    matrix's file. Returns the file's size in bytes. The rest as for `write_tsv`.
    """
    kind = writer or LineWriter
    rows = rows_per_block(matrix.dims, NUMBERS_AT_ONCE)
    waiting: deque[Future[int]] = deque()
    end: Future[int] = Future()
    with (
        out.open(kind.mode, buffering=0) as file,
        matrix.path.open("rb", buffering=0) as source,
        ThreadPoolExecutor(threads) as pool,
        Progress(kind.what, matrix.rows, unit="rows") as progress,
    ):
        work = kind(matrix, source.fileno(), file.fileno(), style or RowStyle(), out)
        if check is not None:
            check.update(os.pread(source.fileno(), matrix.offset, 0))
            work.check = check
        work.put(memoryview(header.encode()), 0, 0)
        end.set_result(len(header.encode()))
        for first, data, bounds in starts:
            for start in range(0, len(bounds) - 1, rows):
                if len(waiting) > threads:
                    progress.add(waiting.popleft().result())
                here = LineBlock(
                    first + start, data, bounds[start : start + rows + 1], end, Future()
                )
                waiting.append(pool.submit(work.do, here))
                end = here.end
        while waiting:
            progress.add(waiting.popleft().result())
        return end.result()


@dataclass(frozen=True)
class LineBlock:
    """Rows from `first` on: the line of the i-th starts with starts[bounds[i]:bounds[i + 1]].

    `start` and `end` will hold where their text begins and ends in the file; the end of one block
    is the start of the next.
    """

    first: int
    starts: NDArray[np.uint8]
    bounds: NDArray[np.int32]
    start: Future[int]
    end: Future[int]


class LineWriter:
    """Turns blocks of rows into text, several at a time, each put at its place by its own thread.

    A text is written by the core that made it and has it in its cache.
    """

    mode, what = "wb", "export-table"

    def __init__(self, matrix: Matrix, source: int, out: int, style: RowStyle, path: Path) -> None:
        self.matrix, self.source, self.out, self.style = matrix, source, out, style
        self.path = path
        self.check: VectorsCheck | None = None
        self.free: SimpleQueue[NDArray[np.uint8]] = SimpleQueue()

    def do(self, block: LineBlock) -> int:
        """Read the vectors of a block, write them as text; return its number of rows."""
        try:
            data = self.read(block)
            text, n = self.text_of(block, data)
            start = block.start.result()  # after which the blocks before it are hashed
            if self.check is not None:
                self.check.update(data)
            block.end.set_result(start + n)
        except BaseException as error:
            block.end.set_exception(error)  # those behind it wait for it
            raise
        self.put(text.data[:n], start, block.first)
        self.free.put(text)
        return len(block.bounds) - 1

    def put(self, text: memoryview, start: int, row: int) -> None:
        """Write text to its place in the file; `row` is the first one in it."""
        at = start
        while at < start + len(text):
            at += os.pwrite(self.out, text[at - start :], at)

    def read(self, block: LineBlock) -> bytes:
        """Return the bytes of a block's vectors."""
        count, width = len(block.bounds) - 1, self.matrix.dims * 4
        return os.pread(self.source, count * width, self.matrix.offset + block.first * width)

    def text_of(self, block: LineBlock, data: bytes) -> tuple[NDArray[np.uint8], int]:
        """Return the text of a block, given its vectors' bytes, and how much of the array it is."""
        vectors = np.frombuffer(data, np.float32).reshape(len(block.bounds) - 1, self.matrix.dims)
        if not np.isfinite(vectors).all():
            refuse_non_finite(self.matrix, block.first, vectors)
        style = self.style
        if self.matrix.rows * self.matrix.dims <= FEW_NUMBERS:
            text = spell_few_rows(
                vectors, block.starts, block.bounds, style.separator, style.closing
            )
            return text, len(text)
        from kgtextvec.export.floats import LONGEST, spell_rows

        text = self.buffer((vectors.size + 1) * LONGEST + int(block.bounds[-1] - block.bounds[0]))
        written = spell_rows(
            vectors.view(np.uint32),
            block.starts,
            block.bounds,
            text,
            ord(style.separator),
            ord(style.closing or "\0"),
        )
        return text, int(written)

    def buffer(self, size: int) -> NDArray[np.uint8]:
        """Return an array of at least `size` bytes, one that was used before if there is one."""
        try:
            text = self.free.get_nowait()
        except Empty:
            text = np.empty(size, np.uint8)
        return text if len(text) >= size else np.empty(size, np.uint8)


class LineComparer(LineWriter):
    """Compares a file with the text that would be written."""

    mode, what = "rb", "verify"

    def put(self, text: memoryview, start: int, row: int) -> None:
        """Raise InputError unless the file has that text at that place."""
        if os.pread(self.out, len(text), start) != text:
            raise differing(self.path, row)


def line_starts(space: Space, columns: Sequence[str]) -> LineStarts:
    """Yield what precedes the vector in each row: its number from 1 on, and its fields."""
    first, index = 0, pq.ParquetFile(space.index_path)
    for batch in index.iter_batches(INDEX_ROWS, columns=sorted(set(columns))):
        numbers = pa.array(np.arange(first + 1, first + 1 + len(batch))).cast(pa.string())
        fields = [quoted(filled(batch.column, name, space.kind)) for name in columns]
        heads = pc.binary_join_element_wise(numbers, *fields, "", "\t")
        data, bounds = string_bytes(heads)
        yield first, data, bounds
        first += len(batch)


def string_bytes(strings: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return the bytes of strings (m,), one after the other, and where each begins (m + 1,)."""
    _, bounds, data = strings.buffers()
    return (
        np.frombuffer(data, np.uint8),
        np.frombuffer(bounds, np.int32)[strings.offset : strings.offset + len(strings) + 1],
    )


def filled(column: Callable[[str], pa.Array], name: str, kind: Kind) -> pa.Array:
    """Return a column of strings without nulls, empty ones filled as the kind says."""
    field = pc.fill_null(column(name), "")
    if name not in kind.instead_of_empty:
        return field
    other = pc.fill_null(column(kind.instead_of_empty[name]), "")
    return pc.if_else(pc.equal(field, ""), other, field)


def quoted(field: pa.Array) -> pa.Array:
    """Put quotes around the strings (n,) that need them, as the csv module does."""
    data = field.buffers()[2]
    # A look at the bytes of all strings at once is ten times as fast as one at each.
    every = data.to_pybytes() if data else b""
    if not any(mark in every for mark in b'\t\r\n"'):
        return field
    needed = pc.match_substring_regex(field, TO_QUOTE)
    if not pc.any(needed).as_py():
        return field
    inside = pc.replace_substring(field, '"', '""')
    return pc.if_else(needed, pc.binary_join_element_wise('"', inside, '"', ""), field)
