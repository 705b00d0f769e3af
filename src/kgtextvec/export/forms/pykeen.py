"""PyKEEN: rows by sorted ids, maps as its TriplesFactory saves them."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from kgtextvec.errors import InputError
from kgtextvec.export.forms import TrainerFiles, template_beside, trainer_form
from kgtextvec.export.idmaps import (
    MapLines,
    numbered_lines,
    read_appearance,
    read_maps,
    two_fields,
)
from kgtextvec.files import parse_json

MAP_HEADER = ["id", "label"]


def csv_of_ids(ids: Sequence[str]) -> Iterable[str]:
    """Return the lines of a map: a header, then row and id, as the csv module writes them."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(MAP_HEADER)
    writer.writerows(enumerate(ids))
    text.seek(0)
    return text


def read_sorted(paths: Sequence[Path]) -> dict[str, list[str]]:
    """Read maps, entity_to_id and relation_to_id, or triples, whose ids PyKEEN sorts."""
    if is_triples(paths[0]):
        return {kind: sorted(ids) for kind, ids in read_appearance(paths).items()}
    return read_maps("pykeen", read_saved_map, paths)


def is_triples(path: Path) -> bool:
    """Return whether a file has triples and not an id map, by the columns of its first line."""
    _, first = next(numbered_lines(path), (0, ""))
    return path.suffix != ".json" and first.count("\t") == 2


def read_saved_map(path: Path) -> MapLines:
    """Read a JSON object of ids and rows, or lines of row and id, with or without a header."""
    if path.suffix == ".json":
        try:
            found = parse_json("".join(line for _, line in numbered_lines(path)))
            yield from ((1, str(row), identifier) for identifier, row in found.items())
        except (ValueError, AttributeError) as error:
            raise InputError(f"{path}: is no JSON object of labels to ids ({error}).") from None
        return
    for number, line in numbered_lines(path):
        fields = next(csv.reader([line], delimiter="\t"), [])
        if number == 1 and fields == MAP_HEADER:
            continue
        row, identifier = two_fields(path, number, fields)
        yield number, row, identifier


FORM = trainer_form(
    "PyKEEN",
    template_beside(__file__),
    TrainerFiles("{many}.npy", "{one}_to_id.tsv.gz", csv_of_ids, sort=True),
    {"pykeen": read_sorted},
)
