"""Which rows a graph uses: the ids in a file of triples."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kgtextvec.errors import InputError
from kgtextvec.part_files import name_of_parts
from kgtextvec.settings.edges import EdgeReading
from kgtextvec.texts.findings import LISTED, Findings, plain


@dataclass(frozen=True)
class IdsOfGraph:
    """The distinct ids that some parts of a graph's triples hold, such as heads and tails."""

    file: str
    triples: int
    ids: frozenset[str]


def read_ids(
    paths: Sequence[Path],
    parts: Sequence[str],
    how: EdgeReading,
    encoding: str,
    max_ratio: int,
    key: str,
) -> IdsOfGraph:
    """Read the ids in some parts (head, relation, tail) of a graph's files.

    Raises InputError, in which `key` precedes the file, when one can't be read.
    """
    from kgtextvec.triples import open_edges, say_columns

    ids: set[str] = set()
    try:
        files = open_edges(paths, how, encoding, max_ratio)
        for file in files:
            for some in file.distinct(parts):
                ids.update(some)
    except InputError as error:
        raise InputError(f"{key}: {plain(str(error), 1000)}") from None
    say_columns(files)
    return IdsOfGraph(name_of_parts(paths), sum(one.count for one in files), frozenset(ids))


@dataclass
class UsedRows:
    """The ids that a graph holds, and which of them a table has."""

    graph: IdsOfGraph
    found: set[str] = field(default_factory=set)
    rows_used: int = 0
    rows_unused: int = 0

    def matches(self, names: Sequence[Sequence[str]]) -> list[bool]:
        """Tell for each row of a block whether the triples use it.

        `names` are lists of the rows' ids, of which a triple may use any.
        """
        used = []
        for row in zip(*names, strict=True):
            hits = self.graph.ids.intersection(row)
            self.found |= hits
            used.append(bool(hits))
        self.rows_used += sum(used)
        self.rows_unused += len(used) - sum(used)
        return used

    def finish(self, findings: Findings) -> None:
        """Warn of ids in the triples that no row has."""
        missing = sorted(self.graph.ids - self.found)
        if missing:
            findings.add(
                "ids_without_row",
                None,
                ", ".join(plain(one) for one in missing[:3]),
                title="id in the triples without a row in the table",
                count=len(missing),
            )

    def as_json(self) -> dict[str, Any]:
        """Return the coverage both ways for findings.json."""
        missing = sorted(self.graph.ids - self.found)
        return {
            "file": self.graph.file,
            "triples": self.graph.triples,
            "ids": len(self.graph.ids),
            "rows_used": self.rows_used,
            "rows_unused": self.rows_unused,
            "ids_without_row": len(missing),
            "first_ids_without_row": [plain(one, 200) for one in missing[:LISTED]],
        }
