"""Principal components of a matrix on disk: exact, in one pass, in bounded memory.

Rows are shifted by a provisional mean (that of the first block), then their sums and products are
accumulated in float64 and the shift is corrected exactly: cov = (S - n δδᵀ) / (n - 1) with
S = Σ (x - s)(x - s)ᵀ and δ = mean - s (Chan, Golub & LeVeque 1983, "Algorithms for computing the
sample variance"). Without the shift a large mean would cancel away the digits of the variance.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from struct import error as StructError
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
from numpy.typing import NDArray

from kgtextvec.checksums import TakesBytes
from kgtextvec.errors import InputError
from kgtextvec.files import whole_file
from kgtextvec.matrices import Matrix, blocks, refuse_non_finite, rows_per_block
from kgtextvec.progress import Progress

Doubles = NDArray[np.float64]
# What numpy and zipfile raise for a file with damaged headers or contents.
NOT_AN_NPZ = (
    ValueError, TypeError, KeyError, OSError, EOFError, OverflowError, MemoryError, BadZipFile,
    NotImplementedError, RuntimeError, StructError, ZlibError,
)  # fmt: skip
PART = 1024  # rows projected at a time


@dataclass(frozen=True)
class Pca:
    """A fitted basis of N components of vectors with d dims; all numbers float64.

    mean (d,), components (N, d), explained_variance (N,), spectrum: all variances, largest first,
    rank: components that carry variance (the others are exact zeros), n_rows that it was fitted
    on, fit_on: the table's name, fit_on_digest: which vectors of it (see `vectors_id`), mode:
    correct or faithful, solver, seed (-1 where nothing is random).
    """

    mean: Doubles
    components: Doubles
    explained_variance: Doubles
    spectrum: Doubles
    rank: int
    n_rows: int
    fit_on: str = ""
    fit_on_digest: str = ""
    mode: str = "correct"
    solver: str = "covariance_eigh"
    seed: int = -1
    total_variance: float = 0.0

    @property
    def explained_variance_ratio(self) -> Doubles:
        """Share of the total variance per component, (N,); zeros where there is no variance."""
        if self.total_variance <= 0:
            return np.zeros_like(self.explained_variance)
        return self.explained_variance / self.total_variance

    def apply(self, vectors: "NDArray[np.floating[Any]]") -> NDArray[np.float32]:
        """Return vectors (n, d) in this basis: (n, N) float32. Raises InputError if d differs."""
        block = np.asarray(vectors, dtype=np.float32)
        if block.ndim != 2 or block.shape[1] != len(self.mean):
            raise InputError(
                f"vectors: have the shape {block.shape}, the basis was fitted on (n,"
                f" {len(self.mean)}). Use vectors of the same model."
            )
        return project(self, block)

    def save(self, path: Path | str) -> None:
        """Write the basis to an .npz file, complete or not at all; `apply-pca` reads it."""
        save_pca(self, Path(path))


def moments(matrix: Matrix, digest: TakesBytes | None = None) -> tuple[Doubles, Doubles]:
    """Return mean (d,) and covariance (d, d), divided by n - 1, of an (n, d) matrix with n ≥ 2.

    One pass. Memory: 64 MB of buffers + 3 d² doubles, whatever n. Raises InputError at NaN, Inf.
    """
    parts = blocks(matrix, rows_per_block(matrix.dims), digest)
    refuse = partial(refuse_non_finite, matrix)
    return moments_of_blocks(parts, matrix.rows, matrix.dims, refuse)


def moments_of_blocks(
    parts: Iterable[tuple[int, NDArray[np.float32]]],
    n_rows: int,
    dims: int,
    refuse: Callable[[int, NDArray[np.float32]], None],
) -> tuple[Doubles, Doubles]:
    """Return what `moments` returns, from (first row, block of at most rows_per_block(dims) rows).

    `refuse(first, block)` raises the error for a block that holds NaN or Inf.
    """
    shifted = np.empty((min(rows_per_block(dims), n_rows), dims))
    shift = np.zeros(dims)
    total = np.zeros(dims)
    products = np.zeros((dims, dims))
    with Progress("fit-pca", n_rows, unit="rows") as progress:
        for first, block in parts:
            here = shifted[: len(block)]
            np.copyto(here, block)
            if first == 0:
                shift = here.mean(axis=0)
            here -= shift
            sums = here.sum(axis=0)
            if not np.isfinite(sums).all():
                refuse(first, block)
            total += sums
            # A matrix times its own transpose: numpy calls BLAS's syrk, half the work of a gemm.
            products += here.T @ here
            progress.add(len(block))
    delta = total / n_rows
    products -= n_rows * np.outer(delta, delta)
    return shift + delta, products / (n_rows - 1)


def principal(mean: Doubles, covariance: Doubles, n_rows: int, dims: int) -> Pca:
    """Return the first `dims` principal components of a covariance (d, d) of n_rows vectors.

    Each component's entry of the largest magnitude is positive, as in scikit-learn's svd_flip.
    Where fewer than `dims` components carry variance (above d · eps of the largest one's, and
    never more than n_rows - 1), the rest is exact zeros.
    """
    values, vectors = np.linalg.eigh(covariance)
    spectrum = np.clip(values[::-1], 0.0, None)
    floor = spectrum[0] * len(spectrum) * np.finfo(np.float64).eps
    rank = min(int((spectrum > floor).sum()), n_rows - 1, dims)
    components = np.zeros((dims, len(spectrum)))
    components[:rank] = vectors.T[::-1][:rank]
    explained = np.zeros(dims)
    explained[:rank] = spectrum[:rank]
    return Pca(
        mean=mean,
        components=with_fixed_signs(components),
        explained_variance=explained,
        spectrum=spectrum,
        rank=rank,
        n_rows=n_rows,
        total_variance=float(spectrum.sum()),
    )


def with_fixed_signs(components: Doubles) -> Doubles:
    """Turn each row (N, d) so that its entry of the largest magnitude is positive."""
    largest = np.abs(components).argmax(axis=1)
    signs = np.where(components[np.arange(len(components)), largest] < 0, -1.0, 1.0)
    # The + 0.0 makes zeros positive, so that padded components have one form only.
    return components * signs[:, None] + 0.0


def project(pca: Pca, block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a block (m, d) in the basis: (m, N) float32, computed in float64.

    In float64 a row's result doesn't depend on its neighbours once rounded to float32.
    """
    return project_doubles(pca, block, np.ones(len(pca.components)))


def project_doubles(pca: Pca, block: NDArray[np.float32], scale: Doubles) -> NDArray[np.float32]:
    """Return a block in the basis as `project` does, component i times `scale` (N,) i."""
    used = pca.rank
    out = np.zeros((len(block), len(pca.components)), np.float32)
    centred = np.empty((min(PART, len(block)), len(pca.mean)))
    product = np.empty((len(centred), used))
    for start in range(0, len(block), PART):
        part = block[start : start + PART]
        np.subtract(part, pca.mean, out=centred[: len(part)])
        np.matmul(centred[: len(part)], pca.components[:used].T, out=product[: len(part)])
        if not (scale == 1).all():
            product[: len(part)] *= scale[:used]
        out[start : start + PART, :used] = product[: len(part)]
    return out


def save_pca(pca: Pca, path: Path) -> None:
    """Write a .npz without pickles, whole or not at all; equal content gives equal bytes."""
    with whole_file(path) as part, part.open("wb") as file:
        np.savez(
            file,
            mean=pca.mean,
            components=pca.components,
            explained_variance=pca.explained_variance,
            explained_variance_ratio=pca.explained_variance_ratio,
            total_variance=np.float64(pca.total_variance),
            spectrum=pca.spectrum,
            n_rows=np.int64(pca.n_rows),
            rank=np.int64(pca.rank),
            fit_on=np.str_(pca.fit_on),
            fit_on_digest=np.str_(pca.fit_on_digest),
            mode=np.str_(pca.mode),
            solver=np.str_(pca.solver),
            seed=np.int64(pca.seed),
        )


def load_pca(path: Path) -> Pca:
    """Read what `save_pca` wrote. Raises InputError when the file is absent or damaged."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return Pca(
                mean=file["mean"],
                components=file["components"],
                explained_variance=file["explained_variance"],
                spectrum=file["spectrum"],
                rank=int(file["rank"]),
                n_rows=int(file["n_rows"]),
                fit_on=str(file["fit_on"]),
                fit_on_digest=str(file["fit_on_digest"]),
                mode=str(file["mode"]),
                solver=str(file["solver"]),
                seed=int(file["seed"]),
                total_variance=float(file["total_variance"]),
            )
    except FileNotFoundError:
        raise InputError(f"{path}: not there. Run fit-pca first.") from None
    except NOT_AN_NPZ as error:
        raise InputError(f"{path}: not a PCA of fit-pca ({error}). Delete it and rerun.") from None
