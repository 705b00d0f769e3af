"""Quoted fields: `"` at the start of a field opens, `""` inside stands for `"` (RFC 4180).

The delimiter and the quote may be other characters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kgtextvec.texts.blocks import strings_in


@dataclass(frozen=True)
class QuotedRow:
    """One row: its fields, the index after its last line, and what is wrong ("" if nothing)."""

    fields: list[str]
    end: int
    problem: str = ""


def split_line(line: str, delimiter: str = "\t", quote: str = '"') -> list[str] | None:
    """Split a line whose quoted fields, if any, all open and close within one piece of it.

    None when a quoted field holds the delimiter, goes over the line's end or is faulty: that is
    split_rows' part.
    """
    fields = line.split(delimiter)
    for position, field in enumerate(fields):
        if field[:1] == quote:
            inside = field[1:-1]
            if len(field) < 2 or field[-1] != quote or quote in inside.replace(quote * 2, ""):
                return None
            fields[position] = inside.replace(quote * 2, quote)
    return fields


def split_rows(
    lines: list[str], start: int, delimiter: str = "\t", quote: str = '"'
) -> QuotedRow | None:
    r"""Read the row that starts at `lines[start]`; lines come without their `\n`.

    None when the lines end inside a quoted field. A `\r` at the row's very end belongs to the
    line end; one inside quotes is kept. The problem of a row, if any, names the field (1-based).
    """
    fields: list[str] = []
    index, position = start, 0
    line = lines[start]
    while True:
        if line[position : position + 1] != quote:
            end = line.find(delimiter, position)
            if end < 0:
                fields.append(line[position:].removesuffix("\r"))
                return QuotedRow(fields, index + 1)
            fields.append(line[position:end])
            position = end + 1
            continue
        parts = []
        position += 1
        while True:
            mark = line.find(quote, position)
            if mark < 0:
                parts.append(line[position:])
                index += 1
                if index == len(lines):
                    return None
                parts.append("\n")
                line, position = lines[index], 0
            elif line[mark + 1 : mark + 2] == quote:
                parts.append(line[position : mark + 1])
                position = mark + 2
            else:
                parts.append(line[position:mark])
                position = mark + 1
                break
        fields.append("".join(parts))
        rest = line[position:]
        if rest in {"", "\r"}:
            return QuotedRow(fields, index + 1)
        if rest[0] != delimiter:
            return QuotedRow(
                fields,
                index + 1,
                f"field {len(fields)} starts with a quote and goes on after the closing one",
            )
        position += 1


def quotes_are_plain(data: bytes, delimiter: bytes, quote: bytes) -> bool:
    r"""Tell whether quotes stand as RFC 4180 has them, if no quoted field holds a line break.

    Each line of `data` ends with `\n`. False if a quote is anywhere but around a field or doubled
    in a quoted one, or if a CR is anywhere but at the end of a line. A quote with an even number
    of quotes before it must open a field or be the second of a pair that stands for one; any
    other must close a field or be the first of such a pair.
    """
    flat = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(flat == quote[0])
    if len(quotes) % 2 or (b"\r" in data and data.count(b"\r") != data.count(b"\r\n")):
        return False
    fits = np.zeros(256, dtype=bool)
    fits[[*b"\n\r", delimiter[0], quote[0]]] = True
    opening, closing = quotes[::2], quotes[1::2]
    before = flat[opening - 1]  # of the first byte: the last one, a line break
    return bool(fits[before].all() and fits[flat[closing + 1]].all())


def read_quoted(
    data: bytes, delimiter: str, quote: str, width: int, wanted: Sequence[int]
) -> dict[int, list[str]] | None:
    """Return the columns `wanted` of whole rows, for which quotes_are_plain, read by pyarrow.

    None if a row has another number of fields or a line break in a field, or where bytes of any
    column are not UTF-8.
    """
    import pyarrow as pa
    from pyarrow import csv

    names = [str(place) for place in range(width)]
    ends = pa.py_buffer(np.array([0, len(data)], dtype=np.int32))
    try:
        pa.StringArray.from_buffers(1, ends, pa.py_buffer(data)).validate(full=True)  # as UTF-8
        table = csv.read_csv(
            pa.BufferReader(data),
            csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
            csv.ParseOptions(delimiter=delimiter, quote_char=quote, ignore_empty_lines=False),
            csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=[names[place] for place in wanted],
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != np.count_nonzero(np.frombuffer(data, dtype=np.uint8) == 10):
        return None
    return {place: strings_in(table[names[place]].combine_chunks()) for place in wanted}
