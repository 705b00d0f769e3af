"""What the pages read of other steps' JSON files, typed."""

from pathlib import Path
from typing import Literal

from msgspec import Struct

from kgtextvec.files import read_record


class ModelRecord(Struct, frozen=True):
    """The model in a space's manifest."""

    name: str
    parameters: int | None = None


class SpaceCounts(Struct, frozen=True):
    """Counts of a space's texts and tokens.

    `texts_embedded` went through the model in the run that made the vectors; the other texts
    came from the store. `truncated` counts rows.
    """

    texts_embedded: int | None = None
    truncated: int | None = None
    tokens: int | None = None
    unknown_tokens: int | None = None


class SpaceManifest(Struct, frozen=True):
    """The manifest.json of a space."""

    model: ModelRecord
    table: str
    space: str
    kind: str
    rows: int
    texts: int
    dims: int
    text: str | None = None
    precision: str | None = None
    max_tokens: int | None = None
    long_text: str | None = None
    counts: SpaceCounts = SpaceCounts()
    devices: tuple[str, ...] = ()
    seconds: float | None = None


class TextsManifest(Struct, frozen=True):
    """The manifest.json of a table's texts."""

    table: str
    file: str


class ScoreCard(Struct, frozen=True):
    """The notes in a space's scores.json."""

    notes: tuple[str, ...] = ()


class FindingRecord(Struct, frozen=True):
    """One kind of finding in a findings.json; `line` is None for the file as a unit."""

    kind: str
    level: Literal["error", "warn"]
    count: int
    line: int | None
    message: str


class TableFindings(Struct, frozen=True):
    """The findings.json of a table: outcome, findings, counts of rows.

    `lengths` has the statistics of the texts' lengths by unit: {"words": {"p50": 8, …}, …}.
    """

    outcome: Literal["ok", "warn", "error"]
    rows: int
    distinct_texts: int
    findings: tuple[FindingRecord, ...]
    labels: dict[str, int]
    duplicates: dict[str, int]
    text_from: dict[str, int]
    lengths: dict[str, dict[str, int | float]]
    odd_characters: dict[str, int]


def read_manifest(path: Path) -> SpaceManifest:
    """Read the manifest of a space. Raises InputError when it is absent, damaged or another's."""
    return read_record(path, SpaceManifest, "a space's manifest")
