"""JSON lines: one object a line, read by msgspec."""

import re
from collections.abc import Iterator, Sequence
from itertools import chain, compress, islice
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np

from kgtextvec.texts.blocks import LONGEST_ROW, Batch, unusual
from kgtextvec.texts.encodings import ENCODING_HINT, as_utf8, bad_byte, codec_name
from kgtextvec.texts.findings import TableError, plain
from kgtextvec.texts.formats import OpenFile, TableFormat
from kgtextvec.texts.header import UNIT, Header

ROWS_READ = 20_000
# So many first lines tell which columns there are.
LINES_LOOKED_AT = 10_000
# A line that may hold several objects, which msgspec's decode_lines would take for as many lines.
TWO_OBJECTS = re.compile(rb"\}[ \t\r]*\{")
# Escapes of control characters, of line breaks and of U+FEFF.
ODD_ESCAPE = re.compile(rb"\\(?:[bfnrt]|u00(?:[018-9][0-9a-fA-F]|7[fF])|u[fF][eE][fF][fF])")


def is_json_lines(file: OpenFile) -> bool:
    """Tell whether the first line is a JSON object."""
    line = file.first_line().strip()
    if not line.startswith("{"):
        return False
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except msgspec.DecodeError:
        # An object as long as the head was cut; one over several lines is no JSON lines.
        return line.startswith('{"') and len(line) > len(file.head) // 2


class JsonLines:
    """One pass over JSON lines: open, take, batches. Lists come with UNIT between their parts."""

    unit = "line"

    def __init__(self, file: OpenFile) -> None:
        """Take the open file."""
        self.file, self.findings = file, file.findings
        self.at = file.before + 1

    def open(self) -> Header:
        """Return the columns: those named elsewhere, or the keys of the first lines."""
        self.codec = codec_name(self.file.how.encoding)
        self.lines = lines_in(as_utf8(self.file.blocks, self.codec))
        names = dict.fromkeys(self.file.names)
        if not names:
            first = list(islice(self.lines, LINES_LOOKED_AT))
            self.lines = chain(first, self.lines)
            for line in first:
                try:
                    found = msgspec.json.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue
                if isinstance(found, dict):
                    names |= dict.fromkeys(found)
        if not names:
            raise TableError("format", f"line {self.at} is not a JSON object. Is this a table?")
        self.names = [*names]
        return Header(self.names, lists=True)

    def take(self, columns: dict[str, int], keys: Sequence[int]) -> None:
        """Choose the columns; `keys` play no part, since no line can swallow another."""
        self.columns = {name: self.names[place] for name, place in columns.items()}

    def batches(self) -> Iterator[Batch]:
        """Yield the rows; lines that aren't objects of plain values become findings."""
        theirs = list(dict.fromkeys(self.columns.values()))
        fields = [f"c{place}" for place in range(len(theirs))]
        row = msgspec.defstruct(
            "JsonRow",
            [(field, Any, None) for field in fields],
            rename=dict(zip(fields, theirs, strict=True)),
            gc=False,
        )
        decoder = msgspec.json.Decoder(row)
        while block := list(islice(self.lines, ROWS_READ)):
            data = b"\n".join(block)
            starts: Sequence[int] = range(self.at, self.at + len(block))
            rows = rows_at_once(decoder, data, len(block))
            if rows is None:
                rows, starts = self.line_by_line(decoder, block)
            self.at += len(block)
            kept = [True] * len(rows)
            values = {}
            for field, name in zip(fields, theirs, strict=True):
                column = list(map(attrgetter(field), rows))
                if set(map(type, column)) != {str}:
                    self.as_strings(column, name, starts, kept)
                values[name] = column
            if not all(kept):
                values = {name: list(compress(column, kept)) for name, column in values.items()}
                starts = list(compress(starts, kept))
            if starts:
                columns = {ours: values[name] for ours, name in self.columns.items()}
                odd = unusual(data) or ODD_ESCAPE.search(data) is not None
                yield Batch(np.array(starts, dtype=np.int64), columns, odd)

    def line_by_line(
        self, decoder: msgspec.json.Decoder[Any], block: Sequence[bytes]
    ) -> tuple[list[Any], list[int]]:
        """Decode lines one by one: return the objects and their lines' numbers; the rest is bad."""
        rows, starts = [], []
        for number, line in enumerate(block, self.at):
            try:
                rows.append(decoder.decode(line))
                starts.append(number)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self.refuse(number, line, error)
        return rows, starts

    def as_strings(
        self, column: list[Any], name: str, starts: Sequence[int], kept: list[bool]
    ) -> None:
        """Make a column's values strings, in place; unmark rows that hold other things."""
        for place, value in enumerate(column):
            if type(value) is str:
                continue
            text = shown_value(value)
            if text is None:
                kept[place], text = False, ""
                what = f"holds an object, or a list of objects, in {plain(name)}"
                self.bad(
                    "json_value", starts[place], what, "Use text, a number, or a list of these"
                )
            column[place] = text

    def refuse(self, number: int, line: bytes, error: Exception) -> None:
        """Record a line that can't be read."""
        fault = bad_byte(line, self.codec != "utf-8")
        if not line.strip():
            self.findings.add("blank_lines", number, f"line {number}", title="blank line skipped")
        elif fault:
            name = "UTF-8" if self.codec == "utf-8" else self.file.how.encoding
            self.bad("encoding", number, fault.shown(name), ENCODING_HINT)
        else:
            what = f"is not a JSON object ({plain(str(error))})"
            self.bad("json", number, what, "Write one complete object per line")

    def bad(self, kind: str, line: int, what: str, hint: str) -> None:
        """Record a line that can't be used: an error, or left out if bad_lines says so."""
        self.findings.bad_line(kind, line, what, hint, self.file.how.bad_lines)


def rows_at_once(decoder: msgspec.json.Decoder[Any], data: bytes, lines: int) -> list[Any] | None:
    """Decode lines in one go; None unless each of them is one object."""
    if TWO_OBJECTS.search(data):
        return None
    try:
        rows = decoder.decode_lines(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return rows if len(rows) == lines else None


def shown_value(value: Any) -> str | None:
    """Return a JSON value as a field's text, a list with UNIT between its parts; None: neither."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        parts = [None if isinstance(one, list) else shown_value(one) for one in value]
        if None not in parts:
            return UNIT.join(str(part).replace(UNIT, " ") for part in parts)
    return None


def lines_in(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield lines without their ends. Raises TableError at one that is too long."""
    rest = b""
    number = 1
    for block in blocks:
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        number += len(lines)
        yield from lines
        if len(rest) > LONGEST_ROW:
            raise TableError(
                "long_line",
                f"line {number} is longer than {LONGEST_ROW >> 20} MiB. Is this a table?",
                number,
            )
    if rest:
        yield rest


FORMAT = TableFormat("JSON lines: one object a line", 5, is_json_lines, JsonLines)
