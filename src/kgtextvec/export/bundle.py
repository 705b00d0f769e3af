"""export_bundle: entities and relation types of one space, in the files of one consumer."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kgtextvec.errors import InputError
from kgtextvec.export.keyed import write_faiss, write_word2vec
from kgtextvec.export.pgvector import write_pgvector
from kgtextvec.export.pyg import write_pyg
from kgtextvec.export.trainers import write_trainer
from kgtextvec.files import whole_folder, write_json
from kgtextvec.space import Space

# form: what writes one table of it, (space, folder, form, model's name) -> facts for the manifest
WRITERS: dict[str, Callable[[Space, Path, str, str], dict[str, Any]]] = {
    "dglke": write_trainer,
    "drkg": write_trainer,
    "openke": write_trainer,
    "pykeen": write_trainer,
    "pyg": write_pyg,
    "pgvector": write_pgvector,
    "word2vec": write_word2vec,
    "faiss": write_faiss,
}


def export_bundle_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `export-bundle`."""
    add = parser.add_argument
    add("space_dirs", type=Path, nargs="+", help="space folders: entities, relation types or both")
    add("--form", choices=WRITERS, required=True, help="whose files to write")
    add("--out-dir", type=Path, required=True, help="the folder to make")


def export_bundle(space_dirs: list[Path], form: str, out_dir: Path) -> None:
    """Write tables of one space in the form of one consumer, with a manifest.json; all or none.

    Raises InputError when a space is damaged, when the spaces are of different models, dims or
    bases, when there are two of a kind, and where the form can't hold an id.
    """
    spaces = open_together(space_dirs)
    about = spaces[0].manifest
    name = str(about["model"]["name"])
    told: dict[str, Any] = {"form": form, "model": name, "space": about["space"]}
    with whole_folder(out_dir) as part:
        for space in spaces:
            facts = WRITERS[form](space, part, form, name)
            told[space.kind] = {
                "table": space.manifest["table"],
                **facts,
                "dims": space.dims,
                "examples": examples(space),
                "table_rows": space.rows,
                "vectors_digest": space.manifest["vectors_digest"],
            }
        write_json(part / "manifest.json", told)


def open_together(space_dirs: list[Path]) -> list[Space]:
    """Open spaces: at most one of each kind, of one model and one basis, else InputError."""
    spaces = [Space(folder) for folder in space_dirs]
    kinds = [space.kind for space in spaces]
    if len(set(kinds)) != len(kinds):
        raise InputError(f"{spaces[1].folder}: a second table of {kinds[1]}; one of each kind.")
    marks = [
        (space.manifest["model"], space.manifest["space"], space.dims, basis(space))
        for space in spaces
    ]
    if any(mark != marks[0] for mark in marks):
        raise InputError(
            f"{spaces[1].folder}: of another model, space or PCA than {spaces[0].folder}; vectors"
            " that are trained together must share them. Rerun the workflow."
        )
    return spaces


def basis(space: Space) -> str | None:
    """Return what the space's PCA was fitted on."""
    found: str | None = space.manifest.get("pca", {}).get("fit_on_digest")
    return found


def examples(space: Space) -> list[str]:
    """Return the first and the last node id, for the page that shows how to load them."""
    column = space.column("node_id")
    return [column[row].as_py() for row in (0, len(column) - 1)] if len(column) else []
