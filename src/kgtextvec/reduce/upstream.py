"""PCA as BioMedGPS's own script does it, for those who compare with vectors made by it.

Two things differ from ours: a table with fewer rows than dims is repeated until it has enough
(which adds no variance: the surplus components are noise of the order of 1e-16), and scikit-learn
of that time (before 1.5) chose a randomized solver for anything large. The script sets no seed, so
its published numbers can't be matched to the digit by anyone; ours uses a seed and records it.
"""

import numpy as np
from numpy.typing import NDArray

from kgtextvec.reduce.pca import Doubles, Pca, with_fixed_signs

SEED = 0


def fit_upstream(vectors: NDArray[np.float32], dims: int) -> Pca:
    """Fit `dims` components on (n, d) vectors the way the script does; all of it in memory.

    Needs about 3 n d doubles.
    """
    from sklearn.decomposition import PCA

    rows = repeated(vectors.astype(np.float64), dims)
    solver = solver_of_the_time(rows.shape[0], rows.shape[1], dims)
    with np.errstate(invalid="ignore"):  # scikit-learn divides 0 by 0 where all rows are equal
        fitted = PCA(n_components=dims, svd_solver=solver, random_state=SEED).fit(rows)
    explained: Doubles = np.maximum(fitted.explained_variance_, 0.0)
    total = float(rows.var(axis=0, ddof=1).sum())
    return Pca(
        mean=fitted.mean_,
        components=with_fixed_signs(fitted.components_),
        explained_variance=explained,
        spectrum=explained,
        rank=dims,
        n_rows=len(vectors),
        mode="faithful",
        solver=solver,
        seed=SEED if solver == "randomized" else -1,
        total_variance=total,
    )


def repeated(rows: Doubles, dims: int) -> Doubles:
    """Repeat (n, d) rows below themselves where n < dims: 1 + dims // n more times."""
    if len(rows) >= dims:
        return rows
    return np.concatenate([rows] * (2 + dims // len(rows)))


def solver_of_the_time(n: int, d: int, dims: int) -> str:
    """Return the solver that scikit-learn before 1.5 picked for an (n, d) matrix."""
    if max(n, d) <= 500 or dims >= 0.8 * min(n, d):
        return "full"
    return "randomized"
