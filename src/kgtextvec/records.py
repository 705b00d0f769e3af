"""The JSON files that steps leave for those that follow: their keys and types."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict, TypeVar, cast

from kgtextvec.errors import InputError
from kgtextvec.files import digest_of, read_json, write_json

R = TypeVar("R")
OWN_DIGEST = "record_digest"


class DownloadOrigin(TypedDict):
    """Where a model's files came from; `source` as the lock file names it."""

    model: str
    source: str
    revision: NotRequired[str | None]


class DownloadedFile(TypedDict):
    """A file of a model, in the cache or where the user has it."""

    name: str
    path: str
    sha256: str
    bytes: int


class DownloadRecord(DownloadOrigin):
    """The record of download-model.

    `inside` has known digests of files in an archive, `subdir` the folder there.
    """

    files: list[DownloadedFile]
    kind: str
    subdir: NotRequired[str | None]
    inside: NotRequired[dict[str, str]]


class ModelOrigin(TypedDict, total=False):
    """Which model, by its files."""

    kind: str
    source: str
    revision: str | None
    weights_sha256: str
    tokenizer_sha256: str
    license: str | None
    citation: str | None


class ModelFacts(ModelOrigin, total=False):
    """What a model's record and the manifests of its vectors have in common."""

    parameters: int
    dtype: str | None


class ModelRecipe(TypedDict, total=False):
    """What a model's own files say of how a text becomes a vector, in our terms.

    `heads`: folders such as 2_Dense, or Normalize, in order; `prompts` by name, with the name of
    the `default_prompt`; `lower_text`: texts are lower-cased before the tokenizer; `folder`: where
    the transformer's files are, if not at the top.
    """

    pooling: str
    include_prompt: bool
    heads: list[str]
    truncate_dims: int
    prompts: dict[str, str]
    default_prompt: str
    max_tokens: int
    lower_text: bool
    folder: str


class EncoderFacts(TypedDict):
    """What convert-model finds out about a model. `layers`: an ELMo's, the word layer included.

    `default_lower_case` and `default_max_tokens`: what the tokenizer's and the model's files do
    when loaded without options. `own`: the model's own recipe. `asked`: keys of the catalogue
    entry that overrule it, where convert-model was given them. `token_dims`: dims of a token's
    vector, `head_dims`: (in, out) of heads. `dtype`: that of the checkpoint. `causal`: whether a
    token sees those before it alone.
    """

    dims: int
    layers: NotRequired[int]
    max_tokens: int | None
    do_lower_case: bool | None
    default_lower_case: bool | None
    parameters: int
    default_max_tokens: NotRequired[int]
    own: NotRequired[ModelRecipe]
    asked: NotRequired[dict[str, Any]]
    token_dims: NotRequired[int]
    head_dims: NotRequired[dict[str, list[int]]]
    dtype: NotRequired[str]
    causal: NotRequired[bool]


class ModelRecord(ModelOrigin, EncoderFacts):
    """kgtextvec.json of a converted model."""

    model: str
    pooling: str
    files: dict[str, str]
    recipe: int
    versions: dict[str, str]


class ModelInManifest(ModelFacts):
    """The model in a manifest."""

    name: str


def model_in_manifest(record: ModelRecord) -> ModelInManifest:
    """Return what manifests say of a model."""
    facts = {key: record.get(key) for key in ModelFacts.__annotations__}
    return cast(ModelInManifest, {"name": record["model"], **facts})


class ShardTexts(TypedDict):
    """How many texts a shard has, and the digest of their keys."""

    texts: int
    digest: str


class SourceFile(TypedDict):
    """A user's file as it was when it was read."""

    bytes: int
    xxh3: str


class TextsManifest(TypedDict):
    """results/texts/{table}/manifest.json; `shards` by name, `sources` by path.

    `node_id` is the form of its node ids, where it isn't the usual one. `digest` is over the
    content of rows.parquet, `rows_sha256` that of its bytes.
    """

    table: str
    kind: str
    file: str
    text: str
    policies: dict[str, Any]
    used_by: str | None
    sources: NotRequired[dict[str, SourceFile]]
    node_id: NotRequired[str]
    rows: int
    texts: int
    digest: str
    rows_sha256: NotRequired[str]
    shards: dict[str, ShardTexts]
    recipe: int
    versions: dict[str, str]


class EmbeddedWith(TypedDict, total=False):
    """The settings that vectors were made with; `settings` are those not at their defaults."""

    mode: str
    precision: str
    pooling: str
    max_tokens: int
    long_text: str
    choices: dict[str, dict[str, Any]]
    settings: dict[str, Any]
    fingerprint: str


def embedded_with(record: EmbeddedWith) -> EmbeddedWith:
    """Return only what a record says of the settings."""
    keys = EmbeddedWith.__annotations__
    return cast(EmbeddedWith, {key: value for key, value in record.items() if key in keys})


class ShardRecord(EmbeddedWith):
    """The .json next to a shard's vectors. Only earlier versions recorded `vectors_sha256`."""

    model: ModelInManifest
    texts: int
    dims: int
    device: str
    texts_embedded: int
    texts_from_store: int
    tokens_embedded: int
    seconds: float
    text_keys_digest: str
    vectors_xxh3: NotRequired[str]
    vectors_sha256: NotRequired[str]
    tokens_sha256: NotRequired[str]
    recipe: int


class SpaceIdentity(EmbeddedWith):
    """What the manifest of every space must say."""

    model: ModelInManifest
    table: str
    kind: str
    space: str
    rows: int
    dims: int


class SpaceManifest(SpaceIdentity, total=False):
    """manifest.json of a space; `pca`: how a reduced one was reduced.

    `vectors_xxh3`, which says which vectors they are, and `index_sha256` are those of the files'
    bytes; `index_digest` is over the index's rows and the same whatever version of Parquet wrote
    them. Only earlier versions recorded `vectors_digest`, the sha256 of the vectors. `node_id` is
    the form of its node ids, where it isn't the usual one.
    """

    text: str
    node_id: str
    texts: int
    counts: dict[str, int]
    devices: list[str]
    seconds: float
    shards: int
    texts_digest: str
    vectors_xxh3: str
    vectors_digest: str
    index_digest: str
    index_sha256: str
    recipe: dict[str, int]
    versions: dict[str, str]
    command: str
    pca: dict[str, Any]


class EmbeddedSpace(TypedDict):
    """manifest.json of a space whose vectors this package made: what pages show of it."""

    model: ModelInManifest
    table: str
    kind: str
    space: str
    rows: int
    dims: int
    text: str
    texts: int
    precision: str
    max_tokens: int
    long_text: str
    counts: dict[str, int]
    devices: list[str]
    seconds: float


class FindingRecord(TypedDict):
    """One kind of finding in a table; `line` is None if it concerns the file, not a line."""

    kind: str
    level: Literal["error", "warn"]
    count: int
    line: int | None
    message: str


class TableFindings(TypedDict):
    """findings.json of a table: counts of rows, of odd characters; findings by first line.

    `lengths` has the statistics of the texts' lengths by unit: {"words": {"p50": 8, …}, …}.
    """

    outcome: Literal["ok", "warn", "error"]
    rows: int
    distinct_texts: int
    findings: list[FindingRecord]
    labels: dict[str, int]
    duplicates: dict[str, int]
    text_from: dict[str, int]
    lengths: dict[str, dict[str, int | float]]
    odd_characters: dict[str, int]


class TableQuality(TypedDict):
    """quality.json: what the index page shows of a table."""

    table: str
    rows: int
    texts: int
    labels: dict[str, int]
    findings: list[FindingRecord]


class ScoreCard(TypedDict):
    """scores.json of a space: scores by name, and notes on what was left out and why."""

    scores: dict[str, Any]
    notes: list[str]


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON file with a digest of its own content, which `read_record` compares."""
    content = {key: value for key, value in record.items() if key != OWN_DIGEST}
    write_json(path, {**content, OWN_DIGEST: digest_of(content)})


def read_unedited(path: Path) -> Any:
    """Read a JSON file. Raises InputError if it is not as write_record wrote it."""
    found = read_json(path)
    refuse_edited(path, found)
    return found


def refuse_edited(path: Path, found: Any) -> None:
    """Raise InputError if what a JSON file holds isn't what write_record wrote.

    Files of earlier versions have no digest. A key that differs from its name in one or two
    characters is that name, damaged.
    """
    if not isinstance(found, dict):
        return
    content = {key: value for key, value in found.items() if key != OWN_DIGEST}
    damaged_name = any(0 < unequal_characters(key, OWN_DIGEST) <= 2 for key in content)
    if damaged_name or (OWN_DIGEST in found and found[OWN_DIGEST] != digest_of(content)):
        raise InputError(
            f"{path}: damaged or edited: its content doesn't have the digest in {OWN_DIGEST}."
            " Delete it and rerun the step that made it."
        )


def unequal_characters(one: str, other: str) -> int:
    """Return how many characters of two strings differ, place by place; all if one is longer."""
    if len(one) != len(other):
        return max(len(one), len(other))
    return sum(a != b for a, b in zip(one, other, strict=True))


def read_record(path: Path, kind: type[R]) -> R:
    """Read a JSON file and check its keys and their types against `kind`, one of these classes.

    Keys that `kind` does not name are kept. Raises InputError that names the file and the key,
    and when the file was damaged or edited since `write_record` wrote it.
    """
    from msgspec import ValidationError, convert

    found = read_unedited(path)
    try:
        convert(found, kind)
    except ValidationError as error:
        raise InputError(f"{path}: {error}. Delete it and rerun the step that made it.") from None
    return cast(R, found)
