"""A batch of texts of equal length, for models that neither packing nor padding leaves exact.

BigBird and its kin choose the kind of attention by a batch's length, padding included: a short
text batched with a long one would get another vector than alone.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kgtextvec.batches import Planner, plan_equal
from kgtextvec.encoders.memory import moved, why_not
from kgtextvec.encoders.transformer.layers import token_vectors
from kgtextvec.encoders.transformer.padded import RectangularBatches
from kgtextvec.encoders.transformer.tokens import Pieces
from kgtextvec.encoders.transformer.trial import unchanged
from kgtextvec.errors import InputError


class UniformBatches(RectangularBatches):
    """How to plan, cost and run batches of equal length; `model` is on `device`."""

    plan: Planner = staticmethod(plan_equal)
    in_streams = False  # the model's kind of attention is a setting of the model

    @torch.inference_mode()
    def __call__(self, pieces: Pieces, batch: NDArray[np.int64]) -> Tensor:
        """Run pieces through the model; (n_in_batch, dims) float32 on the device."""
        lengths = pieces.lengths[batch]
        found = [np.flatnonzero(lengths == length) for length in np.unique(lengths)]
        pooled = torch.cat([self.run_equal(pieces, batch[rows]) for rows in found])
        return pooled[torch.from_numpy(np.concatenate(found).argsort()).to(self.device)]

    def run_equal(self, pieces: Pieces, batch: NDArray[np.int64]) -> Tensor:
        """Run pieces of one length through the model."""
        lengths = pieces.lengths[batch]
        ids = moved(pieces.ids_of(batch).astype(np.int64), self.device)
        ids = ids.view(len(batch), int(lengths[0]))
        mask = torch.ones_like(ids)
        try:
            with unchanged(self.model):
                hidden = token_vectors(self.model, self.layers, input_ids=ids, attention_mask=mask)
        except (RuntimeError, ValueError, IndexError) as error:
            raise InputError(
                f"{self.tokenizer.tokenizer.name_or_path}: the model does not work for a text of"
                f" {lengths[0]} tokens ({why_not(error)}). Leave such texts out, or take another"
                " model."
            ) from error
        pooled, special = (moved(each, self.device) for each in self.tokenizer.masks(lengths))
        return self.pool(hidden.float(), pooled, special)
