"""export_table: one space in one form."""

from pathlib import Path
from typing import Annotated

from kgtextvec.device import available_cores
from kgtextvec.errors import InputError
from kgtextvec.registry import FORMS


def export_table(
    space_dir: Annotated[Path, "the space's folder"],
    *,
    format: Annotated[str, "the form to write", FORMS],
    out: Annotated[Path, "the file to write"],
    threads: Annotated[int, "0: all cores of the job"] = 0,
) -> None:
    """Write a space in one form to `out`, complete or not at all.

    Raises InputError when the space's files disagree on rows or dims or aren't those that its
    manifest describes, at NaN or Inf, and for a form that isn't one of a space.
    """
    from kgtextvec.space import checked_space

    write = FORMS[format].write_space
    if write is None:
        raise InputError(
            f"--format {format}: is not a form of one space; export-bundle writes it, or a verb of"
            " its own."
        )
    space = checked_space(space_dir)
    write(space, out, threads or available_cores())
    try:
        space.compare_vectors()  # unless the form did so when it read them
    except InputError:
        out.unlink(missing_ok=True)
        raise
