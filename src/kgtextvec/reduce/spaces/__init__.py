"""Spaces: how vectors of the model's own dims are reduced. One module each, no list here."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kgtextvec.settings.models import Mode


@dataclass(frozen=True)
class Projection:
    """How vectors become those of a reduced space.

    `apply` takes a block (m, d) float32 and returns (m, dims) float32; a row's result does not
    depend on its neighbours. `source_dims`: d, None for any. `about` goes into the manifest.
    """

    dims: int
    apply: "Callable[[NDArray[np.float32]], NDArray[np.float32]]"
    source_dims: int | None = None
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SpaceForm:
    """A kind of reduced space.

    `pattern` and `example` of its names; `named_dims`: whether the number in a name is the space's
    dims; if not, it has those of the model. `fit` (embeddings.npy, name, table's name, mode, basis
    to write) fits a basis; None if the space needs none. `projection` (name, basis or None) returns
    how to project. Both are None for `full`, which is not reduced.
    """

    pattern: str
    example: str
    description: str
    fit: "Callable[[Path, str, str, Mode, Path], None] | None" = None
    projection: Callable[[str, Path | None], Projection] | None = None
    named_dims: bool = True

    def dims_in(self, name: str) -> int | None:
        """Return the dims of the space of that name; None for as many as the model has."""
        found = re.search(r"\d+", name) if self.named_dims else None
        return int(found[0]) if found else None
