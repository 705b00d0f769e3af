"""A batch as a rectangle: every text padded to the longest, for any model that takes a mask."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kgtextvec.batches import Planner, padded_tokens, plan_batches
from kgtextvec.encoders.poolings import PoolFunction
from kgtextvec.encoders.transformer.tokens import Pieces, Tokenizer


class PaddedBatches:
    """How to plan, cost and run padded batches; `model` is on `device`."""

    plan: Planner = staticmethod(plan_batches)

    def __init__(
        self, model: Any, tokenizer: Tokenizer, pool: PoolFunction, device: torch.device
    ) -> None:
        self.model, self.tokenizer, self.pool, self.device = model, tokenizer, pool, device

    def cost(self, lengths: NDArray[np.int64]) -> int:
        """Tokens that a batch of these lengths occupies, padding included."""
        return padded_tokens(lengths)

    @torch.inference_mode()
    def __call__(self, pieces: Pieces, batch: NDArray[np.int64]) -> Tensor:
        """Run pieces through the model; (n_in_batch, dims) float32 on the device."""
        lengths = pieces.lengths[batch]
        position = np.arange(int(lengths.max()))
        mask = position < lengths[:, None]
        ids = np.full(mask.shape, self.tokenizer.pad, dtype=np.int64)
        ids[mask] = pieces.ids[(pieces.offsets[batch][:, None] + position)[mask]]
        before, after = len(self.tokenizer.prefix), len(self.tokenizer.suffix)
        special = (position < before) | (position >= lengths[:, None] - after)
        attention = torch.from_numpy(mask).to(self.device)
        hidden = self.model(
            input_ids=torch.from_numpy(ids).to(self.device),
            attention_mask=attention.long(),
            return_dict=True,
        ).last_hidden_state
        return self.pool(
            hidden.float(), attention, torch.from_numpy(special & mask).to(self.device)
        )
