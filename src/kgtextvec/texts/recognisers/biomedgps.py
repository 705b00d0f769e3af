"""BioMedGPS: entities.tsv, relation_types.tsv and relation files."""

from kgtextvec.texts.header import OTHER_NAMES
from kgtextvec.texts.recognisers import FEW_VALUES, Recogniser, TableGuess, TableSample


def guess_biomedgps(sample: TableSample) -> TableGuess | None:
    """Recognise its own columns, which need no mapping."""
    names = sample.names
    if {"relation_type", "source_id", "target_id"} <= names:
        return TableGuess("BioMedGPS relations", "graph")
    if "relation_type" in names and "description" in names:
        return TableGuess("BioMedGPS relation types", "relation_types")
    if {"id", "label", "name"} <= names and not sample.named(*OTHER_NAMES["label"]):
        labels = sample.column(next(one for one in sample.first if one.strip().lower() == "label"))
        if len(set(labels)) > max(len(labels) / 2, 1) and len(labels) >= FEW_VALUES:
            return None
        text = {} if "description" in names else {"text": ["name"]}
        return TableGuess("BioMedGPS entities", "entities", text)
    return None


RECOGNISER = Recogniser("BioMedGPS", 10, guess_biomedgps)
