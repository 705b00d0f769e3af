"""export_bundle: entities and relation types of one space, in the files of one consumer."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from kgtextvec.checksums import recorded_digests, vector_digests
from kgtextvec.errors import InputError
from kgtextvec.export.inverses import choose_inverses
from kgtextvec.export.trainers import write_trainer
from kgtextvec.files import digests_in, whole_folder
from kgtextvec.records import write_record
from kgtextvec.registry import FORMS
from kgtextvec.settings.spaces import InverseRelations
from kgtextvec.space import Space, checked_space

InverseSpace = Annotated[list[Path], "the space of the table that inverse_relations names"]


def export_bundle(
    space_dirs: Annotated[list[Path], "space folders: entities, relation types or both"],
    *,
    form: Annotated[str, "the form to write", FORMS],
    out_dir: Annotated[Path, "the folder to make"],
    inverse: InverseSpace = [],  # noqa: B006
    inverses: InverseRelations = InverseRelations(),
) -> None:
    """Write tables of one space in the form of one consumer, with a manifest.json; all or none.

    Raises InputError when a space is damaged, when the spaces are of different models, dims or
    bases, when there are two of a kind, where the form can't hold an id, and for a form that isn't
    one of a bundle.
    """
    write = FORMS[form].write_table
    if write is None:
        raise InputError(
            f"--form {form}: is not a form of a bundle; export-table writes it, or a verb of its"
            " own."
        )
    spaces = open_together(space_dirs)
    about = spaces[0].manifest
    model = about["model"]["name"]
    files = FORMS[form].files
    inverted = choose_inverses(inverses, inverse, spaces) if files and files.inverses else None
    if inverted and files:
        write = partial(write_trainer, files=files, inverses=inverted)
    manifest: dict[str, Any] = {"form": form, "model": model, "space": about["space"]}
    with whole_folder(out_dir) as part:
        for space in spaces:
            manifest[space.kind.name] = {
                "table": space.manifest["table"],
                **write(space, part, model),
                "dims": space.dims,
                "examples": example_ids(space),
                "table_rows": space.rows,
                **vector_digests(space.manifest),
            }
            space.compare_vectors()  # unless the form did so when it read them
        entries = [manifest[space.kind.name] for space in spaces]
        known = {file for file, _, _ in recorded_digests(entries)}
        write_record(part / "manifest.json", manifest | {"files": digests_in(part, known)})


def open_together(space_dirs: list[Path]) -> list[Space]:
    """Open spaces: at most one of each kind, of one model and one basis, else InputError."""
    spaces = [checked_space(folder) for folder in space_dirs]
    kinds = [space.kind.name for space in spaces]
    if len(set(kinds)) != len(kinds):
        raise InputError(
            f"{spaces[1].folder}: a second table of {kinds[1]}. Give one of each kind."
        )
    marks = [
        (space.manifest["model"], space.manifest["space"], space.dims, basis_digest(space))
        for space in spaces
    ]
    if any(mark != marks[0] for mark in marks):
        raise InputError(
            f"{spaces[1].folder}: of another model, space or PCA than {spaces[0].folder}; vectors"
            " that are trained together must share them. Rerun the workflow."
        )
    return spaces


def basis_digest(space: Space) -> str | None:
    """Return what the space's PCA was fitted on."""
    found: str | None = space.manifest.get("pca", {}).get("fit_on_digest")
    return found


def example_ids(space: Space) -> list[str]:
    """Return the first and the last node id, for the page that shows how to load them."""
    column = space.column("node_id")
    return [column[row].as_py() for row in (0, len(column) - 1)] if len(column) else []
