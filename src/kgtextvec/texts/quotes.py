"""Quoted fields: `"` at the start of a field opens, `""` inside stands for `"` (RFC 4180)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class QuotedRow:
    """One row: its fields, the index after its last line, and what is wrong ("" if nothing)."""

    fields: list[str]
    end: int
    problem: str = ""


def split_line(line: str) -> list[str] | None:
    """Split a line whose quoted fields, if any, all open and close within one piece of it.

    None when a quoted field holds a tab, goes over the line's end or is faulty: that is
    split_rows' part.
    """
    fields = line.split("\t")
    for position, field in enumerate(fields):
        if field[:1] == '"':
            inside = field[1:-1]
            if len(field) < 2 or field[-1] != '"' or '"' in inside.replace('""', ""):
                return None
            fields[position] = inside.replace('""', '"')
    return fields


def split_rows(lines: list[str], start: int) -> QuotedRow | None:
    r"""Read the row that starts at `lines[start]`; lines come without their `\n`.

    None when the lines end inside a quoted field. A `\r` at the row's very end belongs to the
    line end; one inside quotes is kept. The problem of a row, if any, names the field (1-based).
    """
    fields: list[str] = []
    index, position = start, 0
    line = lines[start]
    while True:
        if line[position : position + 1] != '"':
            tab = line.find("\t", position)
            if tab < 0:
                fields.append(line[position:].removesuffix("\r"))
                return QuotedRow(fields, index + 1)
            fields.append(line[position:tab])
            position = tab + 1
            continue
        parts = []
        position += 1
        while True:
            quote = line.find('"', position)
            if quote < 0:
                parts.append(line[position:])
                index += 1
                if index == len(lines):
                    return None
                parts.append("\n")
                line, position = lines[index], 0
            elif line[quote + 1 : quote + 2] == '"':
                parts.append(line[position : quote + 1])
                position = quote + 2
            else:
                parts.append(line[position:quote])
                position = quote + 1
                break
        fields.append("".join(parts))
        rest = line[position:]
        if rest in {"", "\r"}:
            return QuotedRow(fields, index + 1)
        if rest[0] != "\t":
            return QuotedRow(
                fields,
                index + 1,
                f"field {len(fields)} opens with a quote and goes on after the closing one",
            )
        position += 1
