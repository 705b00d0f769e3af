"""export_aligned: a matrix in the very order of a trainer's ids, and proof that it is so."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from kgtextvec.checksums import vectors_id
from kgtextvec.errors import InputError
from kgtextvec.export.bundle import InverseSpace, open_together
from kgtextvec.export.inverses import choose_inverses
from kgtextvec.export.scaling import choose_scaling
from kgtextvec.export.trainers import write_pair
from kgtextvec.files import digests_in, sha256_of, whole_folder, write_json
from kgtextvec.kinds import ENTITIES, RELATION_TYPES
from kgtextvec.matrices import rows_per_block, take_rows
from kgtextvec.progress import say
from kgtextvec.records import write_record
from kgtextvec.registry import ID_ORDERS
from kgtextvec.settings.edges import EdgesFlag, edges_of_json
from kgtextvec.settings.spaces import Alignment, InverseRelations
from kgtextvec.space import AMBIGUOUS, Fill, Floats, Rows, Space

IDS_LISTED = 20


def export_aligned(
    space_dirs: Annotated[list[Path], "space folders: entities, relation types or both"],
    *,
    to: Annotated[list[Path], "the consumer's id maps, or its triples"],
    out_dir: Annotated[Path, "the folder to make"],
    settings: Alignment,
    edges: EdgesFlag = "",
    inverse: InverseSpace = [],  # noqa: B006
    inverses: InverseRelations = InverseRelations(),
) -> None:
    """Write vectors in the order of a consumer's ids: row i is its entity (or relation) i.

    Writes the matrices and maps of its form, coverage.json (ids found and missing),
    selfcheck.json (ids and lengths of five rows) and manifest.json, all or none. Raises
    InputError for a map that isn't one, and for ids without a row if `missing` is error.
    """
    form = ID_ORDERS[settings.form]
    spaces = {space.kind.name: space for space in open_together(space_dirs)}
    aligned = {
        kind: AlignedRows(spaces[kind], ids, settings.missing, settings.seed)
        for kind, ids in form.ids(to, edges_of_json(edges)).items()
        if kind in spaces
    }
    if ENTITIES.name not in aligned:
        raise InputError(
            "config, align: there is no table of entities to be aligned. Add one, or leave align"
            " out."
        )
    for each in aligned.values():
        each.fill.refuse(each.ids, each.rows)
    inverted = choose_inverses(inverses, inverse, list(spaces.values()))
    matrices = [each.blocks for each in aligned.values()]
    if inverted:
        # With another seed, or the random vectors of a relation and its inverse would be alike.
        inverted = replace(inverted, missing=settings.missing, seed=settings.seed + 1)
        if form.files.inverses and RELATION_TYPES.name in aligned:
            matrices.append(partial(inverted.vectors, aligned[RELATION_TYPES.name].ids))
    scaling = choose_scaling(settings.scale, matrices)
    about = aligned[ENTITIES.name].space.manifest
    model = about["model"]["name"]
    inverted = inverted and replace(inverted, scale=scaling.apply)
    coverage = {kind: each.coverage() for kind, each in aligned.items()}
    with whole_folder(out_dir) as part, ExitStack() as stack:
        for each in aligned.values():
            stack.enter_context(each.space.vectors_checked())
        check = {
            kind: write_pair(
                form.files,
                each.space,
                model,
                part,
                map(scaling.apply, each.blocks()),
                each.ids,
                inverted,
            )
            for kind, each in aligned.items()
        }
        write_json(part / "coverage.json", coverage)
        write_json(part / "selfcheck.json", check)
        known = {one["file"] for one in check.values()}
        write_record(
            part / "manifest.json",
            {
                "form": settings.form,
                "aligned": True,
                "model": model,
                "space": about["space"],
                "to": [{"file": path.name, "sha256": sha256_of(path)} for path in to],
                "missing": {"policy": settings.missing, "seed": settings.seed},
                "scale": scaling.about,
                "coverage": coverage,
                "sources": {
                    kind: vectors_id(each.space.manifest) for kind, each in aligned.items()
                },
                **check,
                "files": digests_in(part, known),
            },
        )
    for kind, found in coverage.items():
        say(f"{out_dir}: {kind}: {found['found']:,} of {found['ids']:,} ids have a row")


class AlignedRows:
    """A consumer's ids (n,), the row of each in a space, and what fills the gaps."""

    def __init__(self, space: Space, ids: list[str], missing: str, seed: int) -> None:
        self.space, self.ids = space, ids
        self.rows: Rows = space.find(ids)
        self.fill = Fill(space, missing, seed)

    def blocks(self) -> Iterator[Floats]:
        """Yield the vectors in the ids' order, a block (m, dims) at a time."""
        size = rows_per_block(self.space.dims, 1 << 21)
        for start in range(0, len(self.ids), size):
            rows = self.rows[start : start + size]
            have = rows >= 0
            block = np.empty((len(rows), self.space.dims), np.float32)
            block[have] = take_rows(self.space.matrix, rows[have])
            for place in np.flatnonzero(~have).tolist():
                block[place] = self.fill.vector(self.ids[start + place])
            yield block

    def coverage(self) -> dict[str, Any]:
        """Return which ids have a row, and how many of the table's rows are used."""
        lacking = np.flatnonzero(self.rows < 0).tolist()
        labels = Counter(self.space.kind.label_in(self.ids[place]) for place in lacking)
        of_mean = self.fill.missing == "mean_of_label"
        return {
            "ids": len(self.ids),
            "found": len(self.ids) - len(lacking),
            "missing": len(lacking),
            "missing_by_label": dict(labels.most_common()),
            "first_missing": [self.ids[place] for place in lacking[:IDS_LISTED]],
            "under_several_labels": int((self.rows == AMBIGUOUS).sum()),
            "filled_by_mean_of_all": sum(
                not self.fill.knows(self.ids[place]) for place in (lacking if of_mean else [])
            ),
            "table_rows": self.space.rows,
            "table_rows_unused": self.space.rows - len(np.unique(self.rows[self.rows >= 0])),
            "table_rows_of_an_earlier_id": self.space.rows - len(self.space.first_rows()),
        }
