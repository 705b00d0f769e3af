"""The order of PyTorch Geometric's rows: from maps of HeteroData, or from triples."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kgtextvec.errors import InputError
from kgtextvec.export.idmaps import ids_by_row, note_header, refuse_unread
from kgtextvec.files import parse_json
from kgtextvec.kinds import ENTITIES, IN_GRAPHS, RELATION_TYPES


class GroupedIds(list[str]):
    """Ids by row; `groups` are the tensors that they go to, in order, with their rows."""

    def __init__(self, ids: Iterable[str], groups: dict[str, int]) -> None:
        super().__init__(ids)
        self.groups = groups


def read_pyg(paths: Sequence[Path]) -> dict[str, list[str]]:
    """Read maps as JSON (.json), of nodes by label, then of relations; or files of triples."""
    if paths[0].suffix == ".json":
        if len(paths) > len(IN_GRAPHS):
            raise InputError(
                "config, align.to: pyg takes two JSON files. Name that of nodes and that of"
                " relations."
            )
        return {
            kind.name: read_pyg_map(path, kind.name)
            for kind, path in zip(IN_GRAPHS, paths, strict=False)
        }
    return read_pyg_triples(paths)


def read_pyg_map(path: Path, kind: str) -> GroupedIds:
    """Read {label: ids}, where ids are a list by row or {id: row}; of relations the ids alone.

    A node is `label::id`, unless its id begins so. Raises InputError with the label.
    """
    try:
        found: Any = parse_json(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Set align.to to the consumer's file.") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: is not valid JSON ({error}). Give the file that PyG's maps were saved to."
        ) from None
    if kind == RELATION_TYPES.name:
        found = {kind: found}
    if not isinstance(found, dict) or not all(
        isinstance(one, list | dict) for one in found.values()
    ):
        raise InputError(
            f'{path}: is not a JSON file of nodes by label; give one such as {{"Gene": ["id", …]}}.'
        )
    ids: list[str] = []
    groups = {}
    for label, rows in found.items():
        pairs = (
            enumerate(rows) if isinstance(rows, list) else ((row, one) for one, row in rows.items())
        )
        listed = ids_by_row(
            path, [(n, str(row), str(one)) for n, (row, one) in enumerate(pairs, 1)]
        )
        mark = "" if kind == RELATION_TYPES.name else f"{label}::"
        ids += [one if one.startswith(mark) else mark + one for one in listed]
        groups[label] = len(listed)
    return GroupedIds(ids, groups)


def read_pyg_triples(paths: Sequence[Path]) -> dict[str, list[str]]:
    """Return the ids of triples in the order of PyG's datasets (FB15k_237): as they appear.

    Lines are split at tabs and not stripped, quotes are ordinary characters, a header is a triple,
    and what follows the last line end is left out. Raises InputError where PyG would fail or
    leave a triple out.
    """
    nodes: dict[str, None] = {}
    relations: dict[str, None] = {}
    for path in paths:
        refuse_unread(path, "PyG")
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                fields = line.removesuffix("\n").split("\t")
                if len(fields) != 3:
                    raise InputError(
                        f"{path}: line {number} has {len(fields)} fields, which PyG can't read."
                        " Give head, relation and tail with tabs between."
                    )
                if not line.endswith("\n"):
                    raise InputError(
                        f"{path}: line {number} has no line end, so PyG leaves it out. Add one."
                    )
                if number == 1:
                    note_header(path, fields, "PyG")
                nodes[fields[0]] = nodes[fields[2]] = None
                relations[fields[1]] = None
    return {
        ENTITIES.name: GroupedIds(nodes, {ENTITIES.name: len(nodes)}),
        RELATION_TYPES.name: GroupedIds(relations, {RELATION_TYPES.name: len(relations)}),
    }


def json_of_groups(ids: Sequence[str]) -> Iterable[str]:
    """Return the lines of a map: ids by row, of each tensor."""
    groups = ids.groups if isinstance(ids, GroupedIds) else {}
    found, at = {}, 0
    for name, rows in groups.items():
        found[name] = list(ids[at : at + rows])
        at += rows
    yield json.dumps(found, ensure_ascii=False, indent=1) + "\n"
