"""Settings of a table: how it is read, and which text stands for a row."""

from typing import Annotated, Literal

from msgspec import Meta

from kgtextvec.settings.base import FilePath, Settings, about


class Reading(Settings, kw_only=True):
    """How a table is read, and which text stands for a row."""

    kind: Annotated[
        Literal["entities", "relation_types"],
        about("`entities` (columns id, label, name) or `relation_types` (column relation_type)"),
    ]
    text: Annotated[
        FilePath | Annotated[tuple[FilePath, ...], Meta(min_length=1)] | None,
        about(
            "what is embedded: columns, of which the first that isn't empty is taken, or a"
            ' template such as `"{label}: {name}. {description}"`; by default `[description,'
            " name]`, for relation types `[description]`"
        ),
    ] = None
    empty_text: Annotated[
        Literal["error", "name", "skip"],
        about("a row with an empty text: refuse the table, take the row's name, skip the row"),
    ] = "error"
    duplicates: Annotated[
        Literal["error", "warn", "ok"],
        about("rows that repeat the key (id and label, or relation_type) of an earlier row"),
    ] = "warn"
    bad_lines: Annotated[
        Literal["error", "skip"], about("lines with too many or too few fields")
    ] = "error"
    encoding: Annotated[str, about("the file's encoding")] = "utf-8"
    quoting: Annotated[
        Literal["minimal", "none"],
        about("`minimal`: a field may be in double quotes; `none`: quotes are ordinary characters"),
    ] = "minimal"
    allow_empty: Annotated[bool, about("accept a table without rows")] = False
    text_clean: Annotated[
        Literal["standard", "nfc", "none"],
        about(
            "`standard` folds white space and removes control characters; `nfc` also composes"
            " letters and accents; `none` keeps texts as they are"
        ),
    ] = "standard"


class Sharding(Reading, kw_only=True):
    """How a table is read and split."""

    shards: Annotated[
        int,
        about(
            "jobs per model that the table's texts are split into; after a change all vectors come"
            " from the store",
            ge=1,
            le=100_000,
        ),
    ] = 1


class Table(Sharding, kw_only=True):
    """An input of the workflow."""

    file: Annotated[
        FilePath,
        about(
            "tab-separated with a header; plain, .gz, .zst or .xz; relative to the working"
            " directory, else to the workflow's folder"
        ),
    ]
    used_by: Annotated[
        str | None,
        about("a file of triples (head, relation, tail): embed only the rows that they use"),
    ] = None
