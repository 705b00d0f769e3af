"""Changes of scale: the numbers of matrices brought to a length, a deviation or a range."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kgtextvec.errors import InputError
from kgtextvec.space import Floats

Blocks = Callable[[], Iterator[Floats]]


@dataclass(frozen=True)
class Scaling:
    """A change of scale, one for all matrices; `about` goes into the manifest."""

    apply: Callable[[Floats], Floats]
    about: dict[str, Any]


def choose_scaling(asked: str | tuple[float, float], matrices: Sequence[Blocks]) -> Scaling:
    """Return the change of scale that is asked for; each of `matrices` yields blocks (m, dims).

    none: no change. unit: each vector gets length 1 (a zero vector stays). std: one factor, so
    that all numbers of all matrices have standard deviation 1. (low, high): all numbers are then
    in that range; by one factor alone if the range is symmetric, which keeps directions, else by
    factor and shift. Raises InputError for a range that is none.
    """
    word = asked if isinstance(asked, str) else ",".join(map(short_number, asked))
    about: dict[str, Any] = {"asked": word, "factor": 1.0, "shift": 0.0}
    if asked == "none":
        return Scaling(lambda block: block, about)
    if asked == "unit":
        return Scaling(unit_length, about | {"factor": "1 / length of each vector"})
    numbers = NumberRange(matrices)
    if isinstance(asked, str):
        factor, shift = 1.0 / (numbers.deviation or 1.0), 0.0
    else:
        low, high = asked
        if not low < high or not np.isfinite(asked).all():
            raise InputError(
                f"config, align.scale: {word} is not a range. Give [low, high], low below high."
            )
        if low == -high:
            factor, shift = high / (max(-numbers.low, numbers.high) or 1.0), 0.0
        else:
            factor = (high - low) / ((numbers.high - numbers.low) or 1.0)
            shift = low - factor * numbers.low

    def change(block: Floats) -> Floats:
        return (block * factor + shift).astype(np.float32)

    before = {"low": numbers.low, "high": numbers.high, "deviation": numbers.deviation}
    return Scaling(change, about | {"factor": factor, "shift": shift, "before": before})


def short_number(number: float) -> str:
    """Write a number as people do: 2 instead of 2.0."""
    return str(number).removesuffix(".0")


def unit_length(block: Floats) -> Floats:
    """Divide each vector by its length."""
    lengths = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))[:, None]
    units = np.divide(block, lengths, out=np.zeros(block.shape), where=lengths > 0)
    found: Floats = units.astype(np.float32)
    return found


class NumberRange:
    """The least, the greatest and the standard deviation of all numbers of all matrices."""

    def __init__(self, matrices: Sequence[Blocks]) -> None:
        n, total, squares = 0, 0.0, 0.0
        lows, highs = [0.0], [0.0]
        for blocks in matrices:
            for block in blocks():
                n += block.size
                total += float(block.sum(dtype=np.float64))
                squares += float(np.einsum("ij,ij->", block, block, dtype=np.float64))
                lows.append(float(block.min()))
                highs.append(float(block.max()))
        self.low, self.high = min(lows[1:] or lows), max(highs[1:] or highs)
        self.deviation = float(np.sqrt(max(squares / max(n, 1) - (total / max(n, 1)) ** 2, 0.0)))
