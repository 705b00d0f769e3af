"""Hetionet: nodes.tsv (id, name, kind) and edges.sif (source, metaedge, target)."""

from kgtextvec.texts.recognisers import Recogniser, TableGuess, TableSample


def guess_hetionet(sample: TableSample) -> TableGuess | None:
    """Recognise its columns."""
    if {"source", "metaedge", "target"} <= sample.names:
        return TableGuess("Hetionet edges", "graph")
    if sample.names >= {"id", "name", "kind"} and "label" not in sample.names:
        settings = {"columns": {"label": sample.named("kind")}}
        text = {} if "description" in sample.names else {"text": ["name"]}
        return TableGuess("Hetionet nodes", "entities", settings | text)
    return None


RECOGNISER = Recogniser("Hetionet", 20, guess_hetionet)
