"""From a table's files to readers of their rows: headers of their own, formats, several files."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kgtextvec.errors import InputError
from kgtextvec.part_files import own_header
from kgtextvec.registry import FORMATS
from kgtextvec.settings.tables import Reading
from kgtextvec.texts.containers import (
    NAMES,
    open_blocks,
    refuse_ontologies,
    refuse_other_formats,
    with_head,
)
from kgtextvec.texts.findings import Findings, TableError, plain
from kgtextvec.texts.formats import OpenFile, TableReader

# Bytes that a format is recognised by.
HEAD_BYTES = 1 << 16
TAB_NAMES = (".tsv", ".tab")


def open_table(
    path: Path,
    findings: Findings,
    how: Reading,
    seen: Callable[[int], None] | None = None,
    names: Sequence[str] = (),
    before: int = 0,
) -> tuple[str, TableReader]:
    """Return the format of a table's file and the reader of its rows, not yet opened.

    `names`: its columns, if it has no header. `before`: lines counted before it. `seen` is called
    with the number of bytes read. Raises TableError for what is no table, or one in another format
    than its name says.
    """
    blocks = open_blocks(path, findings, seen, how.max_ratio, refuse=False)
    head, blocks = with_head(blocks, HEAD_BYTES)
    opened = OpenFile(path, head, blocks, findings, how, names or how.header, before)
    name = how.format
    if name == "auto":
        refuse_ontologies(head)
        name = recognised(opened)
        check_name(path, name, opened)
    if name in ("tsv", "csv"):
        refuse_other_formats(head, path.suffix.lower() in NAMES)
    return name, FORMATS[name].reader(opened)


def recognised(file: OpenFile) -> str:
    """Return the name of the first format, by rank, that recognises a file."""
    ranked = sorted(FORMATS.names(), key=lambda name: (FORMATS[name].rank, name))
    return next(name for name in ranked if FORMATS[name].recognises(file))


def check_name(path: Path, name: str, file: OpenFile) -> None:
    """Raise TableError when a file that is named .tsv is of another format."""
    suffixes = [one for one in path.suffixes if one.lower() not in NAMES]
    if name == "tsv" or not suffixes or suffixes[-1].lower() not in TAB_NAMES:
        return
    if name == "csv":
        FORMATS["tsv"].reader(file).open()  # says what is there instead of tabs, or another fault
    raise TableError(
        "format",
        f"the file is {FORMATS[name].description}, although it is named {plain(suffixes[-1])}."
        f" Rename it, or set format: {name}.",
        1,
    )


def header_names(header: Path, how: Reading) -> list[str]:
    """Return the columns in a header file: its first line. Raises InputError."""
    try:
        _, reader = open_table(header, Findings(), how)
        return reader.open().names
    except InputError as error:
        raise InputError(f"header_file: {plain(str(header), 200)}: {error}") from None


def readers_of(
    files: Sequence[Path],
    headers: Sequence[Path],
    findings: Findings,
    how: Reading,
    seen: Callable[[int], None] | None,
) -> Iterator[tuple[str, TableReader]]:
    """Yield (format, reader) of each file in turn; lines are counted through all of them.

    Each reader must be at its end before the next is asked for. With several files the findings
    say where each of the first ones begins.
    """
    if headers and how.header:
        raise InputError("header_file: the table sets header, too. Remove one of them.")
    before = 0
    names: dict[Path, list[str]] = {}
    for path in files:
        header = own_header(path, headers) if headers else None
        if header is not None and header not in names:
            names[header] = header_names(header, how)
        given = names[header] if header is not None else ()
        if len(files) > 1:
            findings.starts.append((before, path.name))
        name, reader = open_table(path, findings, how, seen, given, before)
        yield name, reader
        before = reader.at - 1
