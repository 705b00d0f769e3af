"""Poolings: from one vector per token to one vector per text. One module each, no list here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# Takes hidden (n, length, dims) float32, mask (n, length) bool: real tokens, special ones
# included, and special (n, length) bool: the special tokens among them; gives (n, dims).
PoolFunction = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]


@dataclass(frozen=True)
class PoolingMethod:
    """One way to pool, and a line about it for the docs."""

    pool: PoolFunction
    description: str
