"""Last-token pooling, as decoders are trained for it."""

import torch
from torch import Tensor

from kgtextvec.encoders.poolings import PoolingMethod


def last_token(hidden: Tensor, mask: Tensor, special: Tensor) -> Tensor:
    """Vector of the last token in `mask`, the end token where the tokenizer appends one."""
    place = torch.arange(hidden.shape[1], device=hidden.device)
    last = torch.where(mask, place, 0).amax(1)
    return hidden[torch.arange(len(hidden), device=hidden.device), last]


POOLING = PoolingMethod(
    last_token, "vector of the last token, for decoders; the end token if the tokenizer appends one"
)
