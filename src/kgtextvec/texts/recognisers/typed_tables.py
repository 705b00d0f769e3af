"""Any table with a header: columns by what they are called, `label` with care.

In files like PrimeKG's or Neo4j's, `label` is the name and `type`, `category` or `kind` the label.
"""

from typing import Any

from kgtextvec.texts.header import OTHER_NAMES
from kgtextvec.texts.recognisers import (
    FEW_VALUES,
    Recogniser,
    TableGuess,
    TableSample,
    label_settings,
    labels_in_ids,
    texts_from,
)


def guess_typed(sample: TableSample) -> TableGuess | None:
    """Map the columns by their names; both ways where `label` may be the name or the label."""
    found = {}
    for ours in ("id", "name", "description"):
        theirs = sample.named(*OTHER_NAMES[ours])
        if theirs:
            found[ours] = theirs
    label, kind = sample.named("label"), sample.named(*OTHER_NAMES["label"])
    if "id" not in found or not (label or kind or "name" in found):
        return None
    by_kind, doubts = label_settings(sample, kind, "Entity") if kind else ({}, [])
    as_name = mapped(sample, found | {"name": label}, kind, by_kind)
    as_label = mapped(sample, found, label, {})
    if (
        not label
        and not kind
        and (inside := labels_in_ids(found["id"], sample.column(found["id"])))
    ):
        settings = mapped(sample, found, found["id"], {"list_separator": inside["list_separator"]})
        return TableGuess("table whose ids hold labels", "entities", settings)
    if not label:
        return TableGuess(
            "table", "entities", mapped(sample, found, kind, by_kind), doubts + unlabelled(kind)
        )
    if "name" in found:
        others = [("the labels are in another column", mapped(sample, found, kind, by_kind))]
        return TableGuess("table", "entities", as_label, [], others if kind else [])
    values = sample.column(label)
    share = len(set(values)) / max(len(values), 1)
    if not kind and share < 0.5:
        return TableGuess("table", "entities", as_label, ["no column has names"])
    doubt = (
        f"{len(set(values)):,} of {len(values):,} values of {label} differ, so that it is taken for"
        " the name"
    )
    sure = share > 0.5 and len(values) >= FEW_VALUES
    others = [] if sure and kind else [(f"{label} is the label, not the name", as_label)]
    return TableGuess("table", "entities", as_name, [*doubts, doubt, *unlabelled(kind)], others)


def mapped(
    sample: TableSample, found: dict[str, Any], label: str | None, more: dict[str, Any]
) -> dict[str, Any]:
    """Return the settings of a mapping; without a column of labels all rows get one."""
    columns = found | ({"label": label} if label else {})
    settings = dict(more) if label else {"label": "Entity"}
    shown = {ours: theirs for ours, theirs in columns.items() if ours != theirs}
    if "label" in columns.values() and columns.get("label") == "label" and "name" not in found:
        shown["label"] = "label"  # said, since it might be the name
    if "name" not in columns:
        shown["name"] = columns["id"]
    return ({"columns": shown} if shown else {}) | settings | texts_from(sample, columns | shown)


def unlabelled(kind: str | None) -> list[str]:
    """Return the doubt of a table without a column of labels."""
    return [] if kind else ["no column has labels, so all rows get Entity: set what they are"]


RECOGNISER = Recogniser("any table with a header", 90, guess_typed)
