"""CLS pooling."""

from torch import Tensor

from kgtextvec.encoders.poolings import PoolingMethod


def first_token(hidden: Tensor, mask: Tensor, special: Tensor) -> Tensor:
    """Vector of the first token."""
    return hidden[:, 0]


POOLING = PoolingMethod(first_token, "vector of the first token, [CLS] in BERT")
