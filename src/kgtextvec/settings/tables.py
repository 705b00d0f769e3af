"""Settings of a table: how it is read, and which text represents a row."""

from typing import Annotated, Literal

from msgspec import Meta, field

from kgtextvec.registry import KIND_NAMES, TABLE_FORMATS
from kgtextvec.settings.base import RUN, FilePath, named_in
from kgtextvec.settings.edges import EdgeFiles, NodeRows

ColumnName = Annotated[str, Meta(min_length=1)]
Character = Annotated[str, Meta(min_length=1, max_length=1)]


class Reading(NodeRows, kw_only=True):
    """How a table is read, and which text represents a row."""

    kind: Annotated[str, named_in(KIND_NAMES)]
    """`entities` (columns id, label, name) or `relation_types` (column relation_type), or
    `facts`: a graph's edges, whose parts have the names that the other tables give them."""
    columns: dict[
        ColumnName, ColumnName | Annotated[tuple[ColumnName, ...], Meta(min_length=1)]
    ] = field(default_factory=dict)
    """The file's columns by our names, where they are called otherwise: `{id: node_id, label: type,
    name: label, description: [definition, comment]}`; of a list, the first that isn't empty."""
    label: ColumnName | None = None
    """One label for all rows, or for those whose label is empty if the table has labels."""
    label_of: Literal["first", "last"] | Annotated[tuple[ColumnName, ...], Meta(min_length=1)] = (
        "first"
    )
    """Which label of a row that lists several: the `first`, the `last`, or the first of these names
    that the row lists (its first one if it lists none)."""
    label_prefixes: tuple[ColumnName, ...] = ()
    """Prefixes that are removed from labels: `["biolink:"]`."""
    header: tuple[ColumnName, ...] = ()
    """The names of the columns, for a file without a header."""
    text: ColumnName | Annotated[tuple[ColumnName, ...], Meta(min_length=1)] | None = None
    """What is embedded: columns, of which the first that isn't empty is taken, or a template such
    as `"{label}: {name}. {description}"`; by default `[description, name]`, for relation types
    `[description]`."""
    empty_text: Literal["error", "name", "skip"] = "error"
    """A row with an empty text: refuse the table, take the row's name, skip the row."""
    duplicates: Literal["error", "warn", "ok"] = "warn"
    """Rows that repeat the key (id and label, or relation_type) of an earlier row."""
    bad_lines: Literal["error", "skip"] = "error"
    """Lines with too many or too few fields."""
    encoding: str = "utf-8"
    """The file's encoding."""
    format: Annotated[str, named_in(TABLE_FORMATS)] = "auto"
    """The file's format; `auto` recognises it by its content."""
    delimiter: Character | None = None
    """What separates the fields of delimited text; by default a tab if the first line has one, else
    the comma, semicolon or bar."""
    quoting: Literal["minimal", "none"] = "minimal"
    """`minimal`: a field may be in double quotes; `none`: quotes are ordinary characters."""
    quotechar: Character = '"'
    """The quote of delimited text, such as `"'"`."""
    list_separator: Character | None = None
    """What separates the values of a list in one field, such as `"|"`; texts show a list as
    `a, b, c`, and `{synonyms:3}` at most three of it."""
    allow_empty: bool = False
    """Accept a table without rows."""
    text_clean: Literal["standard", "nfc", "none"] = "standard"
    """`standard` folds white space and removes control characters; `nfc` also composes letters and
    accents; `none` keeps texts as they are."""
    max_ratio: Annotated[int, Meta(ge=1), RUN] = 200
    """How many times its packed size a compressed file may unpack to; the first 64 MiB are free."""


class Sharding(Reading, kw_only=True):
    """How a table is read and split."""

    shards: Annotated[int, Meta(ge=1, le=100000)] = 1
    """Jobs per model that the table's texts are split into; after a change all vectors come from
    the store."""


class Table(Sharding, kw_only=True):
    """An input of the workflow."""

    file: FilePath | Annotated[tuple[FilePath, ...], Meta(min_length=1)]
    """Delimited text, Parquet, JSON lines or .xlsx; plain, .gz, .zst or .xz; relative to the
    working directory, else to the workflow's folder; or a URL, `https://…` or `s3://…`
    (docs/storage.md). A list, or a pattern such as `Gene-part*.csv`, is read as one table."""
    header_file: FilePath | None = None
    """A file whose first line is the header; with a pattern such as `*-header.csv` each file has
    the header whose name begins most like its own."""
    used_by: EdgeFiles | None = None
    """A graph's edges, written as `graph.file` is: embed only the rows that they use."""
