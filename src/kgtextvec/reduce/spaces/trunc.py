"""The spaces truncN: the first N of the model's dims, for models that are trained for it."""

from pathlib import Path
from typing import TYPE_CHECKING

from kgtextvec.errors import InputError
from kgtextvec.reduce.spaces import Projection, SpaceForm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def first_dims(space: str, basis: Path | None) -> Projection:
    """Return what takes the first N dims (Matryoshka models, Kusupati et al. 2022), unscaled.

    Raises InputError, when applied, if the vectors have fewer.
    """
    dims = int(space.removeprefix("trunc"))

    def apply(block: "NDArray[np.float32]") -> "NDArray[np.float32]":
        if block.shape[1] < dims:
            raise InputError(
                f"config, spaces: {space} asks for {dims} dims, the model has {block.shape[1]}."
                f" Ask for 1 to {block.shape[1]}."
            )
        return block[:, :dims].copy()

    return Projection(dims, apply, about={"n_components": dims})


SPACE = SpaceForm(
    pattern=r"trunc[1-9]\d*",
    example="truncN",
    description="the first N of the model's dims",
    projection=first_dims,
)
