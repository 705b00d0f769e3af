"""Encoders turn texts into vectors; this is the interface that `embed_shard` uses."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from kgtextvec.records import ModelRecord

if TYPE_CHECKING:
    from kgtextvec.settings.models import Access

Lease = Callable[[str], str]  # the device asked for to the one to run on


@dataclass(frozen=True)
class EncoderSettings:
    """How to run a model. `device` and `precision` are resolved: no `auto` here.

    `batch_tokens` None: chosen by device; `lower_case` None: as the tokenizer's files say; `layers`
    None: the kind's default, `last` or an ELMo's `average`. A transformer ignores `initial_state`
    and `tokens`; an ELMo ignores all else but these, `layers`, `device` and `pooling`. `pooling`: a
    name, or several joined by +. `heads`: what follows the pooling, in order: folders of the model
    such as 2_Dense, or Normalize; `unit`: scale vectors to unit length at the end, after
    `truncate_dims`. `prompt` is put before each text; `include_prompt`: whether it is pooled;
    `lower_text`: lower-case texts before the tokenizer. Only an endpoint has use for
    `max_characters` and `access`; of the others it takes `prompt`. Static words have use for
    `tokens` alone.
    """

    device: str = "cpu"
    precision: str = "float32"
    pooling: str = "mean"
    max_tokens: int = 512
    long_text: str = "truncate"
    special_tokens: str = "literal"
    batch_tokens: int | None = None
    lower_case: bool | None = None
    lower_text: bool = False
    prompt: str = ""
    include_prompt: bool = True
    heads: tuple[str, ...] = ()
    truncate_dims: int | None = None
    unit: bool = False
    layers: str | int | None = None
    initial_state: str = "warm"
    tokens: str = "treebank_hyphen"
    max_characters: int | None = None
    access: "Access | None" = None


DEFAULT_SETTINGS = EncoderSettings()


@dataclass(frozen=True)
class Encoded:
    """Some finished texts, in any order; n of them.

    `rows` (n,): positions in the list given to `encode`; `vectors` (n, dims) float32;
    `n_tokens` (n,): tokens of the full text, special ones included, before truncation;
    `truncated` (n,): whether the vector leaves tokens out; `n_unknown` (n,): unknown tokens.
    """

    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]
    n_tokens: NDArray[np.int32]
    truncated: NDArray[np.bool_]
    n_unknown: NDArray[np.int32]


@dataclass(frozen=True)
class ResumeContext:
    """The complete job that the given texts are a part of; batches are planned for all of it.

    `rows` (n,): positions of the given texts in the job; `n_tokens` (m,) int32: tokens of each of
    the job's m texts, as in `Encoded`; the values at `rows` are ignored. A resumed job then gives
    the same bits as an uninterrupted one.
    """

    rows: NDArray[np.int64]
    n_tokens: NDArray[np.int32]


class Encoder(Protocol):
    """A model that is loaded and ready."""

    dims: int

    def encode(
        self, texts: Sequence[str], resume: ResumeContext | None = None
    ) -> Iterator[Encoded]:
        """Yield every text exactly once, in an order that suits the model.

        An encoder may ignore `resume`: then a resumed job's vectors agree within the tolerance.
        """
        ...


def keep_device(device: str) -> str:
    """Run on the device asked for, without a lease."""
    return device


def load_encoder(
    folder: Path, about: ModelRecord, settings: EncoderSettings, lease: Lease = keep_device
) -> Encoder:
    """Load the model in `folder`; `about` is its kgtextvec.json.

    `lease` is asked for the device to run on, once libraries and weights are in the host's memory.
    Raises InputError when a setting does not suit the model.
    """
    if about["kind"] == "elmo":
        from kgtextvec.encoders.elmo.engine import ElmoEncoder

        encoder: Encoder = ElmoEncoder(folder, settings, lease=lease)
        return encoder
    if about["kind"] == "endpoint":
        from kgtextvec.encoders.endpoint.encoder import EndpointEncoder

        return EndpointEncoder.load(folder, int(about["dims"]), settings)
    if about["kind"] == "words":
        from kgtextvec.encoders.static_words import StaticWordsEncoder

        return StaticWordsEncoder(folder, settings)
    from kgtextvec.encoders.transformer.encoder import TransformerEncoder

    return TransformerEncoder(folder, settings, lease)
