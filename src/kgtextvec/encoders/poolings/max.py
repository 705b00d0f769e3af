"""Max pooling."""

import torch
from torch import Tensor

from kgtextvec.encoders.poolings import PoolingMethod


def maximum(hidden: Tensor, mask: Tensor, special: Tensor) -> Tensor:
    """Largest value of each dimension over all tokens, special ones included."""
    return hidden.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(1)


POOLING = PoolingMethod(
    maximum, "largest value of each dimension over all tokens, special ones included"
)
