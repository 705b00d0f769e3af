"""PrimeKG: nodes.csv, kg.csv or edges.csv, and the features of diseases and drugs."""

from typing import Any

from kgtextvec.texts.recognisers import Recogniser, TableGuess, TableSample

DEFINITIONS = ("mondo_definition", "umls_description", "orphanet_definition")


def guess_primekg(sample: TableSample) -> TableGuess | None:
    """Recognise its columns: node_type is the label, node_name the name."""
    names = sample.names
    if {"x_index", "y_index"} <= names and "relation" in names:
        return TableGuess(
            "PrimeKG edges",
            "graph",
            {},
            ["nodes.csv must use the same ids: node_id with node_type, as x_id with x_type here"],
        )
    if {"node_id", "node_type", "node_name"} <= names:
        columns = {"id": "node_id", "label": "node_type", "name": "node_name"}
        if "node_source" in names:
            columns["resource"] = "node_source"
        settings: dict[str, Any] = {"columns": columns, "text": ["name"]}
        doubts = ["ids are those of node_id; if your triples have node_index, map id to that"]
        return TableGuess("PrimeKG nodes", "entities", settings, doubts)
    if {"node_index", "mondo_name"} <= names:
        found = [name for name in DEFINITIONS if name in names]
        settings = {
            "columns": {"id": "node_index", "name": "mondo_name", "description": found},
            "label": "disease",
            "duplicates": "warn",
        }
        if not found:
            settings["columns"].pop("description")
            settings["text"] = ["name"]
        doubts = ["ids are those of node_index, unlike in nodes.csv, if that is mapped to node_id"]
        return TableGuess("PrimeKG disease features", "entities", settings, doubts)
    return None


RECOGNISER = Recogniser("PrimeKG", 40, guess_primekg)
