"""CLS pooling."""

import torch
from torch import Tensor

from kgtextvec.encoders.poolings import PoolingMethod


def first_token(hidden: Tensor, mask: Tensor, special: Tensor) -> Tensor:
    """Vector of the first token in `mask`."""
    first = mask.int().argmax(1)
    return hidden[torch.arange(len(hidden), device=hidden.device), first]


POOLING = PoolingMethod(first_token, "vector of the first token, [CLS] in BERT")
