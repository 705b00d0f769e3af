"""The first line of a table: its columns, or why it isn't a header."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from kgtextvec.texts.encodings import bad_byte
from kgtextvec.texts.findings import Findings, TableError, plain
from kgtextvec.texts.quotes import split_line

SEPARATORS = {",": "comma", ";": "semicolon", "|": "bar"}


@dataclass(frozen=True)
class Header:
    """Columns in order, and the header's bytes with line end, as they'd look if it came again."""

    names: list[str]
    again: bytes


def first_line(blocks: Iterator[bytes], longest: int) -> tuple[bytes, list[int], Iterator[bytes]]:
    """Return the first line that isn't blank, the numbers of the blank ones, and what follows.

    Raises TableError when there is none, or it is longer than `longest` bytes.
    """
    data = b""
    blank: list[int] = []
    number, start = 1, 0
    for block in blocks:
        data += block
        while (end := data.find(b"\n", start)) >= 0:
            line = data[start:end]
            start = end + 1
            if line.strip():
                return line, blank, chain([data[start:]], blocks)
            blank.append(number)
            number += 1
        if len(data) > longest:
            raise TableError("long_line", f"line {number} has no end. Is this a table?", number)
    if data[start:].strip():
        return data[start:], blank, iter(())
    raise TableError("empty_file", "the file holds only blank lines. Make or fetch it again.")


def read_header(line: bytes, number: int, findings: Findings, encoding: str) -> Header:
    """Return the columns' names. Raises TableError for a line that is no header of a TSV."""
    line = line.removesuffix(b"\r")
    fault = bad_byte(line, False)
    if fault:
        raise TableError(
            "encoding",
            f"line {number} is not {plain(encoding)} (byte 0x{fault[0]:02x} at column {fault[1]})."
            " Is this a text table? If it is in another encoding, set encoding, such as latin-1.",
            number,
        )
    text = line.decode("utf-8")
    if text.startswith("#"):
        raise TableError(
            "comment",
            f"line {number} starts with #: lines of comment are not read, and a header must not"
            " start so. Remove the line, or the # if this is the header.",
            number,
        )
    if "\t" not in text:
        counts = {mark: text.count(mark) for mark in SEPARATORS}
        mark = max(counts, key=lambda mark: counts[mark])
        if not counts[mark] and len(text.split()) > 1:
            raise TableError(
                "separator",
                f"line {number} has no tab but blanks. Columns must be separated by tabs: export"
                " the table as TSV.",
                number,
            )
        if counts[mark]:
            raise TableError(
                "separator",
                f"line {number} has no tab: the table is {SEPARATORS[mark]}-separated. Columns must"
                " be separated by tabs: export it as TSV.",
                number,
            )
    names = split_line(text)
    if names is None:
        raise TableError("quotes", f"line {number}: a quote in the header is not closed.", number)
    unnamed = [str(place + 1) for place, name in enumerate(names) if not name.strip()]
    if unnamed:
        findings.add(
            "unnamed_column",
            number,
            f"column {', '.join(unnamed[:5])} has no name and is not read",
        )
    again = text.encode() + b"\n"
    return Header(names, again)


def check_columns(header: Header, needed: Sequence[str], findings: Findings, line: int) -> None:
    """Check that each column of `needed` is there once; others twice are only warned of.

    Raises TableError that tells what was found, and a column that differs only in blanks or case.
    """
    names = header.names
    twice = list(dict.fromkeys(name for name in names if name and names.count(name) > 1))
    faults = [
        f"column {plain(name)} stands twice in the header: remove or rename one"
        for name in twice
        if name in needed
    ]
    missing = [name for name in needed if name not in names]
    if missing:
        near = {name.strip().strip("\ufeff").lower(): name for name in names}
        alike = [f"{plain(near[name])!r} to {name}" for name in missing if name in near]
        hint = f" Rename {', '.join(alike)}" if alike else ""
        if not hint and not set(needed) & {name.strip().lower() for name in names}:
            hint = " Does the table lack its header line?"
        found = ", ".join(plain(name, 30) for name in names[:12])
        found += ", …" if len(names) > 12 else ""
        told = ", ".join(f"column {plain(name)} missing" for name in missing)
        faults.append(f"{told}. Found: {found}.{hint}")
    if faults:
        raise TableError("columns", "; ".join(faults), line)
    for name in twice:
        findings.add(
            "duplicate_column", line, f"column {plain(name)}, which is not used, stands twice"
        )
