"""The spaces pcaN-white: the PCA of pcaN, each component scaled to variance 1."""

from pathlib import Path
from typing import TYPE_CHECKING

from kgtextvec.reduce.spaces import Projection, SpaceForm
from kgtextvec.reduce.spaces.pca import basis_of, describe, fit_basis

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def whiten_on(space: str, basis: Path | None) -> Projection:
    """Return the projection on a fitted basis that gives each component variance 1.

    On the table that it was fitted on, components are then uncorrelated with variance 1 (Huang et
    al. 2021, WhiteningBERT). Those without variance are exact zeros. Raises InputError when the
    basis isn't of that space.
    """
    import numpy as np

    from kgtextvec.reduce.pca import project_doubles

    pca = basis_of(space, basis)
    n_components, dims = pca.components.shape
    scale = np.zeros(n_components)
    scale[: pca.rank] = 1 / np.sqrt(pca.explained_variance[: pca.rank])

    def apply(block: "NDArray[np.float32]") -> "NDArray[np.float32]":
        return project_doubles(pca, block, scale)

    return Projection(n_components, apply, dims, describe(pca) | {"whitened": True})


SPACE = SpaceForm(
    pattern=r"pca[1-9]\d*-white",
    example="pcaN-white",
    description="pcaN with each component scaled to variance 1",
    fit=fit_basis,
    projection=whiten_on,
)
