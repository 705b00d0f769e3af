"""`kgtextvec models`: the catalogue as a table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from kgtextvec.locations import project_folder
from kgtextvec.settings.base import read_settings
from kgtextvec.settings.models import Model
from kgtextvec.yaml_files import read_yaml

# Peak of embed-shard in float32 on a CPU: 1.3 GB for 109 million weights, 3.0 GB for 334 million.
LIBRARIES_GB = 0.5
BYTES_PER_WEIGHT = 8  # as the file has it, and laid out for the processor
COLUMNS = ("name", "kind", "dims", "weights", "memory", "checked", "source", "license")


def models(
    catalogue: Annotated[Path | None, "catalogue to list (default: config/models.yaml)"] = None,
) -> None:
    """List the models of the catalogue: dims, weights, source and licence.

    `checked` is yes where the entry has digests of the model's files, or is a folder of the user's.
    Elsewhere the facts are from the model's card or paper, and were not compared with its files.

    `memory` is what a job needs to embed with the model on a CPU in float32, for texts of usual
    length; a GPU needs a quarter of it in bfloat16 or float16, besides its batches.
    """
    path = catalogue or project_folder() / "config/models.yaml"
    rows = [COLUMNS, *(row_of(name, entry) for name, entry in read_yaml(path).items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())  # noqa: T201


def row_of(name: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of a model. Raises InputError that names a wrong key."""
    model = read_settings(Model, entry, f"catalogue, {name}.")
    return (
        name,
        model.kind,
        str(model.dims or "?"),
        f"{model.parameters / 1e6:,.0f} M" if model.parameters else "?",
        f"{memory_gb(model):,.1f} GB" if model.parameters or model.kind == "endpoint" else "?",
        "yes" if model.sha256 or is_local(model.source) else "no",
        first_source(model.source),
        model.license or "?",
    )


def memory_gb(model: Model) -> float:
    """Return the memory that a job needs to embed with a model on a CPU."""
    return LIBRARIES_GB + BYTES_PER_WEIGHT * (model.parameters or 0) / 1e9


def first_source(source: Any) -> str:
    """Return the first address of a catalogue entry's source."""
    first = source[0] if isinstance(source, tuple) else source
    return str(next(iter(first.values())) if isinstance(first, dict) else first)


def is_local(source: Any) -> bool:
    """Return whether the first address of a source is on this machine."""
    return first_source(source).startswith(("path:", "file:"))
