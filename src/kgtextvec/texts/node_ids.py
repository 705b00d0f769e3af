"""What triples call a table's rows: the form of node ids that finds most of a graph's nodes."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.kinds import Kind
from kgtextvec.texts.findings import LISTED, Findings, plain
from kgtextvec.texts.quality import Quality
from kgtextvec.texts.used import IdsOfGraph

ENOUGH = 0.95  # of a graph's nodes; fewer are warned of


class NodeIds:
    """The form of a table's node ids. Without a graph, and unless asked, it is the kind's first.

    Call `count` with every block of a table, then `choose`; in another pass `add`, then `clashes`.
    """

    def __init__(self, kind: Kind, asked: str, graph: IdsOfGraph | None) -> None:
        self.kind, self.asked, self.graph = kind, asked, graph
        self.form = kind.id_forms[0] if asked == "auto" else asked
        self.found: dict[str, set[str]] = {form: set() for form in kind.id_forms}
        self.prefixed = 0
        self.node_parts: list[NDArray[np.int64]] = []

    @property
    def undecided(self) -> bool:
        """Whether rows must be counted before the form is known."""
        return self.graph is not None

    def count(self, columns: Mapping[str, list[str]]) -> None:
        """Count which nodes of the graph each form finds among the rows of a block."""
        if self.graph is not None:
            for form, found in self.found.items():
                found.update(self.graph.ids.intersection(self.kind.node_ids(columns, form)))

    def choose(self, findings: Findings) -> None:
        """Take the form that finds most; warn when it finds too few."""
        if self.asked == "auto":
            self.form = max(self.kind.id_forms, key=lambda form: len(self.found[form]))
        if self.graph is not None and self.share < ENOUGH:
            findings.add(
                "node_ids",
                None,
                f"only {self.summary_line}",
                hint=f"Set {self.kind.id_setting} if another form is right, or add the missing"
                " rows; other tables may have them",
            )

    @property
    def share(self) -> float:
        """The share of the graph's nodes that the form finds; 1 without a graph."""
        ids = self.graph.ids if self.graph else ()
        return len(self.found[self.form]) / len(ids) if ids else 1.0

    @property
    def summary_line(self) -> str:
        """Return which form it is and how much each finds, for logs."""
        if self.graph is None:
            return f"{self.kind.id_setting}: {self.form}"
        others = [
            f"{form} {len(found):,}" for form, found in self.found.items() if form != self.form
        ]
        return (
            f"{len(self.found[self.form]):,} of {len(self.graph.ids):,}"
            f" {self.kind.many_in_graph} in {plain(self.graph.file)}"
            f" ({100 * self.share:.1f} %) match rows by {self.kind.id_setting}: {self.form}"
            f" (by {', '.join(others)})"
        )

    def add(self, columns: Mapping[str, list[str]]) -> None:
        """Keep what is needed to find two nodes with one id: 8 bytes a row."""
        nodes = self.kind.node_ids(columns, self.form)
        self.node_parts.append(np.array([hash(one) for one in nodes], dtype=np.int64))
        if self.kind.has_labels and self.form == self.kind.id_forms[0]:
            ids = columns["id"]
            self.prefixed += sum(one == node for one, node in zip(ids, nodes, strict=True))

    def clashes(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (n, 2) row numbers: a row, and the first one that has its node id but another key.

        `keys` (rows,) are hashes of the rows' keys.
        """
        nodes = np.concatenate(self.node_parts) if self.node_parts else np.zeros(0, np.int64)
        order = np.argsort(nodes, kind="stable")
        again = np.diff(nodes[order]) == 0
        if not again.any():
            return np.zeros((0, 2), np.int64)
        starts = np.flatnonzero(np.concatenate(([True], ~again)))
        first_of = order[np.repeat(starts, np.diff(np.append(starts, len(order))))]
        other = keys[order] != keys[first_of]
        return np.stack([order[other], first_of[other]], axis=1)

    @property
    def recorded(self) -> str | None:
        """The form for the manifest; None if it is the kind's first and changes no id."""
        return self.form if self.form != self.kind.id_forms[0] or self.prefixed else None

    def as_json(self) -> dict[str, Any]:
        """Return the form and what each form finds, for findings.json."""
        found: dict[str, Any] = {"form": self.form, "asked": self.asked}
        if self.graph is not None:
            found |= {
                "file": self.graph.file,
                "nodes": len(self.graph.ids),
                "found": {form: len(ids) for form, ids in self.found.items()},
                "share": round(self.share, 6),
            }
        return found


def report_clashes(
    node_ids: NodeIds,
    quality: Quality,
    rows: Callable[[], Iterator[dict[str, Any]]],
    findings: Findings,
) -> None:
    """Record an error for every two nodes that would have one id; it names both.

    `rows` yields the table's columns and lines, in another pass.
    """
    clashes = node_ids.clashes(quality.keys())
    if not len(clashes):
        return
    lines = quality.lines()[clashes]
    wanted = set(lines[:LISTED].ravel().tolist())
    shown: dict[int, tuple[str, str]] = {}
    for block in rows():
        ids = node_ids.kind.node_ids(block, node_ids.form)
        for place, line in enumerate(block["line"].tolist()):
            if line in wanted:
                parts = {name: block[name][place] for name in ("id", "label", "name")}
                text = ", ".join(f"{name} {plain(one)}" for name, one in parts.items() if one)
                shown[line] = (ids[place], f"line {line} ({text})")
    setting = node_ids.kind.id_setting
    for number, (line, first) in enumerate(lines[:LISTED].tolist(), start=1):
        node, row = shown[line]
        findings.add(
            "same_node_id",
            line,
            f"{row} would have the same id {plain(node)} as {shown[first][1]}",
            error=True,
            hint=f"Set {setting} to another form than {node_ids.form}, or correct the rows",
            count=1 if number < min(LISTED, len(lines)) else len(lines) - number + 1,
        )
