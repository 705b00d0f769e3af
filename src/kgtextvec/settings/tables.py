"""Settings of a table: how it is read, and which text stands for a row."""

from typing import Annotated, Literal

from msgspec import Meta

from kgtextvec.registry import KIND_NAMES
from kgtextvec.settings.base import RUN, FilePath, named_in
from kgtextvec.settings.edges import NodeRows


class Reading(NodeRows, kw_only=True):
    """How a table is read, and which text stands for a row."""

    kind: Annotated[str, named_in(KIND_NAMES)]
    """`entities` (columns id, label, name) or `relation_types` (column relation_type), or
    `facts`: a graph's edges, whose parts have the names that the other tables give them."""
    text: FilePath | Annotated[tuple[FilePath, ...], Meta(min_length=1)] | None = None
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
    quoting: Literal["minimal", "none"] = "minimal"
    """`minimal`: a field may be in double quotes; `none`: quotes are ordinary characters."""
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

    file: FilePath
    """Tab-separated with a header; plain, .gz, .zst or .xz; relative to the working directory, else
    to the workflow's folder."""
    used_by: str | None = None
    """A graph's edges: embed only the rows that they use."""
