"""The order of a trainer's rows: from its own id maps, or from the triples that it numbers."""

import gzip
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from kgtextvec.errors import InputError
from kgtextvec.kinds import ENTITIES, IN_GRAPHS, RELATION_TYPES
from kgtextvec.progress import say
from kgtextvec.settings.edges import EdgeReading

# Of each line of a map: its number, the row number as text, the id.
MapLines = Iterator[tuple[int, str, str]]


def read_maps(
    form: str, read_map: Callable[[Path], MapLines], paths: Sequence[Path]
) -> dict[str, list[str]]:
    """Read the map of entities and, if given, that of relations: {kind: ids by row}.

    Raises InputError, with file and line, where rows aren't 0 … n-1 or an id comes twice.
    """
    if len(paths) > len(IN_GRAPHS):
        raise InputError(
            f"config, align.to: names {len(paths)} files, and the form {form} has two. Name the map"
            " of entities and that of relations."
        )
    return {
        kind.name: ids_by_row(path, list(read_map(path)))
        for kind, path in zip(IN_GRAPHS, paths, strict=False)
    }


def read_appearance(paths: Sequence[Path], how: EdgeReading) -> dict[str, list[str]]:
    """Read files of edges as one: {kind: ids in order of appearance}, heads before tails.

    Raises InputError where a file can't be read, and for a header that a trainer might count.
    """
    from kgtextvec.triples import open_edges, say_columns

    nodes: dict[str, None] = {}
    relations: dict[str, None] = {}
    files = open_edges(paths, how)
    for file in files:
        text = not (file.is_parquet or file.is_json)
        if text and file.header and file.width == 3 and how.header == "auto":
            raise InputError(
                f"{file.path}: line 1 is a header ({', '.join(file.names or [])}); trainers that"
                " don't skip it number its words as ids. Remove it, for both; or set graph.header:"
                " true if yours skips it, false if not."
            )
        for found, parts in ((nodes, ("head", "tail")), (relations, ("relation",))):
            for some in file.distinct(parts):
                found.update(dict.fromkeys(some))
    say_columns(files)
    return {ENTITIES.name: list(nodes), RELATION_TYPES.name: list(relations)}


def fields_of_first_line(path: Path) -> int:
    """Return how many tab-separated fields the first line of a text file has."""
    _, first = next(numbered_lines(path), (0, ""))
    return first.count("\t") + 1


def refuse_unread(path: Path, trainer: str) -> None:
    """Raise InputError for a file that a trainer can't read, or misreads."""
    from kgtextvec.unpacked import UnpackedFile

    with UnpackedFile(path) as stream:
        if stream.packed:
            raise InputError(
                f"{path}: {trainer} reads no {stream.packed} files. Unpack it, for both."
            )
        if stream.read(3) == b"\xef\xbb\xbf":
            raise InputError(
                f"{path}: begins with a byte order mark, which {trainer} takes for a part of the"
                " first id. Remove it, for both."
            )


def note_header(path: Path, fields: Sequence[str], trainer: str) -> None:
    """Log that a first line looks like a header, and that the trainer counts it as a triple."""
    from kgtextvec.edge_columns import is_header

    if is_header(fields):
        say(f"NOTE: {path}: line 1 looks like a header. {trainer} reads it as a triple; so do we.")


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number, line without its end) of a text file, plain or gzip, UTF-8."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"  # what gzip begins with
            file.seek(0)
            lines = gzip.GzipFile(fileobj=file) if packed else file
            for number, line in enumerate(lines, start=1):
                yield number, line.decode("utf-8").rstrip("\r\n")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Set align.to to the consumer's file.") from None
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise InputError(f"{path}: can't be read ({error}). Give it as UTF-8 text.") from None


def two_fields(path: Path, number: int, fields: Sequence[str]) -> Sequence[str]:
    """Return the fields of a line of a map. Raises InputError unless there are two."""
    if len(fields) != 2:
        hint = (
            "If these are triples, set form: triples." if len(fields) == 3 else "Correct the line."
        )
        raise InputError(
            f"{path}: line {number} has {len(fields)} fields, an id map has two. {hint}"
        )
    return fields


def read_row_then_id(path: Path) -> MapLines:
    """Read lines of row, tab, id."""
    for number, line in numbered_lines(path):
        row, identifier = two_fields(path, number, line.split("\t"))
        yield number, row, identifier


def read_id_then_row(path: Path) -> MapLines:
    """Read lines of id, tab, row."""
    for number, line in numbered_lines(path):
        identifier, row = two_fields(path, number, line.split("\t"))
        yield number, row, identifier


def row_then_id(ids: Sequence[str]) -> Iterable[str]:
    """Return lines of row, tab, id."""
    return (f"{row}\t{identifier}\n" for row, identifier in enumerate(ids))


def id_then_row(ids: Sequence[str]) -> Iterable[str]:
    """Return lines of id, tab, row."""
    return (f"{identifier}\t{row}\n" for row, identifier in enumerate(ids))


def ids_by_row(path: Path, lines: Sequence[tuple[int, str, str]]) -> list[str]:
    """Return the ids of a map by row; rows must be 0 … n-1 and ids distinct."""
    ids: list[str | None] = [None] * len(lines)
    seen: dict[str, int] = {}
    for line, text, identifier in lines:
        try:
            row = int(text)
        except ValueError:
            hint = "Correct the line."
            if identifier.isascii() and identifier.isdigit():
                hint = (
                    "If the columns are swapped, correct the form: dglke has row, id; drkg id, row."
                )
            raise InputError(f"{path}: line {line}: {text!r} is not a row number. {hint}") from None
        if not 0 <= row < len(ids):
            raise InputError(
                f"{path}: line {line}: row {row} of {identifier!r} isn't in 0 … {len(ids) - 1},"
                f" and the map has {len(ids)} ids. Correct the line."
            )
        if ids[row] is not None:
            raise InputError(
                f"{path}: line {line}: row {row} appears twice, first for {ids[row]!r}."
                " Correct the line."
            )
        if identifier in seen:
            raise InputError(
                f"{path}: line {line}: the id {identifier!r} appears twice, first in line"
                f" {seen[identifier]}. Correct the line."
            )
        ids[row] = identifier
        seen[identifier] = line
    return [identifier for identifier in ids if identifier is not None]
