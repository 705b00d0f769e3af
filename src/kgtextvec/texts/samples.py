"""The beginnings of users' files, as recognisers look at them."""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import msgspec

from kgtextvec.errors import InputError
from kgtextvec.part_files import begins_alike
from kgtextvec.registry import FORMATS
from kgtextvec.settings.tables import Reading
from kgtextvec.texts.containers import ontology_in, open_blocks, refuse_other_formats, with_head
from kgtextvec.texts.encodings import as_utf8
from kgtextvec.texts.findings import Findings, TableError, plain
from kgtextvec.texts.formats import OpenFile, TableReader
from kgtextvec.texts.formats.csv import found_delimiter
from kgtextvec.texts.formats.jsonl import shown_value
from kgtextvec.texts.header import neo4j_type
from kgtextvec.texts.opening import recognised
from kgtextvec.texts.recognisers import TableSample
from kgtextvec.texts.rules import CONTROL

SAMPLE_BYTES = 1 << 20
SAMPLE_ROWS = 2000


def sample_of(path: Path, names: Sequence[str] = ()) -> TableSample:
    """Look at the beginning of a file; `names`: its columns, if it has a header of its own.

    Raises InputError, which names the file, when it is no table.
    """
    how, findings = Reading(kind="entities"), Findings()
    try:
        blocks = open_blocks(path, findings, None, how.max_ratio, refuse=False)
        head, blocks = with_head(blocks, SAMPLE_BYTES)
        if what := ontology_in(head):
            return TableSample(path, "ontology", what=what)
        file = OpenFile(path, head, blocks, findings, how, names)
        name = recognised(file)
        if name == "jsonl":
            return sample_decoded(path, head)
        if name not in ("tsv", "csv"):
            return sample_read(path, name, FORMATS[name].reader(file))
        refuse_other_formats(head, False)
        text = b"".join(as_utf8(iter([head]), "utf-8")).decode("utf-8", "replace")
        if len(head) >= SAMPLE_BYTES:  # the last line may be cut
            text = text[: text.rfind("\n") + 1] or text
        if len(CONTROL.findall(text)) > len(text) / 200:
            raise TableError("format", "the file is not text. Is it a table?")
        return sample_split(path, name, text, found_delimiter(file) or "\t")
    except InputError as error:
        raise InputError(f"{plain(str(path), 1000)}: {error}") from None


def sample_split(path: Path, name: str, text: str, delimiter: str) -> TableSample:
    """Return the sample of delimited text, with the quote that its fields seem to have."""
    quote = '"'
    lines = text.splitlines()[:SAMPLE_ROWS]
    fields = [field for line in lines for field in line.split(delimiter)]
    single = sum(len(one) > 1 and one[0] == one[-1] == "'" for one in fields)
    if single and not any(one[:1] == '"' for one in fields):
        quote = "'"
    try:
        found = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote)
        rows = [row for row in islice(found, SAMPLE_ROWS + 1) if any(map(str.strip, row))]
    except csv.Error:  # a field too long for csv, or a quote without end: lint says where
        rows = [line.split(delimiter) for line in lines if line.strip()]
    if not rows:
        raise TableError("empty_file", "the file holds only blank lines. Create or fetch it again.")
    return TableSample(path, name, rows[0], rows[1:], quotechar=quote)


def sample_decoded(path: Path, head: bytes) -> TableSample:
    """Return the sample of JSON lines; objects in them are left out."""
    found = []
    for line in head.split(b"\n")[:SAMPLE_ROWS]:
        try:
            found.append(msgspec.json.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    objects = [one for one in found if isinstance(one, dict)]
    names = list(dict.fromkeys(name for one in objects for name in one))
    rows = [[shown_value(one.get(name)) or "" for name in names] for one in objects]
    return TableSample(path, "jsonl", names, rows)


def sample_read(path: Path, name: str, reader: TableReader) -> TableSample:
    """Return the sample of a format that a library reads; columns that are no text are left out."""
    names = reader.open().names
    readable = {}
    for place, column in enumerate(names):
        try:
            reader.take({column: place}, [])
        except TableError:
            continue
        readable[column] = place
    reader.take(readable, [])
    batch = next(reader.batches(), None)
    rows: list[tuple[str, ...]] = []
    if batch is not None:
        columns = [batch.columns[column][:SAMPLE_ROWS] for column in readable]
        rows = list(zip(*columns, strict=True))
    return TableSample(path, name, list(readable), rows)


def samples_of(paths: Sequence[Path]) -> list[TableSample]:
    """Look at files; those without a header get the header file whose name begins like theirs.

    A header file is one line of Neo4j's typed names. Parts with one header become one sample.
    """
    samples = [sample_of(path) for path in paths]
    headers = [one for one in samples if not one.rows and typed(one)]
    tables = [one for one in samples if one not in headers]
    found: list[TableSample] = []
    parts: dict[Path, list[TableSample]] = {}
    for one in tables:
        alike = [begins_alike(one.path.name, header.path.name) for header in headers]
        best = max(alike, default=0)
        if not best or typed(one) or alike.count(best) > 1:
            found.append(one)
            continue
        header = headers[alike.index(best)]
        again = sample_of(one.path, header.first)
        rows = [again.first, *again.rows]
        part = replace(again, first=header.first, rows=rows, headers=(header.path,))
        parts.setdefault(header.path, []).append(part)
    for first, *more in parts.values():
        found.append(replace(first, more=[one.path for one in more]))
    return found or samples


def typed(sample: TableSample) -> bool:
    """Tell whether the first line has Neo4j's typed names."""
    return any(neo4j_type(name) in ("ID", "START_ID") for name in sample.first)
