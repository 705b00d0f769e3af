r"""Tables read strictly: rows end at `\n` only, a quote may be text, nothing is guessed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kgtextvec.errors import InputError
from kgtextvec.texts.blocks import LONGEST_ROW, Batch, cr_as_lf, length_of, unusual
from kgtextvec.texts.containers import open_blocks, with_head
from kgtextvec.texts.encodings import ENCODING_HINT, BadByte, as_utf8, bad_byte, codec_name
from kgtextvec.texts.findings import Findings, TableError, plain
from kgtextvec.texts.formats import OpenFile
from kgtextvec.texts.header import Header, first_line, read_header
from kgtextvec.texts.quotes import quotes_are_plain, read_quoted, split_line, split_rows

# A smaller block with quotes is read line by line: that takes less time than to import pyarrow.
LEAST_FOR_PYARROW = 1 << 18
QUOTE_HINT = (
    "Close the quote, double the quotes inside a quoted field, or set quoting: none if quotes are"
    " plain characters in this table"
)


@dataclass
class Reader:
    """One pass over a table; `findings` fills while `batches` runs.

    `bad_lines` is `error` or `skip`, `quoting` is `minimal` or `none`, `encoding` any text
    encoding of Python; `seen` gets the number of bytes read. A compressed file may unpack to
    `max_ratio` times its size (None: to any size). `names`: the columns of a file without a
    header. `unpacked`: the file's bytes, where it is open already. `before`: how many lines come
    before the file's first, in the files read before it. Call open, take, batches.
    """

    path: Path
    findings: Findings
    bad_lines: str = "error"
    quoting: str = "minimal"
    encoding: str = "utf-8"
    seen: Callable[[int], None] | None = None
    max_ratio: int | None = None
    delimiter: str = "\t"
    quotechar: str = '"'
    names: Sequence[str] = ()
    unpacked: Iterator[bytes] | None = field(default=None, repr=False)
    before: int = 0
    unit = "line"

    def open(self) -> Header:
        """Read the header. Raises TableError when the file isn't a table."""
        self.codec = codec_name(self.encoding)
        self.mark, self.quote = self.delimiter.encode(), self.quotechar.encode()
        packed = self.unpacked or open_blocks(self.path, self.findings, self.seen, self.max_ratio)
        blocks = as_utf8(packed, self.codec)
        head, blocks = with_head(blocks, 1 << 16)
        while b"\n" not in head and len(head) < LONGEST_ROW:
            longer, blocks = with_head(blocks, 2 * len(head) + 1)
            if len(longer) == len(head):
                break
            head = longer
        if b"\r" in head.partition(b"\n")[0].removesuffix(b"\r"):
            self.findings.add(
                "line_ends",
                1,
                "lines end with CR alone (old Mac); each CR was read as a line end",
            )
            blocks = cr_as_lf(blocks)
        if self.names:
            self.blocks, self.at = blocks, self.before + 1
            again = self.delimiter.join(self.names).encode() + b"\n"
            self.header = Header([*self.names], again)
        else:
            text, blank, self.blocks = first_line(blocks, LONGEST_ROW)
            for line in blank:
                self.blank(self.before + line)
            number = self.before + len(blank) + 1
            self.at = number + 1
            self.header = read_header(
                text, number, self.findings, self.encoding, self.delimiter, self.quotechar
            )
        self.width = len(self.header.names)
        return self.header

    def take(self, columns: dict[str, int], keys: Sequence[int]) -> None:
        """Choose what to read: `columns` name → position; `keys` are the key's positions.

        Without keys the first line counts as a row like any other, and nothing is held against
        the header or against other rows' keys.
        """
        self.columns, self.keys = columns, list(keys)
        self.known: set[str] = set()

    def batches(self) -> Iterator[Batch]:
        """Yield all rows in order, block by block; bad lines become findings."""
        pending = b""
        for block in self.blocks:
            data = pending + block
            cut = data.rfind(b"\n") + 1
            if cut:
                batch, used = self.parse(data[:cut], False)
                pending = data[used:]
                if len(batch.lines):
                    yield batch
            else:
                pending = data
            if len(pending) > LONGEST_ROW and b"\n" not in pending:
                raise TableError(
                    "long_line",
                    f"line {self.at} is longer than {LONGEST_ROW >> 20} MiB. Is this a table?",
                    self.at,
                )
        if pending:
            batch, _ = self.parse(pending, True)
            if len(batch.lines):
                yield batch

    def parse(self, data: bytes, final: bool) -> tuple[Batch, int]:
        """Read whole lines; return the rows and how many bytes were used up.

        Unless `final`, a row that isn't finished is left for the next call.
        """
        mark = self.quote
        quotes = (
            self.quoting == "minimal"
            and mark in data
            and (data.startswith(mark) or self.mark + mark in data or b"\n" + mark in data)
        )
        odd = unusual(data)
        batch = self.quoted(data, odd) if quotes else self.strided(data, odd)
        if batch is not None:
            self.at += len(batch.lines)
            return batch, len(data)
        return self.by_line(data, final, odd)

    def strided(self, data: bytes, odd: bool) -> Batch | None:
        """Split blocks in which every line is a plain row in one go; None if one isn't."""
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").removesuffix(b"\r")
        if not data.endswith(b"\n"):
            data += b"\n"
        # A line that starts with a delimiter may be an empty one; the header may come again.
        mark = self.mark
        if data[:1] in (b"\n", mark) or b"\n" + mark in data or b"\n\n" in data:
            return None
        if self.keys and self.header.again in data:
            return None
        flat = np.frombuffer(data, dtype=np.uint8)
        ends = np.flatnonzero(flat == 10)
        marks = np.searchsorted(np.flatnonzero(flat == mark[0]), ends)
        if (np.diff(marks, prepend=0) != self.width - 1).any():
            return None
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            return None
        fields = text.replace("\n", self.delimiter).split(self.delimiter)
        size = len(ends) * self.width
        columns = {name: fields[place : size : self.width] for name, place in self.columns.items()}
        if len(self.keys) > 1 and self.quoting == "minimal":
            self.known.update(fields[self.keys[-1] : size : self.width])
        tabs = self.mark != b"\t" and b"\t" in data
        return Batch(np.arange(self.at, self.at + len(ends)), columns, odd or tabs)

    def quoted(self, data: bytes, odd: bool) -> Batch | None:
        """Split a block with quoted fields by pyarrow; None if not every line is a plain row."""
        if not data.endswith(b"\n"):
            data += b"\n"
        if len(data) < LEAST_FOR_PYARROW or (odd and b"\xef\xbb\xbf" in data):
            return None
        if not quotes_are_plain(data, self.mark, self.quote):
            return None
        wanted = sorted({0, *self.columns.values(), *self.keys})
        fields = read_quoted(data, self.delimiter, self.quotechar, self.width, wanted)
        if fields is None:
            return None
        # An empty line, or the header again.
        if "" in fields[0] or (self.keys and self.header.names[0] in fields[0]):
            return None
        if len(self.keys) > 1:
            self.known.update(fields[self.keys[-1]])
        rows = len(fields[0])
        columns = {name: fields[place] for name, place in self.columns.items()}
        between = rows * (self.width - 1)
        tabs = data.count(b"\t") > between if self.mark == b"\t" else b"\t" in data
        return Batch(np.arange(self.at, self.at + rows), columns, odd or tabs)

    def by_line(self, data: bytes, final: bool, odd: bool) -> tuple[Batch, int]:
        """Read line by line: quoted fields, blank, ragged and undecodable lines."""
        try:
            text = data.decode("utf-8")
            bad: dict[int, BadByte] = {}
        except UnicodeDecodeError:
            text, bad = self.decoded(data)
        lines = text.split("\n")
        closed = lines[-1] == ""
        if closed:
            lines.pop()
        rows: list[list[str]] = []
        starts: list[int] = []
        index, at, minimal = 0, self.at, self.quoting == "minimal"
        mark, quote = self.delimiter, self.quotechar
        opening, odd = mark + quote, odd or (mark != "\t" and b"\t" in data)
        carriage = "\r" in text
        while index < len(lines):
            line = lines[index]
            if carriage and line[-1:] == "\r":
                line = line[:-1]
            start, index = index, index + 1
            fields: list[str] | None
            if minimal and (opening in line or line[:1] == quote):
                fields = split_line(line, mark, quote)
                if fields is None:
                    row = split_rows(lines, start, mark, quote)
                    if row is None and not final and len(data) < LONGEST_ROW:
                        index = start
                        break
                    problem = (
                        self.quote_problem(row.fields, lines, start, row.end, rows)
                        if (row and not row.problem)
                        else (row.problem if row else "has a quote that is never closed")
                    )
                    if problem and start not in bad:
                        self.bad("quotes", at + start, problem, QUOTE_HINT)
                        continue
                    if row:
                        fields, index, odd = row.fields, row.end, True
            else:
                fields = line.split(mark)
            faults = [number for number in range(start, index) if number in bad] if bad else []
            if faults:
                for number in faults:
                    self.undecodable(at + number, bad[number])
            elif fields is None or not any(fields) or not (len(fields) > 1 or line.strip()):
                self.blank(at + start)
            elif len(fields) != self.width:
                cut = index == len(lines) and final and not closed
                self.ragged(at + start, fields, cut)
            elif self.keys and [fields[0].removeprefix("\ufeff"), *fields[1:]] == self.header.names:
                self.bad(
                    "header_again",
                    at + start,
                    "repeats the header",
                    "Were tables joined? Remove the repeated headers",
                )
            else:
                rows.append(fields)
                starts.append(at + start)
        used = len(data) if index == len(lines) else length_of(data, index)
        self.at += index
        columns = {name: [row[place] for row in rows] for name, place in self.columns.items()}
        if len(self.keys) > 1:
            self.known.update(row[self.keys[-1]] for row in rows)
        return Batch(np.array(starts, dtype=np.int64), columns, odd), used

    def quote_problem(
        self, fields: list[str], lines: list[str], start: int, end: int, rows: list[list[str]]
    ) -> str:
        """Say how a row of several lines shows that a quote went unclosed and swallowed rows.

        It does when both its first line and a later one have as many fields as the header, with
        a key that is like the others: a label that other rows have, or a relation type made of
        `::` parts. Without such a key it might be a quoted table, and is only warned of.
        """
        if not self.keys or lines[start].count(self.delimiter) != self.width - 1:
            return ""
        swallowed = [
            line.split(self.delimiter)
            for line in lines[start + 1 : end]
            if line.count(self.delimiter) == self.width - 1
        ]
        swallowed = [row for row in swallowed if all(row[key].strip() for key in self.keys)]
        if not swallowed:
            return ""
        if len(fields) == self.width and not self.are_rows(fields, swallowed, rows):
            self.findings.add(
                "quoted_rows",
                self.at + start,
                title=f"quoted field that spans lines of {self.width} fields, as rows have",
                hint="It was read as one field; check that its quote is closed at the right place",
            )
            return ""
        count = len(swallowed)
        return f"opens a quote that swallows {count} more row{'s' if count > 1 else ''}"

    def are_rows(self, fields: list[str], inner: list[list[str]], rows: list[list[str]]) -> bool:
        """Tell whether lines inside a quoted field have keys like the table's own rows."""
        key = self.keys[-1]
        if len(self.keys) == 1:
            return "::" in fields[key] and any("::" in row[key] for row in inner)
        labels = self.known | {row[key] for row in rows} | {fields[key]}
        return any(row[key] in labels for row in inner)

    def decoded(self, data: bytes) -> tuple[str, dict[int, BadByte]]:
        """Decode line by line; return the text and, by index of the line, what is wrong."""
        bad = {}
        lines = data.split(b"\n")
        for number, line in enumerate(lines):
            fault = bad_byte(line, self.codec != "utf-8")
            if fault:
                bad[number] = fault
        return data.decode("utf-8", "replace"), bad

    def bad(self, kind: str, line: int, what: str, hint: str) -> None:
        """Record a line that can't be used: an error, or left out if bad_lines says so."""
        self.findings.bad_line(kind, line, what, hint, self.bad_lines)

    def blank(self, line: int) -> None:
        """Record a line that holds nothing."""
        self.findings.add("blank_lines", line, f"line {line}", title="blank line skipped")

    def ragged(self, line: int, fields: list[str], cut: bool) -> None:
        """Record a line with too few or too many fields."""
        more = len(fields) > self.width
        what = (
            f"has {len(fields)} field{'s' if len(fields) > 1 else ''}, the header has {self.width}"
        )
        mark = "a tab" if self.delimiter == "\t" else f"the separator ({self.delimiter})"
        hint = f"Quote fields that hold {mark} or a line break"
        if fields[0].startswith("#") and not more:
            what += " (it starts with #)"
            hint = "Remove comment lines"
        elif cut:
            what += ": the file seems cut short"
            hint = "Fetch or write it again"
        self.bad("too_many_fields" if more else "too_few_fields", line, what, hint)

    def undecodable(self, line: int, fault: BadByte) -> None:
        """Record a line that isn't valid in the table's encoding."""
        name = "UTF-8" if self.codec == "utf-8" else self.encoding
        self.bad("encoding", line, fault.shown(name), ENCODING_HINT)


def delimited(file: OpenFile, delimiter: str) -> Reader:
    """Return the reader of an open file of delimited text.

    Raises InputError for separators that can't be distinguished.
    """
    how = file.how
    marks = {"delimiter": delimiter, "quotechar": how.quotechar}
    if how.quoting == "none":
        del marks["quotechar"]
    for name, mark in marks.items():
        if not mark.isascii() or mark in "\r\n" or list(marks.values()).count(mark) > 1:
            raise InputError(
                f"{name}: {plain(ascii(mark))} can't be used. Give one ASCII character, no line"
                " break, and different ones for delimiter and quotechar."
            )
    return Reader(
        file.path,
        file.findings,
        how.bad_lines,
        how.quoting,
        how.encoding,
        delimiter=delimiter,
        quotechar=how.quotechar,
        names=file.names,
        unpacked=file.blocks,
        before=file.before,
    )
