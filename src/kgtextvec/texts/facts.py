"""Facts: the edges of a graph as rows, with the names that other tables give to their parts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.errors import InputError
from kgtextvec.kinds import FACT_COLUMNS, FACTS, KINDS
from kgtextvec.records import TextsManifest, read_record
from kgtextvec.settings.edges import EdgeReading
from kgtextvec.settings.tables import Reading
from kgtextvec.texts.blocks import Batch
from kgtextvec.texts.findings import Findings, plain
from kgtextvec.texts.rules import TextRule

LABELS_OF_FACTS = {"head_label", "tail_label"}


@dataclass
class KnownNames:
    """Names and labels of nodes, or of relations, by the ids that a graph uses."""

    tables: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def add(self, folder: Path) -> None:
        """Add the rows of a table that was read: results/texts/{table}."""
        from kgtextvec.parquet_files import parquet_batches

        about = read_record(folder / "manifest.json", TextsManifest)
        kind = KINDS[about["kind"]]
        self.tables.append(about["table"])
        labels: dict[str, str] = {}  # each label is kept once
        for batch in parquet_batches(folder / "rows.parquet", 1 << 16):
            columns = {name: batch[name].to_pylist() for name in batch.schema.names}
            ids = kind.node_ids(columns, about.get("node_id"))
            for node, name, label in zip(ids, columns["name"], columns["label"], strict=True):
                if node not in self.names:
                    self.names[node] = name
                    self.labels[node] = labels.setdefault(label, label)


def read_known_names(paths: Sequence[Path]) -> tuple[KnownNames, KnownNames]:
    """Read the names of nodes, then those of relations, from tables that were read.

    `paths`: their folders, or files in these.
    """
    nodes, relations = KnownNames(), KnownNames()
    for folder in dict.fromkeys(path if path.is_dir() else path.parent for path in paths):
        kind = read_record(folder / "manifest.json", TextsManifest)["kind"]
        (nodes if KINDS[kind].has_labels else relations).add(folder)
    return nodes, relations


class FactBlocks:
    """The edges of a file as blocks of rows, in the columns of the kind `facts`.

    `head`, `relation` and `tail` are names; `head_id`, `relation_id`, `tail_id` what the graph has.
    A part without a name is treated as `empty_text` says: an error, its id as its name, or the row
    left out. A relation is its own name where there is no table of relation types. `columns`: those
    of the text rule.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        settings: Reading,
        how: EdgeReading,
        names: Sequence[Path],
        columns: Sequence[str],
    ) -> None:
        from kgtextvec.triples import open_edges

        self.files = open_edges(paths, how, settings.encoding, settings.max_ratio)
        self.policy, self.columns = settings.empty_text, columns
        self.nodes, self.relations = read_known_names(names)

    def blocks(self, findings: Findings) -> Iterator[Batch]:
        """Yield the facts, block by block; those without a name become findings."""
        line = 1
        for file in self.files:
            if len(self.files) > 1:
                findings.starts.append((line - 1, file.path.name))
            line += file.before + bool(file.header)
            for batch in file.batches():
                yield from self.named_batch(batch, line, findings)
                line += len(batch)

    def named_batch(self, batch: Any, line: int, findings: Findings) -> Iterator[Batch]:
        """Yield the facts of a block of edges, the first of which is in `line`; none, or one."""
        ids = {part: batch[part].to_pylist() for part in ("head", "relation", "tail")}
        heads, relations, tails = ids.values()
        columns = {
            "head": self.named(heads, self.nodes),
            "relation": self.named(relations, self.relations),
            "tail": self.named(tails, self.nodes),
            "head_id": heads,
            "relation_id": relations,
            "tail_id": tails,
        }
        for part in LABELS_OF_FACTS & set(self.columns):
            ends = ids[part.removesuffix("_label")]
            columns[part] = [self.nodes.labels.get(one, "") for one in ends]
        lines = np.arange(line, line + len(heads))
        if not all(map(all, (columns["head"], columns["relation"], columns["tail"]))):
            columns, lines = self.complete(columns, lines, findings)
        columns["id"] = list(
            map(
                "|".join,
                zip(*(columns[f"{part}_id"] for part in FACTS.in_triples), strict=True),
            )
        )
        if len(lines):
            yield Batch(lines, columns, False)

    def named(self, ids: list[str], known: KnownNames) -> list[str]:
        """Return the name of each id, "" for none."""
        if known is self.relations and not known.tables:
            return ids
        try:
            return list(map(known.names.__getitem__, ids))
        except KeyError:
            return [known.names.get(one, "") for one in ids]

    def complete(
        self, columns: dict[str, list[str]], lines: NDArray[np.int64], findings: Findings
    ) -> tuple[dict[str, list[str]], NDArray[np.int64]]:
        """Apply the policy for parts without a name; return the columns and lines that stay."""
        keep = np.ones(len(lines), bool)
        for part in FACTS.in_triples:
            for row, name in enumerate(columns[part]):
                if name:
                    continue
                one, at = columns[f"{part}_id"][row], int(lines[row])
                if self.policy == "name":
                    columns[part][row] = one
                    outcome = "its id was used (empty_text: name)"
                else:
                    keep[row] = False
                    outcome = "the fact was skipped (empty_text: skip)"
                error = self.policy == "error"
                findings.add(
                    "no_name",
                    at,
                    f"fact {at}: no table has a name for its {part} {plain(one)}",
                    error=error,
                    title="" if error else f"part of a fact that no table names; {outcome}",
                    hint="Add the table that has it, or set empty_text: skip to leave such facts"
                    " out, or empty_text: name to use ids as names"
                    if error
                    else "",
                )
        if keep.all():
            return columns, lines
        kept = {
            name: [value for value, stays in zip(values, keep, strict=True) if stays]
            for name, values in columns.items()
        }
        return kept, lines[keep]


def check_facts(rule: TextRule, used_by: Sequence[Path]) -> None:
    """Raise InputError for settings that facts can't have."""
    for column in rule.columns:
        if column not in FACT_COLUMNS:
            raise InputError(
                f"text: facts have no column {plain(column)}. Choose from"
                f" {', '.join(FACT_COLUMNS)}."
            )
    if used_by:
        raise InputError("used_by: facts are a graph's own edges. Remove this key.")
