"""The first line of a table: its columns, or why it isn't a header."""

from collections import Counter, defaultdict
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


def match_columns(
    header: Header, needed: Sequence[str], optional: Sequence[str], findings: Findings, line: int
) -> dict[str, int]:
    """Return name → place of the columns `needed`, then of those `optional` that are there.

    A column whose name differs only in case or in blanks around it is taken, with a warning, when
    there is one such column; an exact name wins. Columns that stand twice are warned of if they
    aren't needed. Raises TableError that says what is missing or twice, and what was found.
    """
    places = {name: place for place, name in reversed([*enumerate(header.names)])}
    twice = [name for name, count in Counter(header.names).items() if name and count > 1]
    alike = defaultdict[str, list[str]](list)
    for name in places:
        if name not in needed and name not in optional:
            alike[simplified(name)].append(name)
    for name in dict.fromkeys((*needed, *optional)):
        found = alike[simplified(name)] if name not in places else []
        if len(found) == 1 and found[0] not in twice:
            places[name] = places[found[0]]
            findings.add("column_name", line, f"column {plain(found[0])!r} was read as {name}")
    faults = [
        f"column {plain(name)} stands twice in the header: remove or rename one"
        for name in twice
        if name in needed
    ]
    missing = [name for name in needed if name not in places]
    if missing:
        faults.append(missing_columns(header.names, missing, needed))
    if faults:
        raise TableError("columns", "; ".join(faults), line)
    for name in twice:
        findings.add(
            "duplicate_column", line, f"column {plain(name)}, which is not used, stands twice"
        )
    wanted = dict.fromkeys((*needed, *optional))
    return {name: places[name] for name in wanted if name in places}


def missing_columns(names: list[str], missing: list[str], needed: Sequence[str]) -> str:
    """Return what to say of columns that aren't there."""
    near = {simplified(name): name for name in names}
    alike = [
        f"{plain(near[simplified(name)])!r} to {name}"
        for name in missing
        if simplified(name) in near
    ]
    hint = f" Rename {', '.join(alike)}" if alike else ""
    if not hint and not {simplified(name) for name in needed} & set(near):
        hint = " Does the table lack its header line?"
    found = ", ".join(plain(name, 30) for name in names[:12])
    found += ", …" if len(names) > 12 else ""
    absent = ", ".join(f"column {plain(name)} missing" for name in missing)
    return f"{absent}. Found: {found}.{hint}"


def simplified(name: str) -> str:
    """Return a column's name without blanks and byte order marks around it, in lower case."""
    return name.strip().strip("\ufeff").strip().lower()
