"""Neo4j's import format, also as BioCypher writes it: typed headers such as id:ID(Gene)."""

from typing import Any

from kgtextvec.texts.header import key_of, neo4j_type
from kgtextvec.texts.recognisers import (
    Recogniser,
    TableGuess,
    TableSample,
    label_settings,
    other_label,
)

NAME_PROPERTIES = ("name", "label", "preferredname", "title", "symbol")
ABOUT_PROPERTIES = ("description", "definition", "summary", "comment")


def guess_neo4j(sample: TableSample) -> TableGuess | None:
    """Recognise a typed header; properties give name and description."""
    types = {neo4j_type(name) for name in sample.first}
    form = "BioCypher" if sample.headers else "Neo4j import"
    more: dict[str, Any] = {}
    if sample.headers:
        more["header_file"] = str(sample.headers[0])
    if sample.quotechar != '"':
        more["quotechar"] = sample.quotechar
    if "START_ID" in types:
        return TableGuess(f"{form} edges", "graph")
    if "ID" not in types:
        return None
    columns: dict[str, Any] = {"id": ":ID"}
    doubts: list[str] = []
    found = {key_of(name): name for name in reversed(sample.first) if neo4j_type(name) != "ID"}
    name = next((found[key] for key in NAME_PROPERTIES if key in found), None)
    about = next((found[key] for key in ABOUT_PROPERTIES if key in found), None)
    if name and name.partition(":")[0] != "name":
        columns["name"] = name
    if about and about.partition(":")[0] != "description":
        columns["description"] = about
    labels = next((one for one in sample.first if neo4j_type(one) == "LABEL"), None)
    if labels:
        columns["label"] = ":LABEL"
        settings, doubts = label_settings(sample, labels, "Node")
        more |= settings
    else:
        more["label"] = "Node"
        doubts.append("no column :LABEL, so that all rows get the label Node")
    arrays = [one for one in sample.first if neo4j_type(one).endswith("[]")]
    if arrays and "list_separator" not in more:
        mark = next((mark for one in arrays if (mark := sample.lists_in(one))), ";")
        more["list_separator"] = mark
    if not name:
        columns["name"] = ":ID"
        doubts.append("no property is called name or similar; ids are used as names")
    if not about:
        more["text"] = ["name"]
    settings = {"columns": columns} | more
    return TableGuess(f"{form} nodes", "entities", settings, doubts, other_label(settings))


RECOGNISER = Recogniser("Neo4j and BioCypher", 5, guess_neo4j)
