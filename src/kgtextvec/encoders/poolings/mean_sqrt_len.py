"""Sum over the tokens, divided by the square root of their number."""

from torch import Tensor

from kgtextvec.encoders.poolings import PoolingMethod


def mean_by_root(hidden: Tensor, mask: Tensor, special: Tensor) -> Tensor:
    """Sum over the tokens in `mask` divided by the square root of their number."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1).sqrt()


POOLING = PoolingMethod(
    mean_by_root, "sum over all tokens, divided by the square root of their number"
)
