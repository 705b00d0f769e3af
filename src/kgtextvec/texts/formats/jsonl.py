"""JSON lines: one object a line, read by msgspec."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import msgspec
import numpy as np

from kgtextvec.texts.blocks import LONGEST_ROW, Batch
from kgtextvec.texts.encodings import ENCODING_HINT, as_utf8, bad_byte, codec_name
from kgtextvec.texts.findings import TableError, plain
from kgtextvec.texts.formats import OpenFile, TableFormat
from kgtextvec.texts.header import UNIT, Header

ROWS_READ = 20_000
# So many first lines tell which columns there are.
LINES_LOOKED_AT = 10_000


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
        decode = msgspec.json.Decoder(row).decode
        while block := list(islice(self.lines, ROWS_READ)):
            rows, starts = [], []
            for number, line in enumerate(block, self.at):
                try:
                    rows.append(decode(line))
                    starts.append(number)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    self.refuse(number, line, error)
            self.at += len(block)
            kept = [True] * len(rows)
            values = {}
            for field, name in zip(fields, theirs, strict=True):
                column = [getattr(one, field) for one in rows]
                if not all(type(one) is str for one in column):
                    self.as_strings(column, name, starts, kept)
                values[name] = column
            if not all(kept):
                values = {
                    name: [one for one, stays in zip(column, kept, strict=True) if stays]
                    for name, column in values.items()
                }
                starts = [one for one, stays in zip(starts, kept, strict=True) if stays]
            odd = any(not one.isprintable() for column in values.values() for one in column)
            if starts:
                columns = {ours: values[name] for ours, name in self.columns.items()}
                yield Batch(np.array(starts, dtype=np.int64), columns, odd)

    def as_strings(self, column: list[Any], name: str, starts: list[int], kept: list[bool]) -> None:
        """Make a column's values strings, in place; unmark rows that hold other things."""
        for place, value in enumerate(column):
            if type(value) is str:
                continue
            text = shown_value(value)
            if text is None:
                kept[place], text = False, ""
                what = f"holds an object, or a list of them, in {plain(name)}"
                self.bad("json_value", starts[place], what, "Give text, a number or a list of them")
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
