"""DRKG: as its own vectors, with maps of id and row."""

from functools import partial

from kgtextvec.export.forms import TrainerFiles, template_beside, trainer_form
from kgtextvec.export.idmaps import id_then_row, read_id_then_row, read_maps

FORM = trainer_form(
    "DRKG",
    template_beside(__file__),
    TrainerFiles("{model}_{one}.npy", "{many}.tsv", id_then_row),
    {"drkg": partial(read_maps, "drkg", read_id_then_row)},
)
