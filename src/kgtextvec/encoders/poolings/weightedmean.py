"""Mean pooling weighted by position (SGPT, Muennighoff 2022, arXiv:2202.08904)."""

import torch
from torch import Tensor

from kgtextvec.encoders.poolings import PoolingMethod


def weighted_mean(hidden: Tensor, mask: Tensor, special: Tensor) -> Tensor:
    """Mean over the tokens in `mask`; the first token of the text weighs 1, the next one 2, …."""
    place = torch.arange(1, hidden.shape[1] + 1, device=hidden.device)
    weights = (mask * place).unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


POOLING = PoolingMethod(
    weighted_mean, "mean over all tokens, weighted by their position: 1, 2, 3, …"
)
