"""Encoders turn texts into vectors; this is the face that `embed_shard` sees."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Encoded:
    """Some finished texts, in any order; n of them.

    `rows` (n,): positions in the list given to `encode`; `vectors` (n, dims) float32;
    `n_tokens` (n,): tokens of the whole text, special ones included, before any cut;
    `truncated` (n,): whether the vector leaves tokens out; `n_unknown` (n,): unknown tokens.
    """

    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]
    n_tokens: NDArray[np.int32]
    truncated: NDArray[np.bool_]
    n_unknown: NDArray[np.int32]


@dataclass(frozen=True)
class Among:
    """The whole that the given texts are a part of: batches are planned for it.

    `rows` (n,): the texts' places in it; `n_tokens` (m,) int32: tokens of each of its texts as
    `Encoded` tells them, at `rows` any number. A resumed job then gives an undisturbed one's bits.
    """

    rows: NDArray[np.int64]
    n_tokens: NDArray[np.int32]


class Encoder(Protocol):
    """A model that is loaded and ready."""

    dims: int

    def encode(self, texts: Sequence[str], among: Among | None = None) -> Iterator[Encoded]:
        """Yield every text exactly once, in an order that suits the model.

        An encoder may ignore `among`: then a resumed job's vectors agree within the tolerance.
        """
        ...


def load_encoder(folder: Path, about: dict[str, Any], settings: dict[str, Any]) -> Encoder:
    """Load the model in `folder`; `about` is its kgtextvec.json, `settings` how to run it.

    Settings: device, precision, pooling, max_tokens, long_text, special_tokens, lower_case,
    batch_tokens and, for ELMo, layers, initial_state, tokens.
    """
    if about["kind"] == "elmo":
        from kgtextvec.encoders.elmo.engine import ElmoEncoder

        encoder: Encoder = ElmoEncoder(
            folder,
            device=settings["device"],
            precision=settings["precision"],
            pooling=settings["pooling"],
            layers=settings["layers"],
            initial_state=settings["initial_state"],
            tokens=settings["tokens"],
        )
        return encoder
    from kgtextvec.encoders.transformer.encoder import TransformerEncoder

    return TransformerEncoder(
        folder,
        device=settings["device"],
        precision=settings["precision"],
        pooling=settings["pooling"],
        max_tokens=settings["max_tokens"],
        long_text=settings["long_text"],
        special_tokens=settings["special_tokens"],
        batch_tokens=settings["batch_tokens"],
        lower_case=settings["lower_case"],
    )
