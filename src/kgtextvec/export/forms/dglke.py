"""DGL-KE: maps of row and id; raw triples are numbered in order of appearance."""

from functools import partial

from kgtextvec.export.forms import TrainerFiles, template_beside, trainer_form
from kgtextvec.export.idmaps import read_appearance, read_maps, read_row_then_id, row_then_id

FORM = trainer_form(
    "DGL-KE",
    template_beside(__file__),
    TrainerFiles("{model}_{one}.npy", "{many}.tsv", row_then_id),
    {"dglke": partial(read_maps, "dglke", read_row_then_id), "triples": read_appearance},
)
