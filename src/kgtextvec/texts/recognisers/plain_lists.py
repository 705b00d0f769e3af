"""Plain lists: symbols, one a line; entity2text.txt; entity2id.txt."""

import re
from collections.abc import Sequence
from typing import Any

from kgtextvec.texts.header import OTHER_NAMES, key_of
from kgtextvec.texts.recognisers import Recogniser, TableGuess, TableSample, labels_in_ids

WHOLE_NUMBER = re.compile(r"\d+")


def guess_list(sample: TableSample) -> TableGuess | None:
    """Recognise one column, or an id and a text or number, without a header."""
    rows = sample.all_rows()
    widths = {len(row) for row in rows}
    known = {name for names in OTHER_NAMES.values() for name in names} | {"label"}
    if any(key_of(name) in known for name in sample.first) or sample.format in ("parquet", "jsonl"):
        return None
    settings: dict[str, Any]
    if widths == {1}:
        settings, doubts = listed(["id"], [row[0] for row in rows])
        if WHOLE_NUMBER.fullmatch(sample.first[0]) and not WHOLE_NUMBER.fullmatch(rows[-1][0]):
            doubts.append(f"line 1 is {sample.first[0]}: a count? Remove it")
        return TableGuess("plain list", "entities", settings | {"text": ["name"]}, doubts)
    if widths != {2} or sample.format != "tsv":
        return None
    if all(WHOLE_NUMBER.fullmatch(row[1]) for row in rows):
        settings, doubts = listed(["id", "number"], [row[0] for row in rows])
        doubts.append("the file holds ids and numbers, no texts: the ids are embedded")
        return TableGuess("entity2id", "entities", settings | {"text": ["name"]}, doubts)
    settings, doubts = listed(["id", "name"], [row[0] for row in rows])
    return TableGuess("entity2text", "entities", settings | {"text": ["name"]}, doubts)


def listed(header: list[str], ids: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the settings of a file without a header, and the doubts about its labels."""
    columns = {} if "name" in header else {"name": "id"}
    found = labels_in_ids("id", ids)
    columns |= found.get("columns", {})
    settings: dict[str, Any] = {"header": header}
    if columns:
        settings["columns"] = columns
    if found:
        return settings | {"list_separator": found["list_separator"]}, []
    doubt = "all rows get the label Entity: set what they are, such as Gene"
    return settings | {"label": "Entity"}, [doubt]


RECOGNISER = Recogniser("plain lists", 60, guess_list)
