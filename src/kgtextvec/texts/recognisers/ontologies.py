"""OBO, OWL and OBO Graphs JSON: ontologies, which become tables by a conversion."""

from kgtextvec.texts.recognisers import Recogniser, TableGuess, TableSample


def guess_ontology(sample: TableSample) -> TableGuess | None:
    """Return the table that ROBOT makes of an ontology."""
    if sample.format != "ontology":
        return None
    columns = {"id": "ID", "name": "LABEL", "description": "IAO:0000115"}
    settings = {"columns": columns, "label": "Term", "empty_text": "name"}
    doubts = [
        f"the file is {sample.what}. Convert it first: robot export --input {sample.path} --header"
        f" 'ID|LABEL|IAO:0000115' --format tsv --export {sample.path.stem}.tsv",
        "all terms get the label Term: set what they are, such as Disease",
    ]
    return TableGuess(sample.what.removeprefix("an "), "ontology", settings, doubts)


RECOGNISER = Recogniser("OBO, OWL, OBO Graphs JSON", 1, guess_ontology)
