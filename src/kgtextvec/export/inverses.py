"""Vectors of inverse relations: the negated ones, or those of texts that say the inverse."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kgtextvec.errors import InputError
from kgtextvec.kinds import RELATION_TYPES
from kgtextvec.settings.spaces import InverseRelations
from kgtextvec.space import Floats, Space, checked_space

SUFFIX = "_inverse"  # PyKEEN's


@dataclass(frozen=True)
class Inverses:
    """How inverse relations get vectors. `space`: a table of their texts; None: negated vectors.

    `scale` brings vectors of `space` to the scale of the others. `missing` and `seed` fill ids that
    `space` has no row of, as `Space.align` does.
    """

    asked: str
    space: Space | None
    scale: Callable[[Floats], Floats] = lambda block: block
    missing: str = "error"
    seed: int = 0

    def vectors(self, ids: Sequence[str]) -> Iterator[Floats]:
        """Yield unscaled vectors (m, dims) of the inverses' texts; none if they are negated."""
        if self.space is not None:
            yield self.space.align(ids, self.missing, self.seed)

    def interleave(self, found: Iterator[Floats], ids: Sequence[str]) -> Iterator[Floats]:
        """Yield blocks (2 m, dims): after each relation its inverse, in PyKEEN's order.

        `found` are blocks (m, dims) of the relations `ids`. Raises MissingRowError where the table
        of inverses lacks one, and InputError after the last block when its vectors are damaged.
        """
        at = 0
        for block in found:
            rows = np.empty((2 * len(block), block.shape[1]), np.float32)
            rows[0::2] = block
            here = ids[at : at + len(block)]
            rows[1::2] = -block
            for inverse in self.vectors(here):
                rows[1::2] = self.scale(inverse)
            at += len(block)
            yield rows
        if self.space is not None:
            self.space.compare_vectors()

    @staticmethod
    def ids(ids: Sequence[str]) -> list[str]:
        """Return the relations' ids, each before that of its inverse."""
        return [name for one in ids for name in (one, one + SUFFIX)]


def choose_inverses(
    settings: InverseRelations, paths: Sequence[Path], spaces: Sequence[Space]
) -> Inverses | None:
    """Return how inverse relations get vectors; None if they are not asked for.

    `paths`: the space of the table that `settings` names (its folder, or a file in it). Raises
    InputError when it isn't of the relation types' model and dims.
    """
    asked = settings.inverse_relations
    if asked == "none":
        return None
    if asked == "negated":
        return Inverses(asked, None)
    if not paths:
        raise InputError(
            f"--inverse: the space of {asked}, with the inverse texts, is missing. Name it."
        )
    space = checked_space(paths[0])
    relations = [one for one in spaces if one.kind is RELATION_TYPES]
    if space.kind is not RELATION_TYPES:
        raise InputError(f"{space.folder}: is not a table of relation types. Name one.")
    for one in relations:
        if (one.manifest["model"], one.dims) != (space.manifest["model"], space.dims):
            raise InputError(f"{space.folder}: of another model or dims than {one.folder}. Rerun.")
    return Inverses(asked, space)
