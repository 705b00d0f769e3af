"""Tables that are something else than they seem: transposed, a matrix, names called labels."""

import re
from collections.abc import Sequence

from kgtextvec.errors import InputError
from kgtextvec.kinds import Kind
from kgtextvec.settings.tables import Reading
from kgtextvec.texts.findings import Findings, plain
from kgtextvec.texts.formats import TableReader
from kgtextvec.texts.header import OTHER_NAMES, key_of
from kgtextvec.texts.quality import Quality

# A smaller table may well have a label for each row.
FEW_ROWS = 10
# A table with so many columns may be a matrix.
WIDE = 20
NUMERIC = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*|NA|nan|")


def shape_hint(reader: TableReader, names: Sequence[str]) -> str:
    """Return what to say of a table that lacks columns since it is transposed, or a matrix.

    `reader` is open, and its rows are not read yet. "" if it is neither.
    """
    known = {name for found in OTHER_NAMES.values() for name in found} | {"label"}
    try:
        reader.take({str(place): place for place in range(min(len(names), 6))}, [])
        batch = next(reader.batches(), None)
    except InputError:
        return ""
    if batch is None:
        return ""
    first = {key_of(one) for one in [names[0], *batch.columns["0"][:FEW_ROWS]]}
    if len(first & known) > 1 and len(first & known) > len({*map(key_of, names)} & known):
        return (
            " The table seems to be transposed: its first column holds the names of columns."
            " Transpose it, so that each node has a row"
        )
    values = [one for name in list(batch.columns)[1:] for one in batch.columns[name][:FEW_ROWS]]
    if len(names) >= WIDE and values and all(NUMERIC.fullmatch(one) for one in values):
        return (
            f" The table is a matrix of numbers with {len(names):,} columns. Give a table with"
            " one row per node, and its name or description"
        )
    return ""


def label_that_is_name(
    names: Sequence[str], kind: Kind, how: Reading, quality: Quality, findings: Findings
) -> None:
    """Record an error where the column `label` seems to hold names, and another one labels.

    `names`: the file's columns. `quality` has counted the labels of all rows.
    """
    rows, labels = quality.rows, len(quality.labels)
    if not kind.has_labels or "label" in how.columns or "label" not in names or "name" in names:
        return
    likely = [name for name in names if key_of(name) in OTHER_NAMES["label"]]
    if likely and rows >= FEW_ROWS and labels > rows / 2:
        findings.add(
            "label_is_name",
            None,
            f"{rows:,} rows have {labels:,} different labels, so the column label seems to hold"
            f" names, and {plain(likely[0])} the labels",
            error=True,
            hint=f"Set columns: {{label: {plain(likely[0])}, name: label}}; or columns:"
            " {label: label} if they are labels",
        )
