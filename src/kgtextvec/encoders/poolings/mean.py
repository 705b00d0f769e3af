"""Mean pooling, as sentence-transformers and BioMedGPS use it."""

from torch import Tensor

from kgtextvec.encoders.poolings import PoolingMethod


def mean_over(hidden: Tensor, mask: Tensor, special: Tensor) -> Tensor:
    """Mean over the tokens in `mask`."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


POOLING = PoolingMethod(mean_over, "mean over all tokens, special ones included")
