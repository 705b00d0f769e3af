"""Plans of batches: pure numpy, no file, device or config inside."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

# Of a pack: a grid of CUDA has at most 65,535 rows, one a text.
MOST_TEXTS = 32768

# (lengths, budget) to batches, as plan_batches.
Planner = Callable[[NDArray[np.int64], int], list[NDArray[np.int64]]]


def plan_batches(lengths: NDArray[np.int64], budget: int) -> list[NDArray[np.int64]]:
    """Group texts into batches of at most `budget` tokens, padding included.

    `lengths` is (n_texts,): tokens per text, special tokens included. A batch costs its number of
    texts x its longest text. Returns row numbers, one (n_in_batch,) array per batch, each row in
    exactly one; the longest first, so that a lack of memory shows in the first second. A text over
    `budget` is a batch of its own.
    """
    order = order_by_length(lengths)
    batches = []
    start = 0
    while start < len(order):
        size = texts_in_batch(budget, lengths[order[start]])
        batches.append(order[start : start + size])
        start += size
    return batches


def padded_tokens(lengths: NDArray[np.int64]) -> int:
    """Return what a padded batch of texts of these lengths costs: texts x the longest."""
    return int(len(lengths) * lengths.max())


def plan_packs(lengths: NDArray[np.int64], budget: int) -> list[NDArray[np.int64]]:
    """Group texts into packs of at most `budget` tokens and MOST_TEXTS texts, without padding.

    `lengths` is (n_texts,): tokens per text, special tokens included. Returns row numbers as
    `plan_batches` does.
    """
    order = order_by_length(lengths)
    total = np.concatenate([[0], np.cumsum(lengths[order])])
    packs = []
    start = 0
    while start < len(order):
        end = int(np.searchsorted(total, total[start] + budget, side="right")) - 1
        end = min(max(end, start + 1), start + MOST_TEXTS)
        packs.append(order[start:end])
        start = end
    return packs


def plan_equal(lengths: NDArray[np.int64], budget: int) -> list[NDArray[np.int64]]:
    """Group texts of equal length into batches of at most `budget` tokens.

    `lengths` is (n_texts,): tokens per text, special tokens included. Returns row numbers as
    `plan_batches` does.
    """
    order = order_by_length(lengths)
    if not len(order):
        return []
    groups = np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1)
    sizes = [texts_in_batch(budget, lengths[group[0]]) for group in groups]
    return [
        group[start : start + size]
        for group, size in zip(groups, sizes, strict=True)
        for start in range(0, len(group), size)
    ]


def order_by_length(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return rows, the longest first, ties in order."""
    return np.argsort(-lengths, kind="stable")


def texts_in_batch(budget: int, length: np.int64) -> int:
    """Return how many texts of `length` tokens make a batch: at least one."""
    return max(budget // max(int(length), 1), 1)


def plan_remaining(
    plan: Planner, lengths: NDArray[np.int64], remaining: NDArray[np.int64], budget: int
) -> list[NDArray[np.int64]]:
    """Plan batches for some of the texts as `plan` does for all of them.

    `lengths` is (n_texts,): tokens per text; `remaining` (n_remaining,): rows still to do. A batch
    of the full plan that remains complete is kept as it is, since a vector's last bits depend on
    its batch: work interrupted between batches ends with the same bits as uninterrupted work.
    Texts of incomplete batches are planned again. Returns positions in `remaining`, the longest
    first.
    """
    place = np.full(len(lengths), -1, dtype=np.int64)
    place[remaining] = np.arange(len(remaining))
    planned = [place[batch] for batch in plan(lengths, budget)]
    batches = [batch for batch in planned if (batch >= 0).all()]
    broken = [batch[batch >= 0] for batch in planned if not (batch >= 0).all()]
    if broken:
        rest = np.sort(np.concatenate(broken))
        own = lengths[remaining]
        batches += [rest[batch] for batch in plan(own[rest], budget)]
        batches.sort(key=lambda batch: -int(own[batch[0]]))
    return batches


def cut_windows(length: int, limit: int) -> list[tuple[int, int]]:
    """Cut `length` tokens into the fewest windows of at most `limit`, as equal as can be.

    Returns (start, end) pairs that cover 0..length without overlap; sizes differ by at most one,
    so that the plain mean over windows gives no window undue weight. A text without tokens is one
    empty window. Raises ValueError if `limit` is below 1.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    n_windows = max(-(-length // limit), 1)
    edges = [length * i // n_windows for i in range(n_windows + 1)]
    return list(pairwise(edges))
