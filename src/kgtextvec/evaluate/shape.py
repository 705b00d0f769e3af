"""Retention (what a reduced space keeps of the full one) and geometry (how vectors lie)."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.errors import InputError
from kgtextvec.evaluate.intervals import mean_with_interval, number
from kgtextvec.evaluate.neighbours import Nearest
from kgtextvec.evaluate.readers import take_units, unit_blocks
from kgtextvec.matrices import blocks, rows_per_block
from kgtextvec.space import Rows, Space

RECALL_AT = 10
QUERIES = 5_000
LEVEL = 1e-6  # cosines nearer than this are float32's noise: either row is as good a neighbour
QUANTILES = {
    "min": 0.0,
    "p05": 0.05,
    "p25": 0.25,
    "median": 0.5,
    "p75": 0.75,
    "p95": 0.95,
    "max": 1.0,
}


def retention(
    space: Space, full: Space, seed: int, device: str
) -> tuple[dict[str, Any], list[str]]:
    """Compare a reduced space with `full`: recall@10 of neighbours, variance kept, rank.

    Rows of equal text count once. Above QUERIES of them a sample asks, and all can be neighbours.
    Returns scores by method and notes. Raises InputError when the spaces' rows differ.
    """
    if not space.column("text_sha256").equals(full.column("text_sha256")):
        raise InputError(
            f"{space.folder}: its rows aren't those of {full.folder}. Delete it and"
            " rerun apply-pca."
        )
    rows, notes = space.first_rows("text_sha256"), []
    k = min(RECALL_AT, len(rows) - 1)
    scores: dict[str, Any] = {"vectors": {}}
    if k > 0:
        asking = rows
        if len(rows) > QUERIES:
            asking = np.sort(np.random.default_rng(seed).choice(rows, QUERIES, replace=False))
            notes.append(f"retention: {QUERIES} of {len(rows)} distinct texts ask for neighbours")
        kept = recall(full, space, rows, asking, k, device)
        means, ends = mean_with_interval(kept[:, None], asking, seed)
        interval = None if ends is None else ends[:, 0]
        scores["vectors"][f"recall_at_{RECALL_AT}"] = number(means[0], interval, len(asking))
        by_chance = number(k / (len(rows) - 1), None, len(asking))
        scores["chance"] = {f"recall_at_{RECALL_AT}": by_chance}
    else:
        notes.append("retention: no neighbours, since all rows have one text")
    variance = total_variance(full)
    if variance > 0:
        kept_here = number(total_variance(space) / variance, None, space.matrix.rows)
        scores["vectors"]["variance_kept"] = kept_here
    pca = space.manifest.get("pca") or {}
    if pca.get("explained_variance_share") is not None:
        share = pca["explained_variance_share"]
        scores["vectors"]["variance_kept_fit"] = number(share, None, pca.get("fit_rows", 0))
    if pca.get("rank") is not None:
        scores["vectors"]["rank"] = number(pca["rank"], None, pca.get("fit_rows", 0))
    return scores, notes


def recall(
    full: Space, space: Space, rows: Rows, asking: Rows, k: int, device: str
) -> NDArray[np.float64]:
    """Return for each of `asking` the share of its k nearest that are nearest in both: (q,).

    A neighbour in the reduced space counts if in the full one it is as near as the k-th.
    """
    wide = min(3 * k, len(rows) - 1)
    found = {}
    for name, one, size in (("full", full, wide), ("reduced", space, k)):
        search = Nearest(take_units(one.matrix, asking), asking, size, device)
        for numbers, units in unit_blocks(one.matrix, rows):
            search.offer(numbers, units)
        found[name], cosines = search.result()
        if name == "full":
            near = cosines >= cosines[:, k - 1 : k] - LEVEL
    as_near = np.where(near, found["full"], -1)
    hits = (found["reduced"][:, :, None] == as_near[:, None, :]).any(axis=2)
    share: NDArray[np.float64] = hits.mean(axis=1)
    return share


def total_variance(space: Space) -> float:
    """Return the sum over dims of the variance of a space's vectors; 0.0 for fewer than two."""
    if space.matrix.rows < 2:
        return 0.0
    mean = np.zeros(space.matrix.dims)
    for _, block in blocks(space.matrix, rows_per_block(space.matrix.dims)):
        mean += block.sum(axis=0, dtype=np.float64)
    mean /= space.matrix.rows
    total = 0.0
    for _, block in blocks(space.matrix, rows_per_block(space.matrix.dims)):
        total += float(np.square(block - mean).sum())
    return total / (space.matrix.rows - 1)


def geometry(space: Space) -> dict[str, Any]:
    """Tell how vectors lie: cosines of all pairs (mean, deviation), equal vectors, norms.

    The mean over all pairs of n unit vectors u is (|sum u|² - n) / (n (n - 1)), and that of its
    square the same with the d x d matrix of their products: exact, no pair is drawn. Rows of equal
    text count once there; zero vectors are left out.
    """
    n, dims = space.matrix.rows, space.matrix.dims
    rows = space.first_rows("text_sha256")
    norms = np.empty(n)
    seen: set[bytes] = set()
    total, products, count = np.zeros(dims), np.zeros((dims, dims)), 0
    for first, block in blocks(space.matrix, rows_per_block(dims)):
        norms[first : first + len(block)] = np.linalg.norm(block.astype(np.float64), axis=1)
        seen.update(hashlib.blake2b(row.data, digest_size=16).digest() for row in block)
    for _, units in unit_blocks(space.matrix, rows):
        units = units[units.any(axis=1)].astype(np.float64)
        total += units.sum(axis=0)
        products += units.T @ units
        count += len(units)
    found = {}
    if count > 1:
        pairs = count * (count - 1)
        mean = (float(total @ total) - count) / pairs
        square = (float(np.square(products).sum()) - count) / pairs
        found["mean_cosine"] = number(mean, None, count)
        found["deviation_of_cosine"] = number(max(square - mean**2, 0.0) ** 0.5, None, count)
    if n:
        found["duplicate_share"] = number(1 - len(seen) / n, None, n)
        found["zero_share"] = number(float((norms == 0).mean()), None, n)
        for name, q in QUANTILES.items():
            found[f"norm_{name}"] = number(float(np.quantile(norms, q)), None, n)
    return {"vectors": found}
