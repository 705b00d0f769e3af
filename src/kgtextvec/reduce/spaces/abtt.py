"""The spaces abttK: the model's own dims, centred and without the K top components."""

from pathlib import Path
from typing import TYPE_CHECKING

from kgtextvec.reduce.spaces import Projection, SpaceForm
from kgtextvec.reduce.spaces.pca import basis_of, describe, fit_basis

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROWS_AT_ONCE = 1024


def remove_components(space: str, basis: Path | None) -> Projection:
    """Return what takes the mean and the K top components out of vectors (m, d), in float64.

    All-but-the-top, Mu & Viswanath 2018: x - mean - Cᵀ C (x - mean). Raises InputError when the
    basis isn't of that space.
    """
    import numpy as np

    pca = basis_of(space, basis)
    n_components, dims = pca.components.shape

    def apply(block: "NDArray[np.float32]") -> "NDArray[np.float32]":
        out = np.empty(block.shape, np.float32)
        for start in range(0, len(block), ROWS_AT_ONCE):
            centred = block[start : start + ROWS_AT_ONCE] - pca.mean
            top = centred @ pca.components.T
            out[start : start + ROWS_AT_ONCE] = centred - top @ pca.components
        return out

    about = describe(pca)
    removed = about["explained_variance_share"]
    about |= {
        "removed": n_components,
        "explained_variance_share": None if removed is None else 1 - removed,
        "rank": None,
    }
    return Projection(dims, apply, dims, about)


SPACE = SpaceForm(
    pattern=r"abtt[1-9]\d*",
    example="abttK",
    description="the model's dims, centred and without the K components of most variance",
    fit=fit_basis,
    projection=remove_components,
    named_dims=False,
)
