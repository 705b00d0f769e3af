"""export: a space's vectors in the form that other programs read."""

import argparse
import errno
import os
import shutil
from pathlib import Path

from kgtextvec.errors import InputError
from kgtextvec.files import read_json, sha256_of, whole_file

FORMATS = ("npy", "tsv", "parquet")


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
    import pyarrow.parquet as pq

    from kgtextvec.matrices import open_matrix

    manifest = read_json(space_dir / "manifest.json")
    matrix = open_matrix(space_dir / "embeddings.npy")
    index = space_dir / "index.parquet"
    try:
        index_rows = pq.ParquetFile(index).metadata.num_rows
    except FileNotFoundError:
        raise InputError(f"{index}: not there. Run the step that makes it first.") from None
    except ValueError as error:
        raise InputError(f"{index}: not a Parquet file ({error}). Rerun its step.") from None
    for name, rows in (("index.parquet", index_rows), ("manifest.json", manifest["rows"])):
        if rows != matrix.rows:
            raise InputError(
                f"{space_dir}: embeddings.npy has {matrix.rows} rows, {name} has {rows}. Delete"
                " the space and rerun the step that made it."
            )
    if manifest["dims"] != matrix.dims:
        raise InputError(
            f"{space_dir}: embeddings.npy has {matrix.dims} dims, manifest.json has"
            f" {manifest['dims']}. Delete the space and rerun the step that made it."
        )
    if format == "npy":
        check_and_link(matrix.path, manifest["vectors_digest"], out)
    elif format == "tsv":
        from kgtextvec.export.tsv import write_tsv

        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        write_tsv(matrix, index, manifest["kind"], out, threads or cores or 1)
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
