"""TSV: BioMedGPS's columns, numbers in the shortest text that parses back to the same bits."""

from pathlib import Path
from typing import TYPE_CHECKING

from kgtextvec.export.forms import ExportForm

if TYPE_CHECKING:
    from kgtextvec.space import Space


def write_space(space: "Space", out: Path, threads: int) -> None:
    """Write all rows of a space."""
    from kgtextvec.export.tsv import write_tsv

    write_tsv(space, out, threads)


FORM = ExportForm("BioMedGPS's TSV", write_space=write_space)
