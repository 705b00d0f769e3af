"""A batch as a rectangle: every text padded to the longest, for any model that takes a mask."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kgtextvec.batches import Planner, padded_tokens, plan_batches
from kgtextvec.encoders.choices import LAST
from kgtextvec.encoders.memory import moved, why_not
from kgtextvec.encoders.onednn import agrees
from kgtextvec.encoders.poolings import PoolFunction
from kgtextvec.encoders.transformer.layers import TokenBatches, token_vectors
from kgtextvec.encoders.transformer.tokens import Pieces, Tokenizer
from kgtextvec.encoders.transformer.trial import (
    hidden_alone,
    selects_tokens,
    text_config,
    trial_ids,
    trial_lengths,
    unchanged,
)
from kgtextvec.errors import InputError
from kgtextvec.progress import say


class RectangularBatches(TokenBatches):
    """What all batches share in which a text takes as many tokens as the longest of its batch."""

    def cost(self, lengths: NDArray[np.int64]) -> int:
        """Tokens that a batch of these lengths occupies, padding included."""
        return padded_tokens(lengths)


class PaddedBatches(RectangularBatches):
    """How to plan, cost and run padded batches; `model` is on `device`."""

    plan: Planner = staticmethod(plan_batches)

    @torch.inference_mode()
    def hidden(self, ids: NDArray[np.integer[Any]], lengths: NDArray[np.int64]) -> Tensor:
        """Return the tokens' vectors of texts given end to end, (n_texts, longest, dims)."""
        mask = np.arange(int(lengths.max())) < lengths[:, None]
        padded = np.full(mask.shape, self.tokenizer.pad, dtype=np.int64)
        padded[mask] = ids
        return token_vectors(
            self.model,
            self.layers,
            input_ids=moved(padded, self.device),
            attention_mask=moved(mask, self.device).long(),
        )

    def alone(self, ids: NDArray[np.int64]) -> Tensor:
        """Return the tokens' vectors of one text, (1, tokens, dims)."""
        return self.hidden(ids, np.array([len(ids)]))

    @torch.inference_mode()
    def run_batch(self, pieces: Pieces, batch: NDArray[np.int64]) -> Tensor:
        """Run pieces through the model at once; (n_in_batch, dims) float32 on the device."""
        lengths = pieces.lengths[batch]
        pooled, special = (moved(each, self.device) for each in self.tokenizer.masks(lengths))
        hidden = self.hidden(pieces.ids_of(batch), lengths)
        return self.pool(hidden.float(), pooled, special)


def paddable(
    model: Any,
    tokenizer: Tokenizer,
    pool: PoolFunction,
    device: torch.device,
    layers: str = LAST,
    max_tokens: int | None = None,
) -> PaddedBatches | None:
    """Return `model` made to take padded batches, or None if padding changes what it gives."""
    run = PaddedBatches(model, tokenizer, pool, device, layers)
    if getattr(text_config(model), "attention_type", None) == "block_sparse":
        why = "the model chooses its kind of attention by a batch's length"
    elif selects_tokens(model, max_tokens):
        why = "which tokens the model attends to depends on a batch's length"
    else:
        lengths = trial_lengths(model, max_tokens, device)
        ids = trial_ids(model, lengths)
        try:
            alone = hidden_alone(model, ids, lengths, device, layers)
            run.token_dims = alone.shape[1]
            with unchanged(model):
                padded = run.hidden(ids, lengths)
            inside = np.arange(int(lengths.max())) < lengths[:, None]
            if agrees(padded[torch.from_numpy(inside).to(device)].float(), alone, model.dtype):
                return run
            why = "a padded batch does not give what each text gives alone"
        except InputError:
            raise
        # Whatever goes wrong inside a model, batches of one length remain.
        except Exception as error:
            why = why_not(error)
    say(f"batches hold texts of equal length only: {why}")
    return None
