"""Settings of models: where they come from, how they turn texts into vectors, how they run."""

from typing import Annotated, Literal

from msgspec import Meta, field

from kgtextvec.registry import POOLINGS
from kgtextvec.settings.base import Count, Settings, WordSplitter, about


class Mode(Settings):
    """Right, or as the script that this project replaces."""

    mode: Annotated[
        Literal["correct", "faithful"],
        about(
            "`faithful` reproduces what BioMedGPS's script does, faults included: docs/faithful.md"
            " shows the difference"
        ),
    ] = "correct"


class TokenOptions(Settings):
    """The keys of a catalogue entry that decide how a word becomes a vector."""

    max_tokens: Annotated[
        Annotated[int, Meta(ge=3)] | None,
        about(
            "tokens of a text at most; by default, and at most, what the model takes",
            only="transformer",
        ),
    ] = None
    initial_state: Annotated[
        Literal["warm", "zeros"], about("ELMo: the state that every text starts from", only="elmo")
    ] = "warm"


class EncoderOptions(TokenOptions):
    """The keys of a catalogue entry that decide how a text becomes a vector."""

    pooling: Annotated[
        str,
        about(
            "from one vector per token to one per text; `mean` includes special tokens",
            names=POOLINGS,
        ),
    ] = "mean"
    layers: Annotated[
        str | int,
        about("ELMo: `average`, `top`, `token`, `concat`, or the number of a layer", only="elmo"),
    ] = "average"
    tokens: Annotated[WordSplitter, about("ELMo: how a text is split into words", only="elmo")] = (
        "treebank_hyphen"
    )


class ModelTraits(EncoderOptions):
    """The keys of a catalogue entry that describe the model, wherever its files come from."""

    kind: Annotated[Literal["transformer", "elmo"], about("what the weights are")] = "transformer"
    dims: Annotated[Count | None, about("dims of the vectors; checked when given")] = None
    do_lower_case: Annotated[
        bool | None,
        about("whether the tokenizer lower-cases; for models whose files don't say"),
    ] = None
    license: Annotated[str | None, about("licence of the weights; copied to the manifest")] = None
    citation: Annotated[str | None, about("what to cite; copied to the manifest")] = None


Address = str | dict[str, str]


class Model(ModelTraits, kw_only=True):
    """An entry of the catalogue."""

    source: Annotated[
        Address | Annotated[tuple[Address, ...], Meta(min_length=1)],
        about(
            "where the files come from: `hub:owner/name@commit`, `https://….tar.gz`, `gdrive:id`,"
            " `file:…`, `path:…`, `package:…`; a list is tried in order, a mapping gives each file"
            " its own address: docs/models.md"
        ),
    ]
    subdir: Annotated[
        str | None, about("the folder in the archive, where the archive holds several models")
    ] = None
    sha256: Annotated[
        dict[str, Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]],
        about("digests of files, where known"),
    ] = field(default_factory=dict)


class Device(Settings):
    """Where computations run."""

    device: Annotated[
        str,
        about(
            "`cpu`, `mps`, `cuda` or `cuda:1`; `auto` takes a GPU if there is one",
            "run",
            pattern="^(auto|cpu|mps|cuda(:[0-9]+)?)$",
        ),
    ] = "auto"


class Compute(Device):
    """Where a model runs, and in which precision."""

    precision: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        about(
            "`auto` is float16 on a CUDA GPU (bfloat16 for ELMo) and float32 elsewhere; what"
            " overflows in float16 is computed again in float32; vectors are stored as float32"
        ),
    ] = "auto"


class Embed(Compute):
    """How models run."""

    long_text: Annotated[
        Literal["truncate", "window"],
        about(
            "a text longer than the model takes: cut it (and count it), or take the mean over"
            " windows of it",
            only="transformer",
        ),
    ] = "truncate"
    batch_tokens: Annotated[
        Literal["auto"] | Annotated[int, Meta(ge=8)],
        about("tokens per batch, padding included; changes speed and memory only", "run"),
    ] = "auto"
    part_seconds: Annotated[
        float,
        about("how often finished vectors are stored; a killed job loses no more", "run", gt=0),
    ] = 20
