"""DRKG and other triples without a header: nodes such as Gene::2157."""

from kgtextvec.texts.recognisers import Recogniser, TableGuess, TableSample


def guess_drkg(sample: TableSample) -> TableGuess | None:
    """Recognise three columns whose ends are label::id."""
    rows = sample.all_rows()
    if any(len(row) != 3 for row in rows):
        return None
    if not all("::" in row[0] and "::" in row[2] for row in rows):
        return None
    doubts = [
        "triples hold no text: names come from a table of entities, whose ids must be those of the"
        " triples"
    ]
    return TableGuess("DRKG triples", "graph", {}, doubts)


RECOGNISER = Recogniser("DRKG", 50, guess_drkg)
