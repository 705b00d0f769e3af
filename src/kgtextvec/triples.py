"""Edges of a graph: head, relation and tail, from any files that hold them.

One reader for the graph of the scores, `used_by`, the test triples, facts, and the triples that
align follows.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from kgtextvec.edge_columns import PARTS_OF_EDGE
from kgtextvec.edge_file import EdgeFile
from kgtextvec.errors import InputError
from kgtextvec.part_files import own_header
from kgtextvec.progress import say
from kgtextvec.settings.edges import EdgeReading


def open_edges(
    paths: Sequence[Path],
    how: EdgeReading | None = None,
    encoding: str = "utf-8",
    max_ratio: int = 200,
) -> list[EdgeFile]:
    """Return a graph's files, their columns found, in order.

    Of several, each may have a header of its own. A file with nothing but a header names the
    columns of files without one, as Neo4j's and BioCypher's do: of several such files, the one
    whose name begins most alike. Raises InputError when a file is absent or has no edges.
    """
    how = how or EdgeReading()
    if len(paths) == 1 or how.header != "auto":
        return [EdgeFile(path, how, encoding, max_ratio) for path in paths]
    tried = {path: without_errors(path, how, encoding, max_ratio) for path in paths}
    headers = {path: file for path, file in tried.items() if file and file.only_header}
    files = []
    for path, file in tried.items():
        if path in headers and len(headers) < len(tried):
            continue
        if headers and not (file and file.header):
            file = EdgeFile(path, how, encoding, max_ratio, headers[own_header(path, [*headers])])
        files.append(file or EdgeFile(path, how, encoding, max_ratio))
    return files


def without_errors(path: Path, how: EdgeReading, encoding: str, max_ratio: int) -> EdgeFile | None:
    """Return a file; None where it has an error, or lacks a header that it needs."""
    try:
        return EdgeFile(path, how, encoding, max_ratio)
    except InputError:
        return None


def say_columns(files: Sequence[EdgeFile]) -> None:
    """Log how files are read: a line for all that are read alike."""
    alike: dict[str, list[Path]] = {}
    for file in files:
        alike.setdefault(file.columns_shown, []).append(file.path)
    for columns, (first, *more) in alike.items():
        say(f"{first}{f' and {len(more):,} more' if more else ''}: {columns}")


def read_columns(paths: Sequence[Path], how: EdgeReading | None = None) -> pa.Table:
    """Read a graph's files: a table of the strings head, relation and tail.

    Raises InputError when one can't be read.
    """
    schema = pa.schema([(part, pa.string()) for part in PARTS_OF_EDGE])
    return pa.Table.from_batches(batches_of(open_edges(paths, how)), schema)


def batches_of(files: Sequence[EdgeFile]) -> Iterator[pa.RecordBatch]:
    """Yield the edges of all files, block by block."""
    for file in files:
        yield from file.batches()
