"""Mean pooling without special tokens."""

import torch
from torch import Tensor

from kgtextvec.encoders.poolings import PoolingMethod
from kgtextvec.encoders.poolings.mean import mean_over


def mean_over_own(hidden: Tensor, mask: Tensor, special: Tensor) -> Tensor:
    """Mean over the text's own tokens; a text without any gets the mean over all."""
    own = mask & ~special
    own = torch.where(own.any(1, keepdim=True), own, mask)
    return mean_over(hidden, own, special)


POOLING = PoolingMethod(
    mean_over_own, "mean over the text's own tokens; over all tokens if there are none"
)
