"""OpenKE: maps of id and row after a first line with the number of ids."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from kgtextvec.errors import InputError
from kgtextvec.export.forms import TrainerFiles, template_beside, trainer_form
from kgtextvec.export.idmaps import (
    MapLines,
    id_then_row,
    numbered_lines,
    read_maps,
    two_fields,
)


def count_then_ids(ids: Sequence[str]) -> Iterable[str]:
    """Return the lines of a map: the number of ids, then id and row."""
    yield f"{len(ids)}\n"
    yield from id_then_row(ids)


def read_counted_map(path: Path) -> MapLines:
    """Read the number of ids, then lines of id and row, with a tab or blanks between."""
    announced, count = None, 0
    for number, line in numbered_lines(path):
        if number == 1:
            announced = line.strip()
            continue
        fields = line.split("\t")
        if len(fields) != 2:
            fields = line.rsplit(maxsplit=1)
        identifier, row = two_fields(path, number, fields)
        count += 1
        yield number, row, identifier
    if announced != str(count):
        raise InputError(
            f"{path}: line 1 announces {announced!r} ids, the file has {count}. Give a"
            " file of the form openke."
        )


FORM = trainer_form(
    "OpenKE",
    template_beside(__file__),
    TrainerFiles("{one}2vec.npy", "{one}2id.txt", count_then_ids),
    {"openke": partial(read_maps, "openke", read_counted_map)},
)
