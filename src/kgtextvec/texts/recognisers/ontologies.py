"""OBO, OWL and OBO Graphs JSON: ontologies. init makes tables of the last; others are converted."""

from dataclasses import replace

from kgtextvec.texts.recognisers import Recogniser, TableGuess, TableSample
from kgtextvec.texts.recognisers.kgx import guess_kgx


def guess_ontology(sample: TableSample) -> TableGuess | None:
    """Return the table of an ontology's terms that init has made, or the one that ROBOT makes."""
    if sample.format == "ontology":
        return guess_unread(sample)
    guess = guess_kgx(sample) if sample.what else None
    if guess is None:
        return None
    guess = replace(guess, form=f"{sample.what.removeprefix('an ')}, made a table")
    if guess.role == "entities":
        guess.doubts.append(
            "the labels are the namespaces that OBO gives the terms, else the prefixes of their ids"
        )
        columns = {ours: one for ours, one in guess.settings["columns"].items() if ours != "label"}
        others = {key: one for key, one in guess.settings.items() if key != "columns"}
        one_label = ({"columns": columns} if columns else {}) | others | {"label": "Disease"}
        guess.others.append(("all terms are of one kind, such as Disease", one_label))
    return guess


def guess_unread(sample: TableSample) -> TableGuess:
    """Return the table that ROBOT makes of an ontology."""
    columns = {"id": "ID", "name": "LABEL", "description": "IAO:0000115"}
    settings = {"columns": columns, "label": "Term", "empty_text": "name"}
    doubts = [
        f"the file is {sample.what}. Convert it first: robot convert --input {sample.path} --output"
        f" {sample.path.stem}.json; kgtextvec init makes tables of its terms and edges",
        "or a table of the terms alone, which the keys above read: robot export --input"
        f" {sample.path} --header 'ID|LABEL|IAO:0000115' --format tsv --export"
        f" {sample.path.stem}.tsv. All terms get the label Term: set what they are",
    ]
    return TableGuess(sample.what.removeprefix("an "), "ontology", settings, doubts)


RECOGNISER = Recogniser("OBO, OWL, OBO Graphs JSON", 1, guess_ontology)
