"""The spaces rpN: a random projection to N dims, the same for all vectors of equal dims."""

from pathlib import Path
from typing import TYPE_CHECKING

from kgtextvec.reduce.spaces import Projection, SpaceForm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RP_SEED = 0


def random_projection(space: str, basis: Path | None) -> Projection:
    """Return a Gaussian projection that needs no basis: x R / √N with R (d, N) standard normal.

    It keeps scalar products on average, with an error of about 1 / √N (Johnson & Lindenstrauss
    1984). R follows from the seed, d and N alone. Computed in float64.
    """
    import numpy as np

    dims = int(space.removeprefix("rp"))
    matrices: dict[int, NDArray[np.float64]] = {}

    def apply(block: "NDArray[np.float32]") -> "NDArray[np.float32]":
        source = block.shape[1]
        if source not in matrices:
            rng = np.random.default_rng([RP_SEED, source, dims])
            matrices[source] = rng.standard_normal((source, dims)) / np.sqrt(dims)
        projected = block.astype(np.float64) @ matrices[source]
        return projected.astype(np.float32)

    return Projection(dims, apply, about={"n_components": dims, "seed": RP_SEED})


SPACE = SpaceForm(
    pattern=r"rp[1-9]\d*",
    example="rpN",
    description="N dims by a random projection, a baseline for PCA",
    projection=random_projection,
)
