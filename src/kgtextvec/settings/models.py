"""Settings of models: where they come from, how they turn texts into vectors, how they run."""

from typing import Annotated, Literal

from msgspec import Meta, field

from kgtextvec.registry import POOLINGS
from kgtextvec.settings.base import (
    ELMO_ONLY,
    ENDPOINT_ONLY,
    NOT_ELMO,
    NOT_ENDPOINT,
    READS_WORDS,
    RUN,
    TRANSFORMER_ONLY,
    Count,
    ModelName,
    Settings,
    WordSplitter,
    named_in,
)


class Mode(Settings):
    """Right, or as the script that this project replaces."""

    mode: Literal["correct", "faithful"] = "correct"
    """`faithful` reproduces what BioMedGPS's script does, faults included: docs/faithful.md shows
    the difference."""


class TokenOptions(Settings):
    """The keys of a catalogue entry that decide how a word becomes a vector."""

    max_tokens: Annotated[Annotated[int, Meta(ge=3)] | None, TRANSFORMER_ONLY] = None
    """Tokens of a text at most; by default what the model's own files say, at most what its
    positions allow."""
    initial_state: Annotated[Literal["warm", "zeros"], ELMO_ONLY] = "warm"
    """ELMo: the state that every text starts from."""


class EncoderOptions(TokenOptions):
    """The keys of a catalogue entry that decide how a text becomes a vector."""

    pooling: Annotated[str | None, named_in(POOLINGS)] = None
    """From one vector per token to one per text; several, joined by `+`, are concatenated. By
    default what the model's own files say, else `mean`, which includes special tokens."""
    normalize: Annotated[bool | None, TRANSFORMER_ONLY] = None
    """Whether vectors are scaled to unit length at the end; by default as the model's own files
    say."""
    prompt: Annotated[str | None, NOT_ELMO] = None
    """Put before every text: the name of one of the model's prompts, or a text such as
    `"query: "`; by default the model's default prompt, if it has one."""
    truncate_dims: Annotated[Count | None, TRANSFORMER_ONLY] = None
    """Keep the first dims only (Matryoshka); with `normalize: true` they have unit length again."""
    layers: Annotated[str | int | None, NOT_ENDPOINT] = None
    """Which layers a token's vector is made of. Transformers: `last` (default), `average` of all
    layers and the embeddings, `first_last` (mean of the first layer and the last). ELMo: `average`
    (default), `top`, `token`, `concat`, or the number of a layer."""
    tokens: Annotated[WordSplitter, READS_WORDS] = "treebank_hyphen"
    """ELMo and word vectors: how a text is split into words."""
    max_characters: Annotated[Count | None, ENDPOINT_ONLY] = None
    """Endpoint: characters of a text at most; longer texts are cut, and counted."""


class ModelTraits(EncoderOptions):
    """The keys of a catalogue entry that describe the model, wherever its files come from."""

    kind: Literal["transformer", "elmo", "words", "endpoint"] = "transformer"
    """What the weights are; `words` are static word vectors (word2vec), `endpoint` is a server that
    computes the vectors."""
    dims: Count | None = None
    """Dims of the model's vectors, before `truncate_dims`; checked when given."""
    do_lower_case: bool | None = None
    """Whether texts are lower-cased; for models whose files don't say, or say it wrongly."""
    license: str | None = None
    """Licence of the weights; copied to the manifest."""
    citation: str | None = None
    """What to cite; copied to the manifest."""


class Requests(Settings):
    """Requests to an endpoint: how many, how large."""

    parallel: Annotated[Count, RUN] = 4
    """Requests under way at the same time; jobs that share a store take turns."""
    texts: Annotated[Count, RUN] = 32
    """Texts per request at most; fewer if the server refuses so many."""
    tokens: Annotated[Annotated[int, Meta(ge=8)], RUN] = 8192
    """Tokens per request at most, as estimated from the length of the texts."""
    per_minute: Annotated[Annotated[float, Meta(gt=0)] | None, RUN] = None
    """Requests per minute at most."""
    tokens_per_minute: Annotated[Annotated[float, Meta(gt=0)] | None, RUN] = None
    """Tokens per minute at most, as estimated."""
    timeout: Annotated[Annotated[float, Meta(gt=0)], RUN] = 120
    """Seconds to wait for an answer."""


KeyVariable = Annotated[
    str | None,
    RUN,
    Meta(description="Endpoint: the environment variable that holds the server's key."),
]


class Access(Settings):
    """The keys of a catalogue entry that say how a server is asked."""

    api_key_env: KeyVariable = None
    requests: Requests = Requests()
    """Endpoint: how many requests, and how large."""


Address = str | dict[str, str]


class Model(ModelTraits, kw_only=True):
    """An entry of the catalogue."""

    source: Address | Annotated[tuple[Address, ...], Meta(min_length=1)]
    """Where the files come from: `hub:owner/name`, `https://….tar.gz`, `gdrive:id`,
    `file:…`, `path:…`, `package:…`; a list is tried in order, a mapping gives each file its own
    address; for an endpoint `https://…/v1`: docs/models.md."""
    adapter_of: ModelName | None = None
    """The model of the catalogue that an adapter (PEFT's LoRA and its kin) was trained on; the
    adapter is merged into its weights once."""
    subdir: str | None = None
    """The folder in the archive, where the archive holds several models."""
    sha256: dict[str, Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]] = field(default_factory=dict)
    """Digests of files, where known."""
    parameters: Annotated[Count | None, RUN] = None
    """Weights of the model, where known: for `kgtextvec models` and the estimate of the disk."""
    model: str | None = None
    """Endpoint: the model's name at the server."""
    identity: str | None = None
    """Endpoint: identifies the server in the store's key, by default its address; keep it when
    a server moves, change it when a server gets another model under the same name."""
    api_key_env: KeyVariable = None
    requests: Requests = Requests()
    """Endpoint: how many requests, and how large."""


class Device(Settings):
    """Where computations run."""

    device: Annotated[str, Meta(pattern="^(auto|cpu|mps|cuda(:[0-9]+)?)$"), RUN] = "auto"
    """`cpu`, `mps`, `cuda` or `cuda:1`; `auto` takes a GPU if there is one."""


class Compute(Device):
    """Where a model runs, and in which precision."""

    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto` is float16 on a CUDA GPU (bfloat16 for ELMo and for weights kept in bfloat16) and
    float32 elsewhere; what overflows in float16 is computed again in float32; vectors are stored as
    float32."""


class Embed(Compute):
    """How models run."""

    long_text: Annotated[Literal["truncate", "window"], TRANSFORMER_ONLY] = "truncate"
    """A text longer than the model takes: cut it (and count it), or take the mean over windows of
    it."""
    batch_tokens: Annotated[Literal["auto"] | Annotated[int, Meta(ge=8)], RUN] = "auto"
    """Tokens per batch, padding included; changes speed and memory only."""
    part_seconds: Annotated[float, Meta(gt=0), RUN] = 20
    """How often finished vectors are stored; a killed job loses no more."""
