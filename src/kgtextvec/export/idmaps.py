"""The order that a trainer wants: its own id maps, or the triples that it deals ids from."""

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from kgtextvec.errors import InputError
from kgtextvec.progress import say

FORMS = ("dglke", "drkg", "openke", "pykeen", "triples")
# A first line of such names is a header.
HEADS = (
    {"head", "h", "subject", "source", "head_id", "source_id"},
    {"relation", "r", "predicate", "relation_type", "rel", "edge_type"},
    {"tail", "t", "object", "target", "tail_id", "target_id"},
)
GZIP = b"\x1f\x8b"


def read_orders(paths: list[Path], form: str) -> tuple[list[str], list[str] | None]:
    """Return (entities, relations): their ids in the order that the consumer's rows have.

    dglke, drkg, openke: the map of entities and, if given, that of relations (else None).
    pykeen: the same (entity_to_id, relation_to_id), or triples, whose labels it sorts.
    triples: files of head, relation, tail, read one after the other; ids in order of appearance,
    head before tail, as DGL-KE deals them from raw triples.
    Raises InputError, with file and line, where rows aren't 0 … n-1 or an id comes twice.
    """
    if not paths:
        raise InputError("config, align.to: names no file. Give the id map or the triples.")
    if form == "triples" or (form == "pykeen" and is_triples(paths[0])):
        entities, relations = of_triples(paths)
        if form == "pykeen":
            return sorted(entities), sorted(relations)
        return entities, relations
    if len(paths) > 2:
        raise InputError(
            f"config, align.to: names {len(paths)} files; form {form} has two, the map of entities"
            " and that of relations."
        )
    maps = [in_order(path, list(pairs_of(path, form))) for path in paths]
    return maps[0], maps[1] if len(maps) == 2 else None


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number, line without its end) of a text file, plain or gzip, UTF-8."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == GZIP
            file.seek(0)
            lines = gzip.GzipFile(fileobj=file) if packed else file
            for number, line in enumerate(lines, start=1):
                yield number, line.decode("utf-8").rstrip("\r\n")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Set align.to to the consumer's file.") from None
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise InputError(f"{path}: can't be read ({error}). Give it as UTF-8 text.") from None


def is_triples(path: Path) -> bool:
    """Tell triples from an id map by the first line's columns."""
    return path.suffix != ".json" and any(line.count("\t") == 2 for _, line in first_of(path))


def first_of(path: Path) -> list[tuple[int, str]]:
    """Return the first line, in a list, if there is one."""
    for found in lines_of(path):
        return [found]
    return []


def of_triples(paths: list[Path]) -> tuple[list[str], list[str]]:
    """Return the nodes and the relations of triples in order of appearance."""
    nodes: dict[str, None] = {}
    relations: dict[str, None] = {}
    for path in paths:
        for number, line in lines_of(path):
            fields = line.split("\t")
            if len(fields) != 3:
                raise InputError(
                    f"{path}: line {number} has {len(fields)} fields. Give head, relation and tail"
                    " with tabs between."
                )
            if number == 1 and is_header(fields):
                say(
                    f"NOTE: {path}: line 1 is taken for a header; a trainer that reads this file"
                    " without knowing so would deal it ids."
                )
                continue
            nodes[fields[0]] = nodes[fields[2]] = None
            relations[fields[1]] = None
    return list(nodes), list(relations)


def is_header(fields: list[str]) -> bool:
    """Tell whether three fields are names of columns."""
    named = [field.strip().lower() for field in fields]
    return all(name in names for name, names in zip(named, HEADS, strict=True))


def pairs_of(path: Path, form: str) -> Iterator[tuple[int, str, str]]:
    """Yield (line, row number as text, id) of an id map."""
    if form == "pykeen" and path.suffix == ".json":
        try:
            found = json.loads("".join(line for _, line in lines_of(path)))
            yield from ((1, str(row), identifier) for identifier, row in found.items())
        except (ValueError, AttributeError) as error:
            raise InputError(f"{path}: is no JSON object of labels to ids ({error}).") from None
        return
    announced, count = None, 0
    for number, line in lines_of(path):
        if form == "openke" and number == 1:
            announced = line.strip()
            continue
        fields = line.split("\t")
        if form == "pykeen":
            fields = next(csv.reader([line], delimiter="\t"), [])
        if form == "pykeen" and number == 1 and fields == ["id", "label"]:
            continue
        if form == "openke" and len(fields) != 2:
            fields = line.rsplit(maxsplit=1)
        if len(fields) != 2:
            hint = " Triples? Then say form: triples." if len(fields) == 3 else ""
            raise InputError(
                f"{path}: line {number} has {len(fields)} fields, an id map has two.{hint}"
            )
        row, identifier = fields if form in ("dglke", "pykeen") else fields[::-1]
        count += 1
        yield number, row, identifier
    if form == "openke" and announced != str(count):
        raise InputError(
            f"{path}: line 1 announces {announced!r} ids, the file has {count}. Is it form openke?"
        )


def in_order(path: Path, pairs: list[tuple[int, str, str]]) -> list[str]:
    """Return the ids of a map by row; rows must be 0 … n-1 and ids distinct."""
    ids: list[str | None] = [None] * len(pairs)
    seen: dict[str, int] = {}
    for line, text, identifier in pairs:
        try:
            row = int(text)
        except ValueError:
            hint = ""
            if identifier.isascii() and identifier.isdigit():
                hint = " Columns the other way round? dglke has row, id; drkg has id, row."
            raise InputError(f"{path}: line {line}: {text!r} is no row number.{hint}") from None
        if not 0 <= row < len(ids):
            raise InputError(
                f"{path}: line {line}: row {row} of {identifier!r} isn't in 0 … {len(ids) - 1},"
                f" and the map has {len(ids)} ids."
            )
        if ids[row] is not None:
            raise InputError(
                f"{path}: line {line}: row {row} comes twice, for {ids[row]!r} before."
            )
        if identifier in seen:
            raise InputError(
                f"{path}: line {line}: the id {identifier!r} comes twice, first in line"
                f" {seen[identifier]}."
            )
        ids[row] = identifier
        seen[identifier] = line
    return [identifier for identifier in ids if identifier is not None]
