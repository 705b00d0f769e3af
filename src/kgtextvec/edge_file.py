"""A file of edges: head, relation and tail, in any form that they come in.

Which columns they are is recognised by their names, or by place in a file of three columns;
settings overrule it. triples.py reads the files of a graph as one.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
from msgspec.structs import replace

from kgtextvec.edge_columns import (
    PARTS_OF_EDGE,
    TEMPLATE_PIECE,
    EdgeSource,
    is_header,
    names_in,
    one_column,
    recognised_columns,
)
from kgtextvec.edge_lines import json_blocks, keys_of_line
from kgtextvec.errors import InputError, did_you_mean, without_escapes
from kgtextvec.settings.edges import EdgeReading
from kgtextvec.unpacked import UnpackedFile

RAGGED_ROW = re.compile(r"Row #(\d+): Expected \d+ columns, got (\d+)")
DELIMITERS = ("\t", ",", ";", "|")
FIRST_LINE = 1 << 20
LOOKED_AT = 20  # lines, for their quotes
LINE_END = re.compile(r"\r\n|\r|\n")
BYTES_OF_BLOCK = 1 << 20
BLOCKS_AT_ONCE = 32


class EdgeFile:
    """A file of edges, its columns found; nothing but its beginning is read yet.

    `names`: the columns' names, None in a file without. `header`: whether the first line has them,
    and so is no edge; `only_header`: whether nothing follows it. `sources`: where head, relation
    and tail come from. `count`: how many edges the last pass read.
    """

    def __init__(
        self,
        path: Path,
        how: EdgeReading | None = None,
        encoding: str = "utf-8",
        max_ratio: int = 200,
        header_file: "EdgeFile | None" = None,
    ) -> None:
        """Recognise the columns. Raises InputError when the file is absent or has no edges.

        `header_file` names the columns if line 1 doesn't.
        """
        self.path, self.how = path, how or EdgeReading()
        if header_file and not self.how.delimiter:
            self.how = replace(self.how, delimiter=header_file.delimiter)
        self.encoding, self.max_ratio = encoding, max_ratio
        self.delimiter: str = ""
        self.quotechar, self.before, self.count = "", 0, 0
        self.is_json = self.only_header = False
        self.names: list[str] | None = None
        try:
            with path.open("rb") as file:
                self.is_parquet = file.read(4) == b"PAR1"
        except OSError as error:
            why = "not there" if isinstance(error, FileNotFoundError) else error.strerror
            raise InputError(f"{path}: {why}. Correct the path.") from None
        first = self.first_of_parquet() if self.is_parquet else self.first_line()
        self.width = len(first)
        given = self.how.header
        if header_file and not (self.is_parquet or self.is_json or self.names_edges(first)):
            given = tuple(header_file.names or ())
        if isinstance(given, tuple):
            if len(given) != self.width:
                source = header_file.path.name if header_file else "header"
                raise InputError(
                    f"{path}: has {self.width} columns, {source} names {len(given)}. Name them all."
                )
            self.names = list(given)
            self.header = False
        else:
            named = self.is_parquet or self.is_json
            self.header = named or (self.names_edges(first) if given == "auto" else given)
            self.names = first if self.header else None
        self.only_header = self.only_header and bool(self.header)
        self.sources = self.find_sources(first)

    def first_line(self) -> list[str]:
        """Return the fields of the first line that isn't blank; find out what separates them."""
        with UnpackedFile(self.path, self.max_ratio) as stream:
            data = b""
            while len(data) < FIRST_LINE and b"\n" not in data.lstrip():
                block = stream.read(1 << 16)
                if not block:
                    break
                data += block
            self.only_header = not stream.read(1)  # of one line, so far
        text = data.decode(self.encoding, "replace").removeprefix("\ufeff")
        lines = LINE_END.split(text)  # as pyarrow ends lines; str.splitlines knows more ends
        while lines and not lines[0].strip():
            lines.pop(0)
            self.before += 1
        if not lines:
            raise InputError(f"{self.path}: is empty. Give head, relation and tail.")
        self.only_header &= not any(one.strip() for one in lines[1:])
        if lines[0].lstrip().startswith("{"):
            self.is_json = True
            return keys_of_line(self.path, lines[0])
        if lines[0].lstrip().startswith(("<", "[")):
            raise InputError(
                f"{self.path}: is a web page, XML or JSON, not a file of edges. Export its edges as"
                " tab-separated text, or as JSON lines."
            )
        known = [one for one in DELIMITERS if one in lines[0]]
        self.delimiter = self.how.delimiter or (known or ["\t"])[0]
        fields = lines[0].split(self.delimiter)
        self.quotechar = self.quote_in(fields, lines[1:LOOKED_AT])
        if self.quotechar:
            import csv as quoted

            style: Any = {"delimiter": self.delimiter, "quotechar": self.quotechar}
            fields = next(quoted.reader([lines[0]], **style))
        return fields

    def quote_in(self, fields: Sequence[str], lines: Sequence[str]) -> str:
        """Return the quote that the file uses, "" for none, by its first line and some more."""
        if self.how.quotechar is not None:
            return self.how.quotechar
        for quote in ('"', "'"):
            if all(len(one) > 1 and one[0] == quote == one[-1] for one in fields):
                return quote
        if self.delimiter == "\t":
            return ""
        more = [one for line in lines for one in line.split(self.delimiter)]
        single = sum(one.startswith("'") for one in more)
        return "'" if single > sum(one.startswith('"') for one in more) else '"'

    def first_of_parquet(self) -> list[str]:
        """Return the columns' names of a Parquet file."""
        import pyarrow.parquet as pq

        try:
            return list(pq.read_schema(self.path).names)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self.path}: can't be read ({error}). Write it again.") from None

    def names_edges(self, fields: Sequence[str]) -> bool:
        """Return whether a line names the columns that are asked for, or those of an edge."""
        asked = [getattr(self.how.columns, part) for part in PARTS_OF_EDGE]
        named = [name for one in asked if isinstance(one, str) for name in names_in(one)]
        if named:
            return all(name in fields for name in named)
        return is_header(fields)

    def find_sources(self, first: Sequence[str]) -> dict[str, EdgeSource]:
        """Return where head, relation and tail come from. Raises InputError."""
        found = {}
        recognised = recognised_columns(self.names) if self.names else {}
        given = any(getattr(self.how.columns, part) is not None for part in PARTS_OF_EDGE)
        by_name = (
            given or self.is_parquet or self.is_json or recognised.keys() >= set(PARTS_OF_EDGE)
        )
        if not by_name and self.width in (3, 4):
            recognised = {part: one_column(place) for place, part in enumerate(PARTS_OF_EDGE)}
            if self.width == 4 and not is_number(first[3]) and not self.header:
                recognised = {}
        for part in (*PARTS_OF_EDGE, "weight"):
            asked = getattr(self.how.columns, part)
            if asked is not None:
                found[part] = self.asked_source(part, asked)
            elif part in recognised:
                found[part] = recognised[part]
        lacking = [part for part in PARTS_OF_EDGE if part not in found]
        if lacking:
            shown = ", ".join(first[:12])
            plural = "s" if self.width > 1 else ""
            advice = (
                f"Set graph.columns: {{{', '.join(f'{part}: …' for part in lacking)}}} to their"
                " names or numbers"
                if self.width > 2
                else "Give head, relation and tail, separated by tabs"
            )
            raise InputError(
                f"{self.path}: has {self.width} column{plural} ({shown});"
                f" {', '.join(lacking)} can't be recognised among them. {advice}."
            )
        found.pop("weight", None)
        return found

    def asked_source(self, part: str, asked: str | int) -> EdgeSource:
        """Return the source that a setting names. Raises InputError when there is none."""
        wanted: list[str | int] = [asked] if isinstance(asked, int) else [*names_in(asked)]
        places = []
        for one in wanted:
            if isinstance(one, int):
                place = one - 1
            elif self.names and one in self.names:
                place = self.names.index(one)
            else:
                has = ", ".join(self.names or ["no header"])
                advice = did_you_mean(str(one), self.names or [])
                raise InputError(
                    f"{self.path}: has no column {one}, which graph.columns.{part} names. It has"
                    f" {has}. {advice}".strip()
                )
            if place >= self.width:
                raise InputError(
                    f"{self.path}: has {self.width} columns, graph.columns.{part} is {one}."
                    " Correct the number."
                )
            places.append(place)
        if isinstance(asked, str) and "{" in asked:
            return EdgeSource(tuple(places), tuple(TEMPLATE_PIECE.split(asked)[0::2]))
        return one_column(places[0])

    @property
    def columns_shown(self) -> str:
        """Return where an edge's parts come from, and whether there is a header, for logs."""
        shown = ", ".join(
            f"{part} = {self.sources[part].shown(self.names)}" for part in PARTS_OF_EDGE
        )
        header = "line 1 is a header" if self.header else "no header"
        return shown + ("" if self.is_parquet or self.is_json else f"; {header}")

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield head, relation and tail, block by block, as strings; blank lines are left out.

        Raises InputError, with the line, where the file can't be read.
        """
        self.count = 0
        places = sorted({place for one in self.sources.values() for place in one.places})
        if self.is_json:
            blocks = json_blocks(self.path, self.max_ratio, self.names or [], places)
        else:
            blocks = self.parquet_blocks(places) if self.is_parquet else self.text_blocks(places)
        for columns in blocks:
            strings = {place: pc.fill_null(one, "") for place, one in columns.items()}
            parts = [self.sources[part].values(strings) for part in PARTS_OF_EDGE]
            batch = pa.RecordBatch.from_arrays(parts, list(PARTS_OF_EDGE))
            blank = pc.and_(pc.equal(parts[0], ""), pc.equal(parts[2], ""))
            if pc.any(blank).as_py():
                batch = batch.filter(pc.invert(blank))
            if len(batch):
                self.count += len(batch)
                yield batch

    def distinct(self, parts: Sequence[str]) -> Iterator[list[str]]:
        """Yield strings of some parts of the edges, in order of appearance, few of them twice.

        Of two parts, those of an edge follow each other.
        """
        waiting: list[pa.RecordBatch] = []
        for batch in chain(self.batches(), [None]):
            if batch is not None:
                waiting.append(batch)
            if waiting and (batch is None or len(waiting) >= BLOCKS_AT_ONCE):
                table = pa.Table.from_batches(waiting)
                columns = [table[part].combine_chunks() for part in parts]
                places = np.arange(len(columns) * len(table)).reshape(len(columns), -1)
                found = pa.concat_arrays(columns)
                if len(columns) > 1:
                    found = found.take(pa.array(places.T.reshape(-1)))
                yield pc.unique(found).to_pylist()
                waiting = []

    def parquet_blocks(self, places: Sequence[int]) -> Iterator[dict[int, Any]]:
        """Yield the columns at some places of a Parquet file, as strings."""
        import pyarrow.parquet as pq

        names = [(self.names or [])[place] for place in places]
        try:
            for batch in pq.ParquetFile(self.path).iter_batches(1 << 17, columns=names):
                yield {
                    place: batch[name].cast(pa.string())
                    for place, name in zip(places, names, strict=True)
                }
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self.path}: can't be read ({error}). Write it again.") from None

    def text_blocks(self, places: Sequence[int]) -> Iterator[dict[int, Any]]:
        """Yield the columns at some places of delimited text."""
        if self.only_header:
            return
        names = [str(place) for place in range(self.width)]
        wanted = [str(place) for place in places]
        try:
            with UnpackedFile(self.path, self.max_ratio) as stream:
                reader = csv.open_csv(
                    pa.PythonFile(stream, "r"),
                    csv.ReadOptions(
                        column_names=names,
                        skip_rows=self.before + bool(self.header),
                        block_size=BYTES_OF_BLOCK,
                        encoding=self.encoding,
                        use_threads=False,
                    ),
                    csv.ParseOptions(
                        delimiter=self.delimiter,
                        quote_char=self.quotechar or False,
                        newlines_in_values=bool(self.quotechar) and self.delimiter != "\t",
                    ),
                    csv.ConvertOptions(
                        include_columns=wanted,
                        column_types=dict.fromkeys(wanted, pa.string()),
                        strings_can_be_null=False,
                    ),
                )
                for batch in reader:
                    yield {int(name): batch[name] for name in batch.schema.names}
        except (pa.ArrowException, UnicodeError, LookupError) as error:
            if "Empty CSV" in str(error):
                return
            # Not by a handler of such rows: pyarrow fails in it at bytes that aren't UTF-8.
            ragged = RAGGED_ROW.search(str(error))
            what = f"can't be read: {without_escapes(str(error))}"
            if ragged:
                what = f"line {ragged[1]} has {ragged[2]} fields, line 1 has {self.width}"
            raise InputError(
                f"{self.path}: {what}. Give every edge its head, relation and tail, in UTF-8."
            ) from None


def is_number(field: str) -> bool:
    """Return whether a field is a number."""
    try:
        float(field)
    except ValueError:
        return False
    return True
