"""PyKEEN: rows by sorted ids, maps as its TriplesFactory saves them."""

import csv
import io
from collections.abc import Iterable, Sequence
from lzma import LZMAError
from pathlib import Path

from kgtextvec.errors import InputError
from kgtextvec.export.forms import TrainerFiles, template_beside, trainer_form
from kgtextvec.export.idmaps import (
    MapLines,
    fields_of_first_line,
    note_header,
    numbered_lines,
    read_maps,
    two_fields,
)
from kgtextvec.files import parse_json
from kgtextvec.kinds import ENTITIES, RELATION_TYPES
from kgtextvec.progress import say

INVERSE_SUFFIX = "_inverse"
PACKED_TRIPLES = {".xz", ".zst", ".bz2"}  # maps are plain or gzip
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
        return read_as_factory(paths)
    return read_maps("pykeen", read_saved_map, paths)


def is_triples(path: Path) -> bool:
    """Return whether a file has triples and not an id map, by the columns of its first line."""
    return path.suffix != ".json" and (
        path.suffix in PACKED_TRIPLES or fields_of_first_line(path) > 2
    )


def read_as_factory(paths: Sequence[Path]) -> dict[str, list[str]]:
    """Return the ids of triples as PyKEEN's TriplesFactory.from_path numbers them: sorted.

    pandas reads, as there: quotes are taken off, blank lines skipped, and a header is a triple.
    Triples whose relation ends with _inverse are left out, as there.
    PyKEEN numbers the training triples alone. Raises InputError where PyKEEN would fail, and when
    the other files have ids that the first one lacks.
    """
    found: list[dict[str, list[str]]] = []
    for path in paths:
        heads, relations, tails = read_by_pandas(path)
        ends = sorted(set(heads).union(tails))
        found.append({ENTITIES.name: ends, RELATION_TYPES.name: sorted(set(relations))})
    for path, other in zip(paths[1:], found[1:], strict=True):
        for kind, ids in other.items():
            new = sorted(set(ids) - set(found[0][kind]))
            if new:
                raise InputError(
                    f"{path}: has {len(new)} ids that {paths[0]} lacks, such as {new[0]}. PyKEEN"
                    " numbers the training triples alone: give that file, or the maps that PyKEEN"
                    " saved."
                )
    return found[0]


def read_by_pandas(path: Path) -> list[list[str]]:
    """Return heads, relations and tails as PyKEEN's load_triples reads them."""
    import pandas as pd

    try:
        table = pd.read_csv(path, sep="\t", dtype=str, header=None, keep_default_na=False)
    except (ValueError, OSError, EOFError, LZMAError) as error:
        first = str(error).strip().splitlines()[0]
        raise InputError(f"{path}: PyKEEN can't read it ({first}). Correct it, for both.") from None
    if table.shape[1] < 3:
        raise InputError(
            f"{path}: has {table.shape[1]} columns, PyKEEN takes 3. Give head, relation and tail."
        )
    table = table.iloc[:, :3]
    note_header(path, table.iloc[0].tolist(), "PyKEEN")
    inverse = table[1].str.endswith(INVERSE_SUFFIX)
    if inverse.any():
        say(
            f"NOTE: {path}: PyKEEN leaves out {inverse.sum()} triples whose relation ends with"
            f" {INVERSE_SUFFIX}; so do we."
        )
        table = table[~inverse]
    return [table[place].tolist() for place in range(3)]


def read_saved_map(path: Path) -> MapLines:
    """Read a JSON object of ids and rows, or lines of row and id, with or without a header."""
    if path.suffix == ".json":
        try:
            found = parse_json("".join(line for _, line in numbered_lines(path)))
            yield from ((1, str(row), identifier) for identifier, row in found.items())
        except (ValueError, AttributeError) as error:
            raise InputError(
                f"{path}: is not a JSON object of labels to ids ({error}). Give the map that PyKEEN"
                " saved."
            ) from None
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
    TrainerFiles("{many}.npy", "{one}_to_id.tsv.gz", csv_of_ids, sort=True, inverses=True),
    {"pykeen": read_sorted},
)
