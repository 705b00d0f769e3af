"""Which rows a graph uses: the ids in a file of triples."""

from pathlib import Path
from typing import Any

from kgtextvec.errors import InputError
from kgtextvec.texts.findings import LISTED, Findings, plain
from kgtextvec.texts.reader import Reader
from kgtextvec.triples import is_header


class UsedRows:
    """The ids that triples hold, and which of them a table has.

    The file has three tab-separated columns, head, relation and tail, with or without a header
    of such names, packed or not. Nodes are `label::id` or a bare id.
    """

    def __init__(self, path: Path, places: tuple[int, ...], encoding: str, max_ratio: int) -> None:
        """Read the columns at `places` (of 3). Raises InputError when they can't be read."""
        self.path = path
        self.triples = 0
        self.ids: set[str] = set()
        self.found: set[str] = set()
        self.rows_used = self.rows_unused = 0
        findings = Findings()
        reader = Reader(path, findings, quoting="none", encoding=encoding, max_ratio=max_ratio)
        try:
            header = reader.open()
            if len(header.names) != 3:
                raise InputError(
                    f"has {len(header.names)} columns. Give head, relation and tail, separated"
                    " by tabs."
                )
            if not is_header(header.names):
                self.ids.update(header.names[place] for place in places)
                self.triples += 1
            reader.take({str(place): place for place in places}, [])
            for batch in reader.batches():
                self.triples += len(batch.lines)
                for values in batch.columns.values():
                    self.ids.update(values)
            if findings.outcome == "error":
                raise InputError(findings.error_message())
        except InputError as error:
            raise InputError(f"used_by: {plain(str(path), 200)}: {error}") from None

    def matches(self, ids: list[str], labels: list[str] | None = None) -> list[bool]:
        """Tell for each row of a block whether the triples use it."""
        used = []
        for row, one in enumerate(ids):
            node = f"{labels[row]}::{one}" if labels else one
            hits = self.ids & {node, one}
            self.found |= hits
            used.append(bool(hits))
        self.rows_used += sum(used)
        self.rows_unused += len(used) - sum(used)
        return used

    def finish(self, findings: Findings) -> None:
        """Warn of ids in the triples that no row has."""
        missing = sorted(self.ids - self.found)
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
        missing = sorted(self.ids - self.found)
        return {
            "file": self.path.name,
            "triples": self.triples,
            "ids": len(self.ids),
            "rows_used": self.rows_used,
            "rows_unused": self.rows_unused,
            "ids_without_row": len(missing),
            "first_ids_without_row": [plain(one, 200) for one in missing[:LISTED]],
        }
