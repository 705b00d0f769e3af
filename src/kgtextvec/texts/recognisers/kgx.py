"""KGX, as KG-Hub, Monarch and others publish it: nodes with categories, edges with predicates."""

from typing import Any

from kgtextvec.texts.header import UNIT
from kgtextvec.texts.recognisers import (
    Recogniser,
    TableGuess,
    TableSample,
    label_settings,
    other_label,
    texts_from,
)


def guess_kgx(sample: TableSample) -> TableGuess | None:
    """Recognise its columns, and what its categories are like."""
    if {"subject", "predicate", "object"} <= sample.names:
        return TableGuess("KGX edges", "graph")
    category = sample.named("category")
    if not category or "id" not in sample.names or "subject" in sample.names:
        return None
    columns: dict[str, Any] = {"label": category}
    settings, doubts = label_settings(sample, category, "NamedThing")
    synonyms = sample.named("synonym", "synonyms")
    mark = sample.lists_in(synonyms) if synonyms else ""
    if mark and mark != UNIT:
        settings.setdefault("list_separator", mark)
    text = texts_from(sample, columns)
    ideas = []
    if synonyms and sample.column(synonyms):
        template = f"{{name}} ({{{synonyms}{':3' if mark else ''}}}). {{description}}"
        if "description" not in sample.first:
            template = template.partition(".")[0]
        ideas.append(("texts with synonyms", {"text": template}))
    if "description" in sample.first and len(sample.column("name")) < len(sample.rows):
        doubts.append("some rows have no name; a row without any text stops the run (empty_text)")
    settings = {"columns": columns} | settings | text
    return TableGuess("KGX nodes", "entities", settings, doubts, other_label(settings), ideas)


RECOGNISER = Recogniser("KGX", 30, guess_kgx)
