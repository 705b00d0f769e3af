"""Means with bootstrap intervals, resampled by entity."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWS = 1000
Floats = NDArray[np.float64]


def mean_with_interval(
    values: Floats, owners: NDArray[np.int64], seed: int, draws: int = DRAWS
) -> tuple[Floats, Floats | None]:
    """Return the means of columns and their 95 % percentile bootstrap intervals.

    `values` is (n, m), one row per query; `owners` (n,) tells whose it is. Whole owners are drawn
    with replacement, since queries of one owner stand or fall together (Field & Welsh 2007,
    cluster bootstrap). Every column sees the same draws, so that columns of differences are
    paired. Returns (m,) and (2, m), or None for the interval when there is but one owner.
    """
    _, owner = np.unique(owners, return_inverse=True)
    n_owners = int(owner.max()) + 1
    columns = [np.bincount(owner, weights=column, minlength=n_owners) for column in values.T]
    sums = np.stack(columns, axis=1)
    counts = np.bincount(owner, minlength=n_owners).astype(np.float64)
    means = values.mean(axis=0)
    if n_owners < 2:
        return means, None
    rng = np.random.default_rng(seed)
    drawn = np.empty((draws, values.shape[1]))
    for draw in range(draws):
        times = np.bincount(rng.integers(0, n_owners, n_owners), minlength=n_owners)
        drawn[draw] = times @ sums / (times @ counts)
    return means, np.quantile(drawn, [0.025, 0.975], axis=0)


def number(value: float, interval: Any = None, n: int = 0) -> dict[str, Any]:
    """Return a score as scores.json holds it: six decimals, which is far below its own error."""
    ends = None if interval is None else [round(float(end), 6) + 0.0 for end in interval]
    return {"value": round(float(value), 6) + 0.0, "interval": ends, "n": int(n)}
