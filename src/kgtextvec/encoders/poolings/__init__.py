"""Poolings: from one vector per token to one vector per text. One module each, no list here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kgtextvec.registry import POOLINGS

if TYPE_CHECKING:
    from torch import Tensor

# Takes hidden (n, length, dims) float32, mask (n, length) bool: the tokens to pool, special ones
# included, and special (n, length) bool: the special tokens among them; gives (n, dims). Texts
# start at the first column.
PoolFunction = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]


@dataclass(frozen=True)
class PoolingMethod:
    """One way to pool, and a line about it for the docs."""

    pool: PoolFunction
    description: str


def pool_function(names: str) -> PoolFunction:
    """Return the pooling of that name; of several, joined by +, it gives the vectors side by side.

    Raises InputError if one is unknown.
    """
    functions: list[PoolFunction] = [POOLINGS[name].pool for name in names.split("+")]
    if len(functions) == 1:
        return functions[0]

    def side_by_side(hidden: "Tensor", mask: "Tensor", special: "Tensor") -> "Tensor":
        import torch

        return torch.cat([each(hidden, mask, special) for each in functions], dim=-1)

    return side_by_side
