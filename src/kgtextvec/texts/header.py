"""The first line of a table: its columns, or why it isn't a header."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from kgtextvec.errors import most_like
from kgtextvec.texts.encodings import bad_byte
from kgtextvec.texts.findings import Findings, TableError, plain
from kgtextvec.texts.quotes import split_line, split_rows

SEPARATORS = {",": "comma", ";": "semicolon", "|": "bar"}


# Between the values of a list that the format itself knows as one: no text of a table holds it.
UNIT = "\x1f"
# What others call our columns; matched in lower case, without blanks, hyphens and underscores.
OTHER_NAMES = {
    "id": ("id", "nodeid", "entityid", "identifier", "curie", "node", ":id", "symbol", "term"),
    "label": (":label", "category", "kind", "type", "nodetype", "entitytype", "class"),
    "name": ("name", "nodename", "entityname", "preferredname", "title", "symbol", "lbl"),
    "description": ("description", "definition", "def", "summary", "comment", "desc"),
    "relation_type": ("relationtype", "predicate", "relation", "metaedge", ":type", "edgetype"),
}


@dataclass(frozen=True)
class Header:
    """Columns in order, and the header's bytes with line end, as they'd look if it came again.

    `lists`: whether values may be lists, with UNIT between their parts.
    """

    names: list[str]
    again: bytes = b""
    lists: bool = False


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
    raise TableError("empty_file", "the file holds only blank lines. Create or fetch it again.")


def read_header(
    line: bytes,
    number: int,
    findings: Findings,
    encoding: str,
    delimiter: str = "\t",
    quote: str = '"',
) -> Header:
    """Return the columns' names. Raises TableError for a line that is no header of such a table."""
    line = line.removesuffix(b"\r")
    fault = bad_byte(line, False)
    if fault:
        raise TableError(
            "encoding",
            f"line {number} {fault.shown(encoding)}."
            " Is this a text table? If it is in another encoding, set encoding, such as latin-1.",
            number,
        )
    text = line.decode("utf-8")
    if text.startswith("#"):
        raise TableError(
            "comment",
            f"line {number} starts with #, and comment lines are not supported. Remove the line, or"
            " the # if this is the header.",
            number,
        )
    if delimiter == "\t" and "\t" not in text:
        counts = {mark: text.count(mark) for mark in SEPARATORS}
        mark = max(counts, key=lambda mark: counts[mark])
        if not counts[mark] and len(text.split()) > 1:
            raise TableError(
                "separator",
                f"line {number} has spaces but no tab. Columns must be separated by tabs: export"
                " the table as TSV.",
                number,
            )
        if counts[mark]:
            raise TableError(
                "separator",
                f"line {number} has no tab: the table is {SEPARATORS[mark]}-separated, although"
                " its name or format says tabs. Rename it to .csv, or set format: csv.",
                number,
            )
    names = split_line(text, delimiter, quote)
    if names is None and (row := split_rows([text], 0, delimiter, quote)) and not row.problem:
        names = row.fields
    if names is None:
        raise TableError(
            "quotes", f"line {number}: a quote in the header is not closed. Close it.", number
        )
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
    header: Header,
    needed: Sequence[str],
    optional: Sequence[str],
    findings: Findings,
    line: int | None,
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
    hint = f" Rename {', '.join(alike)}" if alike else columns_hint(names, missing)
    if not hint and not {simplified(name) for name in needed} & set(near):
        hint = " Does the table lack its header line?"
        if len(names) == 1:
            hint = (
                " If it is a plain list, such as symbols, set header: [id], columns: {name: id},"
                " text: [name] and label: Gene, or whatever they are"
            )
    found = ", ".join(plain(name, 30) for name in names[:12])
    found += ", …" if len(names) > 12 else ""
    absent = ", ".join(f"column {plain(name)} missing" for name in missing)
    return f"{absent}. Found: {found}.{hint}"


def simplified(name: str) -> str:
    """Return a column's name without blanks and byte order marks around it, in lower case."""
    return name.strip().strip("\ufeff").strip().lower()


def key_of(name: str) -> str:
    """Return a column's name as OTHER_NAMES has it; of `id:ID(Gene)`, `:id`."""
    typed = neo4j_type(name)
    found = f":{typed}" if typed in ("ID", "LABEL", "TYPE", "START_ID", "END_ID") else ""
    return (found or name.partition(":")[0] or name).lower().translate(DROPPED)


DROPPED = str.maketrans("", "", " -_\ufeff")
NEO4J = re.compile(
    r"[^:]*:(ID|LABEL|TYPE|START_ID|END_ID|IGNORE|(?:int|long|float|double|boolean|byte|short|char"
    r"|string|point|date|localtime|time|localdatetime|datetime|duration)(?:\[\])?)"
    r"(?:\([^()]*\))?(?:\{[^{}]*\})?"
)


def neo4j_type(name: str) -> str:
    """Return the type in a column's name as Neo4j's import writes it, `string[]`; "" if none."""
    found = NEO4J.fullmatch(name)
    return found[1] if found else ""


def columns_hint(names: Sequence[str], missing: Sequence[str]) -> str:
    """Return a sentence that offers a mapping for columns that are missing, "" if there is none."""
    found = {}
    for ours in missing:
        for other in OTHER_NAMES.get(ours, ()):
            theirs = [name for name in names if key_of(name) == other.translate(DROPPED)]
            if theirs:
                found[ours] = theirs[0]
                break
    kinds = [name for name in names if key_of(name) in ("type", "category", "kind", "nodetype")]
    if "name" in missing and "name" not in found and "label" in names and kinds:
        found = {"label": kinds[0], "name": "label"} | found  # `label` is the name, as in PrimeKG
    if not found:
        return ""
    mapping = ", ".join(f"{ours}: {plain(theirs, 40)}" for ours, theirs in found.items())
    return f" If these are the right columns, set columns: {{{mapping}}}"


def place_in(names: Sequence[str], theirs: str) -> int | None:
    """Return the place of a column that a user named; None if there is no such column, or two.

    `:ID` and `:LABEL` stand for Neo4j's `id:ID(Gene)` and `:LABEL`, `name` for its `name:string`.
    """
    exact = [place for place, name in enumerate(names) if name == theirs]
    if not exact:
        wanted = theirs.removeprefix(":") if theirs.startswith(":") else None
        exact = [
            place
            for place, name in enumerate(names)
            if (kind := neo4j_type(name))
            and (kind == wanted if wanted else name.partition(":")[0] == theirs)
        ]
    return exact[0] if len(exact) == 1 else None


def absent_column(names: Sequence[str], theirs: str) -> str:
    """Return what to say of a column that a user named and that isn't there, or is there twice."""
    if names.count(theirs) > 1:
        return f"column {plain(theirs)} stands twice in the header: remove or rename one"
    near = most_like(theirs, names)
    found = ", ".join(plain(name, 30) for name in names[:12]) + (", …" if len(names) > 12 else "")
    advice = f"Did you mean {plain(near)}?" if near else f"Found: {found}"
    return f"there is no column {plain(theirs)}. {advice}"
