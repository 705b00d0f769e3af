"""DGL-KE: maps of row and id; raw triples are numbered in order of appearance."""

from collections.abc import Sequence
from pathlib import Path

from kgtextvec.errors import InputError
from kgtextvec.export.forms import TrainerFiles, template_beside, trainer_form
from kgtextvec.export.idmaps import (
    fields_of_first_line,
    note_header,
    read_appearance,
    read_maps,
    read_row_then_id,
    refuse_unread,
    row_then_id,
)
from kgtextvec.kinds import ENTITIES, RELATION_TYPES


def read_dglke(paths: Sequence[Path]) -> dict[str, list[str]]:
    """Read maps, or raw triples as DGL-KE's raw_udd_hrt does."""
    if fields_of_first_line(paths[0]) < 3:
        return read_maps("dglke", read_row_then_id, paths)
    return read_raw_udd(paths)


def read_raw_udd(paths: Sequence[Path]) -> dict[str, list[str]]:
    """Return the ids of triples in the order of DGL-KE's KGDatasetUDDRaw: as they appear.

    Lines are stripped and split at tabs, columns after the third are left out, quotes are ordinary
    characters, and a header is a triple. Raises InputError where DGL-KE would fail.
    """
    if len(paths) not in (1, 3):
        raise InputError(
            f"config, align.to: names {len(paths)} files of triples; DGL-KE takes one (train) or"
            " three (train, valid, test)."
        )
    nodes: dict[str, None] = {}
    relations: dict[str, None] = {}
    for path in paths:
        refuse_unread(path, "DGL-KE")
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                fields = line.strip().split("\t")
                if len(fields) < 3:
                    raise InputError(
                        f"{path}: line {number} has {len(fields)} fields, which DGL-KE can't read."
                        " Give head, relation and tail with tabs between."
                    )
                if number == 1:
                    note_header(path, fields, "DGL-KE")
                nodes[fields[0]] = nodes[fields[2]] = None
                relations[fields[1]] = None
    return {ENTITIES.name: list(nodes), RELATION_TYPES.name: list(relations)}


FORM = trainer_form(
    "DGL-KE",
    template_beside(__file__),
    TrainerFiles("{model}_{one}.npy", "{many}.tsv", row_then_id),
    {"dglke": read_dglke},
    {"triples": read_appearance},
)
