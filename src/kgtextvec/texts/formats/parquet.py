"""Parquet files, read by pyarrow in batches; rows are numbered from 1."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kgtextvec.texts.blocks import Batch, has_c1, strings_in
from kgtextvec.texts.findings import TableError, plain
from kgtextvec.texts.formats import OpenFile, TableFormat
from kgtextvec.texts.header import UNIT, Header

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_A_BATCH = 32_768
PARQUET_MAGIC = b"PAR1"


class ParquetTable:
    """One pass over a Parquet file: open, take, batches. Lists come with UNIT between parts."""

    unit = "row"

    def __init__(self, file: OpenFile) -> None:
        """Take the open file."""
        self.given, self.at = file, file.before + 1

    def open(self) -> Header:
        """Return the columns. Raises TableError when the file is damaged."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.errors = (pa.ArrowException, OSError, ValueError)
        source: Any = (
            self.given.path
            if is_plain(self.given.path)
            else pa.BufferReader(b"".join(self.given.blocks))
        )  # read from its end
        try:
            self.file = pq.ParquetFile(source, page_checksum_verification=True)
        except self.errors as error:
            raise damaged(error) from None
        self.schema = self.file.schema_arrow
        names = list(self.schema.names)
        if self.given.names:
            raise TableError(
                "settings", "the file is Parquet, which names its columns: remove header."
            )
        return Header(names, lists=True)

    def take(self, columns: dict[str, int], keys: Sequence[int]) -> None:
        """Choose the columns. Raises TableError for keys or columns that can't be text."""
        import pyarrow as pa

        self.columns = columns
        self.places = sorted(set(columns.values()))
        for place in self.places:
            field = self.schema.field(place)
            kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            inner = kind.value_type if is_list(kind) else kind
            unreadable = pa.types.is_nested(inner) or pa.types.is_binary(inner)
            if unreadable or (place in keys and not is_key(kind)):
                wanted = "text or whole numbers" if place in keys else "text, numbers or lists"
                raise TableError(
                    "column_type",
                    f"column {plain(field.name)} holds {plain(str(field.type))}, not {wanted}. Save"
                    " it as text.",
                )

    def batches(self) -> Iterator[Batch]:
        """Yield the rows, in order. Raises TableError at damage."""
        names = [self.schema.names[place] for place in self.places]
        found = self.file.iter_batches(ROWS_A_BATCH, columns=names, use_threads=False)
        while True:
            try:
                batch = next(found, None)
                if batch is None:
                    return
                batch.validate(full=True)
            except self.errors as error:
                raise damaged(error) from None
            odd = False
            values = {}
            for place in self.places:
                column, unusual = strings_of(batch.column(self.schema.names[place]))
                values[place], odd = column, odd or unusual
            lines = np.arange(self.at, self.at + len(batch))
            self.at += len(batch)
            if len(batch):
                yield Batch(lines, {name: values[one] for name, one in self.columns.items()}, odd)


def is_list(kind: "pa.DataType") -> bool:
    """Tell whether values of a type are lists."""
    import pyarrow as pa

    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_list_view(kind))


def is_key(kind: "pa.DataType") -> bool:
    """Tell whether values of a type can be ids or labels: text, whole numbers, lists of labels."""
    import pyarrow as pa

    inner = kind.value_type if is_list(kind) else kind
    types = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(fits(inner) for fits in (*types, pa.types.is_integer))


def strings_of(column: "pa.Array") -> tuple[list[str], bool]:
    """Return values as strings, "" for null, and whether any may hold a control character."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_null(column.type):
        return [""] * len(column), False
    if is_list(column.type):
        parts = column.flatten().cast(pa.string())
        odd = may_be_odd(parts)
        clean = pc.replace_substring(parts, UNIT, " ") if odd else parts
        texts = clean.fill_null("").to_pylist()
        sizes = column.value_lengths().fill_null(0).to_pylist()
        ends = np.cumsum([0, *sizes])
        return [UNIT.join(texts[start:end]) for start, end in pairwise(ends)], odd
    texts = column.cast(pa.string()).fill_null("")
    return strings_in(texts), may_be_odd(texts)


def may_be_odd(texts: "pa.StringArray") -> bool:
    """Tell whether strings hold a control character, a line break, a tab or U+FEFF."""
    _, offsets, data = texts.buffers()
    if not len(texts) or data is None:
        return False
    bounds = np.frombuffer(offsets, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    flat = np.frombuffer(data, dtype=np.uint8)[bounds[0] : bounds[-1]]
    if (flat < 32).any() or (flat == 127).any():
        return True
    return bool((flat > 127).any()) and (b"\xef\xbb\xbf" in flat.tobytes() or has_c1(flat))


def is_plain(path: Path) -> bool:
    """Tell whether a file is Parquet as it is, not compressed as a whole."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC


def damaged(error: Exception) -> TableError:
    """Return the one-line error for what pyarrow raised."""
    why = plain(str(error).strip().partition("\n")[0], 200)
    return TableError(
        "damaged", f"the Parquet file is damaged or cut short ({why}): fetch or write it again."
    )


FORMAT = TableFormat("Parquet", 1, lambda file: file.head.startswith(PARQUET_MAGIC), ParquetTable)
