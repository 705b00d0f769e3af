"""export: a space's vectors in the form that other programs read."""

import argparse
import errno
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

from kgtextvec.device import available_cores
from kgtextvec.errors import InputError
from kgtextvec.files import sha256_of, whole_file

FORMATS = ("npy", "tsv", "parquet")
# The other verbs' modules are imported only when the verb is asked for.
HOMES = {
    "export_bundle": "bundle",
    "export_bundle_arguments": "bundle",
    "export_aligned": "aligned",
    "export_aligned_arguments": "aligned",
    "export_biomedgps": "biomedgps",
    "export_biomedgps_arguments": "biomedgps",
    "export_entity2d": "biomedgps",
    "export_entity2d_arguments": "biomedgps",
    "write_loaders": "loaders",
    "write_loaders_arguments": "loaders",
}


def __getattr__(name: str) -> Any:
    """Return the verb `name` from its module."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)


def export_table_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `export-table`."""
    parser.add_argument("space_dir", type=Path, help="the space's folder")
    parser.add_argument("--format", choices=FORMATS, required=True, help="the form to write")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores of the job")


def export_table(space_dir: Path, format: str, out: Path, threads: int = 0) -> None:
    """Write a space (embeddings.npy, index.parquet, manifest.json) in one format to `out`.

    npy: the matrix itself, checked against its digest; linked or copied if `out` is elsewhere.
    tsv: BioMedGPS's form, floats in the shortest form that parses back to the same bits.
    parquet: the index's columns and the vectors. `out` is whole or absent.
    Raises InputError when the three files disagree on rows or dims, and at NaN or Inf.
    """
    from kgtextvec.space import Space

    space = Space(space_dir)
    matrix, manifest, index = space.matrix, space.manifest, space.index_path
    if format == "npy":
        check_and_link(matrix.path, manifest["vectors_digest"], out)
    elif format == "tsv":
        from kgtextvec.export.tsv import write_tsv

        write_tsv(matrix, index, manifest["kind"], out, threads or available_cores())
    else:
        from kgtextvec.export.parquet import write_parquet

        write_parquet(matrix, index, manifest, out)


def check_and_link(source: Path, digest: str, out: Path) -> None:
    """Check a file's sha256, then make `out` a hard link to it, or a copy on another disk."""
    found = sha256_of(source)
    if found != digest:
        raise InputError(
            f"{source}: damaged or replaced: expected sha256 {digest}, got {found}. Delete it and"
            " rerun."
        )
    if out.exists() and out.samefile(source):
        return
    with whole_file(out) as part:
        try:
            part.hardlink_to(source)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
                raise
            shutil.copyfile(source, part)
