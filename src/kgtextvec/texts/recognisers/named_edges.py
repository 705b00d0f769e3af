"""Edges with a header that names a head, a relation and a tail, in any of their common names."""

from kgtextvec.edge_columns import is_header
from kgtextvec.texts.recognisers import Recogniser, TableGuess, TableSample


def guess_named_edges(sample: TableSample) -> TableGuess | None:
    """Recognise what the reader of edges takes for a header, unless the rows have ids of theirs."""
    if not is_header(sample.first) or sample.named("id"):
        return None
    return TableGuess("edges with a header", "graph")


RECOGNISER = Recogniser("edges with a header", 70, guess_named_edges)
