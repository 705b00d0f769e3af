"""From one vector per token to one vector per text."""

from collections.abc import Callable

import torch
from torch import Tensor

from kgtextvec.errors import InputError

# Each takes hidden (n, length, dims) in float32, mask (n, length) bool: real tokens, special ones
# included, and special (n, length) bool: the special tokens among them; each gives (n, dims).
Pooling = Callable[[Tensor, Tensor, Tensor], Tensor]


def mean(hidden: Tensor, mask: Tensor, special: Tensor) -> Tensor:
    """Mean over all tokens, special ones included, as sentence-transformers and BioMedGPS do."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


def mean_no_special(hidden: Tensor, mask: Tensor, special: Tensor) -> Tensor:
    """Mean over the text's own tokens; a text without any gets the mean over all."""
    own = mask & ~special
    own = torch.where(own.any(1, keepdim=True), own, mask)
    return mean(hidden, own, special)


def cls(hidden: Tensor, mask: Tensor, special: Tensor) -> Tensor:
    """Vector of the first token."""
    return hidden[:, 0]


def maximum(hidden: Tensor, mask: Tensor, special: Tensor) -> Tensor:
    """Largest value of each dimension over all tokens, special ones included."""
    return hidden.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(1)


POOLINGS: dict[str, Pooling] = {
    "mean": mean,
    "mean_no_special": mean_no_special,
    "cls": cls,
    "max": maximum,
}


def pooling_of(name: str) -> Pooling:
    """Return the pooling of that name. Raises InputError for an unknown one."""
    if name not in POOLINGS:
        raise InputError(f"pooling: {name!r} is not known. Choose one of {', '.join(POOLINGS)}.")
    return POOLINGS[name]
