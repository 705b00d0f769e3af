"""Means with 95 % intervals, in the form that scores.json has."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

BOOTSTRAP_DRAWS = 1000
TIMES_AT_ONCE = 1 << 21  # how often each owner is drawn, of many draws: 16 MB, and two more
Float64s = NDArray[np.float64]


def mean_with_interval(
    values: Float64s, owners: NDArray[np.int64], seed: int, draws: int = BOOTSTRAP_DRAWS
) -> tuple[Float64s, Float64s | None]:
    """Return the means of columns and their 95 % percentile bootstrap intervals.

    `values` is (n, m), one row per query; `owners` (n,) is the entity that each belongs to. Owners
    are drawn with replacement together with all their queries, which are not independent of each
    other (Field & Welsh 2007, cluster bootstrap). Every column has the same draws, so that columns
    of differences are paired. Returns (m,) and (2, m), or None for the interval of one owner.
    """
    _, owner = np.unique(owners, return_inverse=True)
    n_owners = int(owner.max()) + 1
    columns = [np.bincount(owner, weights=column, minlength=n_owners) for column in values.T]
    sums = np.stack(columns, axis=1).astype(np.float64)
    counts = np.bincount(owner, minlength=n_owners).astype(np.float64)
    means = values.mean(axis=0)
    if n_owners < 2:
        return means, None
    drawn = drawn_means(sums, counts, seed, draws)
    return means, np.quantile(drawn, [0.025, 0.975], axis=0)


def drawn_means(
    sums: Float64s, counts: Float64s, seed: int, draws: int = BOOTSTRAP_DRAWS
) -> Float64s:
    """Return means over owners that are drawn with replacement: (draws, m).

    `sums` (n, m) and `counts` (n,) of each owner: a mean is a sum over those drawn, divided by
    their counts.
    """
    n_owners = len(counts)
    columns = np.column_stack([sums, counts])
    rng = np.random.default_rng(seed)
    size = max(1, TIMES_AT_ONCE // n_owners)
    parts = []
    for start in range(0, draws, size):
        n_draws = min(size, draws - start)
        chosen = rng.integers(0, n_owners, (n_draws, n_owners))
        chosen += np.arange(n_draws)[:, None] * n_owners
        times = np.bincount(chosen.reshape(-1), minlength=n_draws * n_owners)
        parts.append(times.reshape(n_draws, n_owners).astype(np.float64) @ columns)
    totals = np.concatenate(parts)
    return totals[:, :-1] / totals[:, -1:]


def mean_over_seeds(values: ArrayLike, n: int, lowest: float = 0.0) -> dict[str, Any]:
    """Return the mean of one value per seed, (seeds,), and its 95 % interval by Student's t.

    The interval reflects the chance of initial weights and order, not of the test set; it is cut
    at `lowest` and 1, which values can't exceed. One seed has no interval. `n` is recorded.
    """
    from scipy.stats import t

    each = np.asarray(values, np.float64)
    mean = each.mean()
    if len(each) < 2:
        return score_entry(mean, n=n)
    half = t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / np.sqrt(len(each))
    return score_entry(mean, np.clip((mean - half, mean + half), lowest, 1.0), n)


def score_entry(value: float, interval: Any = None, n: int = 0) -> dict[str, Any]:
    """Return a number as scores.json has it: six decimals, which is far below its own error."""
    ends = None if interval is None else [round(float(end), 6) + 0.0 for end in interval]
    return {"value": round(float(value), 6) + 0.0, "interval": ends, "n": int(n)}
