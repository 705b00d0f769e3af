"""`kgtextvec models`: the catalogue as a table."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from kgtextvec.locations import project_folder
from kgtextvec.settings.base import read_settings
from kgtextvec.settings.models import Model
from kgtextvec.yaml_files import read_yaml

# Peak of embed-shard in float32 on a CPU: 1.3 GB for 109 million weights, 3.0 GB for 334 million.
LIBRARIES_GB = 0.5
BYTES_PER_WEIGHT = 8  # as the file has it, and laid out for the processor
COLUMNS = (
    "name", "kind", "dims", "weights", "memory", "pooling", "length", "checked", "source",
    "license",
)  # fmt: skip
# Columns that a terminal without room for them does not get, the first one first.
SPARE_COLUMNS = ("source", "kind", "length", "pooling")
ITS_OWN = "its own"
LEAST_LICENSE = 20  # characters of the last column before a column is left out


def models(
    catalogue: Annotated[Path | None, "catalogue to list (default: config/models.yaml)"] = None,
) -> None:
    """List the models of the catalogue: dims, weights, pooling, length, source and licence.

    `pooling` and `length` (tokens of a text at most) are `its own` where the entry leaves them to
    the model's files. A terminal gets the columns that it has room for; a file or a pipe gets all.

    `checked` is yes where the entry has digests of the model's files, or is a folder of the user's.
    Elsewhere the facts are from the model's card or paper, and were not compared with its files.

    `memory` is what a job needs to embed with the model on a CPU in float32, for texts of usual
    length; a GPU needs a quarter of it in bfloat16 or float16, besides its batches.
    """
    path = catalogue or project_folder() / "config/models.yaml"
    rows = [COLUMNS, *(row_of(name, entry) for name, entry in read_yaml(path).items())]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in catalogue_lines(rows, width):
        print(line)  # noqa: T201


def catalogue_lines(rows: Sequence[tuple[str, ...]], width: int | None) -> list[str]:
    """Lay out cells in columns; the first row holds the headings, in the order of COLUMNS.

    At a `width` in characters that is too little, SPARE_COLUMNS are left out and the last column is
    cut, which a last line says.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    shown, left_out = list(range(len(COLUMNS))), []
    last = widths[-1]
    if width is not None:
        for name in SPARE_COLUMNS:
            if needed(widths, shown) + min(last, LEAST_LICENSE) <= width:
                break
            shown.remove(COLUMNS.index(name))
            left_out.append(name)
        last = min(last, max(width - needed(widths, shown), LEAST_LICENSE))
    lines = []
    for row in rows:
        cells = [row[column].ljust(widths[column]) for column in shown[:-1]]
        end = row[-1] if len(row[-1]) <= last else row[-1][: last - 1] + "…"
        lines.append("  ".join([*cells, end]).rstrip())
    if left_out or last < widths[-1]:
        missing = f"left out: {', '.join(left_out)}; " if left_out else ""
        lines.append(f"({missing}all: kgtextvec models | less -S)")
    return lines


def needed(widths: Sequence[int], shown: Sequence[int]) -> int:
    """Return the characters before the last column."""
    return sum(widths[column] + 2 for column in shown[:-1])


def row_of(name: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of a model. Raises InputError that names a wrong key."""
    model = read_settings(Model, entry, f"catalogue, {name}.")
    return (
        name,
        model.kind,
        str(model.dims or "?"),
        f"{model.parameters / 1e6:,.0f} M" if model.parameters else "?",
        f"{memory_gb(model):,.1f} GB" if model.parameters or model.kind == "endpoint" else "?",
        model.pooling or (ITS_OWN if has_files_of_its_own(model) else "mean"),
        str(model.max_tokens or (ITS_OWN if has_files_of_its_own(model) else "any")),
        "yes" if model.sha256 or is_local(model.source) else "no",
        first_source(model.source),
        model.license or "?",
    )


def memory_gb(model: Model) -> float:
    """Return the memory that a job needs to embed with a model on a CPU."""
    return LIBRARIES_GB + BYTES_PER_WEIGHT * (model.parameters or 0) / 1e9


def has_files_of_its_own(model: Model) -> bool:
    """Return whether a model's own files, or its server, decide what the entry doesn't."""
    return model.kind not in ("elmo", "words")


def first_source(source: Any) -> str:
    """Return the first address of a catalogue entry's source."""
    first = source[0] if isinstance(source, tuple) else source
    return str(next(iter(first.values())) if isinstance(first, dict) else first)


def is_local(source: Any) -> bool:
    """Return whether the first address of a source is on this machine."""
    return first_source(source).startswith(("path:", "file:"))
