"""numpy: the matrix itself, checked against its digest."""

from pathlib import Path
from typing import TYPE_CHECKING

from kgtextvec.errors import InputError
from kgtextvec.export.forms import ExportForm
from kgtextvec.files import link_or_copy, sha256_of, whole_file

if TYPE_CHECKING:
    from kgtextvec.space import Space


def link_matrix(space: "Space", out: Path, threads: int) -> None:
    """Check the matrix's sha256, then make `out` a hard link to it, or a copy on another disk."""
    source, digest = space.matrix.path, space.manifest["vectors_digest"]
    found = sha256_of(source)
    if found != digest:
        raise InputError(
            f"{source}: damaged or replaced: expected sha256 {digest}, got {found}. Delete it and"
            " rerun."
        )
    if out.exists() and out.samefile(source):
        return
    with whole_file(out) as part:
        link_or_copy(source, part)


FORM = ExportForm("numpy", write_space=link_matrix)
