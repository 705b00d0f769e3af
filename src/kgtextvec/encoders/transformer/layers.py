"""A token's vector from a model's layers: the last one, or a mean of several."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kgtextvec.encoders.choices import LAST
from kgtextvec.encoders.poolings import PoolFunction
from kgtextvec.encoders.transformer.overflow import OverflowWatch
from kgtextvec.encoders.transformer.tokens import Pieces, Tokenizer
from kgtextvec.errors import InputError


class TokenBatches:
    """What all kinds of batches have: a model on `device`, its tokenizer, pooling and layers.

    `in_streams`: whether a CPU may run several batches at once. `token_dims`: dims of a token's
    vector, if a trial found them.
    """

    watch: OverflowWatch
    in_streams = True
    token_dims: int | None = None

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        pool: PoolFunction,
        device: torch.device,
        layers: str = LAST,
    ) -> None:
        self.model, self.tokenizer, self.pool, self.device = model, tokenizer, pool, device
        self.layers = layers

    def alone(self, ids: NDArray[np.int64]) -> Tensor:
        """Return the tokens' vectors of one text, by its ids."""
        raise NotImplementedError

    @cached_property
    def rope_turns_at(self) -> int | None:
        """The longest text that keeps the first frequencies of the model's rotary positions."""
        return rope_turns_at(self.model)

    def __call__(self, pieces: Pieces, batch: NDArray[np.int64]) -> Tensor:
        """Run pieces through the model; (n_in_batch, dims) float32 on the device.

        Rotary positions of type longrope have one set of frequencies for all texts of a call: texts
        above the length at which it changes get a call of their own.
        """
        over = pieces.lengths[batch] > (self.rope_turns_at or np.inf)
        if over.all() or not over.any():
            return self.run_batch(pieces, batch)
        parts = [np.flatnonzero(~over), np.flatnonzero(over)]
        pooled = torch.cat([self.run_batch(pieces, batch[rows]) for rows in parts])
        return pooled[torch.from_numpy(np.concatenate(parts).argsort()).to(self.device)]

    def run_batch(self, pieces: Pieces, batch: NDArray[np.int64]) -> Tensor:
        """Run pieces through the model at once; (n_in_batch, dims) float32 on the device."""
        raise NotImplementedError


def rope_turns_at(model: Any) -> int | None:
    """Return the length above which longrope takes its other frequencies, None for other models."""
    about = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
    several = [about, *(one for one in about.values() if isinstance(one, dict))]
    found = [
        int(one["original_max_position_embeddings"])
        for one in several
        if one.get("rope_type") == "longrope" and one.get("original_max_position_embeddings")
    ]
    return min(found, default=None)


def token_vectors(model: Any, layers: str, **inputs: Any) -> Tensor:
    """Run a model; return (texts, length, dims) in its dtype for `last`, else float32.

    `average`: the mean of what transformers calls hidden_states: the embeddings and the output of
    every layer. `first_last`: the mean of the first layer's output and the last one's, as SimCSE's
    code has it (Gao et al., 2021, avg_first_last). The last of them is the model's own last hidden
    state, after a final norm where there is one. Raises InputError for a model whose hidden states
    are not those of its layers.
    """
    if layers == LAST:
        last: Tensor = model(**inputs, return_dict=True).last_hidden_state
        return last
    answer = model(**inputs, return_dict=True, output_hidden_states=True)
    states = list(answer.hidden_states or ())
    n_layers = int(model.config.get_text_config().num_hidden_layers)
    if len(states) != n_layers + 1:
        raise InputError(
            f"layers: {layers} is not for a model that gives {len(states)} hidden states of"
            f" {n_layers} layers. Leave the key out."
        )
    states[-1] = answer.last_hidden_state
    if states[-1].shape != states[1].shape:
        raise InputError(
            f"layers: {layers} is not for a model whose last layer has {states[-1].shape[-1]} dims,"
            f" and the others {states[1].shape[-1]}. Leave the key out."
        )
    chosen = {"average": states, "first_last": [states[1], states[-1]]}[layers]
    total = torch.zeros_like(chosen[0], dtype=torch.float32)
    for state in chosen:
        total += state
    return total / len(chosen)
