"""Geometry: how the vectors are distributed."""

import hashlib

import numpy as np

from kgtextvec.evaluate.scores import Score, ScoreResult, ScoringContext
from kgtextvec.matrices import blocks, rows_per_block
from kgtextvec.stats import score_entry

NORM_QUANTILES = {
    "min": 0.0,
    "p05": 0.05,
    "p25": 0.25,
    "median": 0.5,
    "p75": 0.75,
    "p95": 0.95,
    "max": 1.0,
}


def score_geometry(context: ScoringContext) -> ScoreResult:
    """Describe the vectors: cosines of all pairs (mean, deviation), equal vectors, norms.

    The mean over all pairs of n unit vectors u is (|sum u|² - n) / (n (n - 1)), and that of its
    square the same with the d x d matrix of their products: exact, no pair is drawn. Rows of equal
    text count once there; zero vectors are left out.
    """
    from kgtextvec.evaluate.readers import unit_blocks

    space = context.space
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
        found["mean_cosine"] = score_entry(mean, None, count)
        found["deviation_of_cosine"] = score_entry(max(square - mean**2, 0.0) ** 0.5, None, count)
    if n:
        found["duplicate_share"] = score_entry(1 - len(seen) / n, None, n)
        found["zero_share"] = score_entry(float((norms == 0).mean()), None, n)
        for name, q in NORM_QUANTILES.items():
            found[f"norm_{name}"] = score_entry(float(np.quantile(norms, q)), None, n)
    return ScoreResult({"all": {"all": {"vectors": found}}})


SCORE = Score(
    title="Geometry",
    description="How the vectors are distributed. Neither end of these scales is good or bad by"
    " itself.",
    compute=score_geometry,
    metrics={
        "mean_cosine": "Mean cosine",
        "deviation_of_cosine": "Its deviation",
        "duplicate_share": "Duplicates",
        "zero_share": "Zeros",
        "norm_median": "Median length",
    },
)
