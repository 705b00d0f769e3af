"""What a check of a table gives: the report that lint prints and read-texts stores."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kgtextvec.errors import InputError
from kgtextvec.texts.findings import TableError
from kgtextvec.texts.table import CheckedTable

# Ids and texts listed by `lint --json`: enough to look at, bounded for tables of any size.
LISTED_ROWS = 100_000
LISTED_CHARACTERS = 50_000_000


@contextmanager
def refused(table: CheckedTable) -> Iterator[None]:
    """Make whatever stops a pass over a table one of its findings."""
    try:
        yield
    except TableError as error:
        table.findings.add(error.kind, error.line, str(error), error=True)
    except InputError as error:
        table.findings.add("settings", None, str(error), error=True)


def check_table(table: CheckedTable, lists: bool = True) -> dict[str, Any]:
    """Read a table to its end and return the report; nothing is raised for a bad table.

    With `lists` the report holds `ids` and `texts` of the rows that can be used, in order, until
    LISTED_ROWS rows or LISTED_CHARACTERS characters; `listed` says how many.
    """
    ids: list[str] = []
    texts: list[str] = []
    characters = 0
    with refused(table):
        for rows in table.rows():
            if lists and len(ids) < LISTED_ROWS and characters < LISTED_CHARACTERS:
                room = LISTED_ROWS - len(ids)
                ids += rows.columns["id"][:room]
                texts += rows.texts[:room]
                characters += sum(map(len, rows.texts[:room]))
    found = report(table, lists)
    if lists:
        found |= {"ids": ids, "texts": texts, "listed": len(ids)}
    return found


def report(table: CheckedTable, lists: bool) -> dict[str, Any]:
    """Return outcome, rows, findings and the counts of what the rows are like."""
    empty: dict[str, Any] = {"ids": [], "texts": [], "listed": 0} if lists else {}
    found = {
        "outcome": table.findings.outcome,
        "rows": table.quality.rows,
        **empty,
        "findings": table.findings.as_json(),
        **table.quality.as_json(),
    }
    if table.findings.notes:
        found["notes"] = table.findings.notes
    if table.node_ids.graph or table.node_ids.recorded:
        found["node_ids"] = table.node_ids.as_json()
    if table.used:
        found["used_by"] = table.used.as_json()
    return found
