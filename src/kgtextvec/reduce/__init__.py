"""reduce: one PCA basis per model and number of dims, fitted on one table, applied to all."""

import argparse
import hashlib
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from kgtextvec.errors import InputError
from kgtextvec.files import read_json, whole_file, write_json
from kgtextvec.progress import Progress, say
from kgtextvec.reduce.blas import choose_kernels

if TYPE_CHECKING:
    from kgtextvec.reduce.pca import Pca

RECIPE = 1
choose_kernels()  # here, since numpy is imported inside the verbs


def fit_pca_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `fit-pca`."""
    parser.add_argument("embeddings", type=Path, help="embeddings.npy of the table to fit on")
    parser.add_argument("--dims", type=int, required=True, help="number of components")
    parser.add_argument("--fit-on", required=True, help="the table's name, for the record")
    parser.add_argument(
        "--mode",
        choices=("correct", "faithful"),
        default="correct",
        help="correct: exact; faithful: as BioMedGPS's script",
    )
    parser.add_argument("--out", type=Path, required=True, help="the basis, an .npz file")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores of the job")


def fit_pca(
    embeddings: Path, dims: int, fit_on: str, mode: str, out: Path, threads: int = 0
) -> None:
    """Fit `dims` principal components on an (n, d) float32 .npy; write mean, components, variances.

    Says so when fewer than `dims` components carry variance. Raises InputError when `dims` is
    outside 1..d, when there are fewer than 2 rows, at NaN or Inf, and when the file isn't the one
    that the manifest beside it describes.
    """
    import numpy as np

    from kgtextvec.matrices import open_matrix, refuse_non_finite
    from kgtextvec.reduce.pca import moments, principal, save_pca
    from kgtextvec.reduce.upstream import fit_upstream

    matrix = open_matrix(embeddings)
    if not 1 <= dims <= matrix.dims:
        raise InputError(
            f"config, spaces: pca{dims} asks for {dims} dims, {embeddings} has {matrix.dims}."
            f" Ask for 1 to {matrix.dims}."
        )
    if matrix.rows < 2:
        raise InputError(
            f"{embeddings}: has {matrix.rows} rows; PCA needs at least 2 distinct vectors to fit."
            " Set reduce.fit_on to a larger table, or leave out the space."
        )
    digest = hashlib.sha256()
    with threadpool_limits(threads or None):
        if mode == "faithful":
            digest.update(embeddings.read_bytes())
            vectors = np.load(embeddings, allow_pickle=False)
            refuse_non_finite(matrix, 0, vectors)
            pca = fit_upstream(vectors, dims)
        else:
            pca = principal(*moments(matrix, digest), matrix.rows, dims)
    expect_digest(embeddings, digest.hexdigest())
    save_pca(replace(pca, fit_on=fit_on, fit_on_digest=digest.hexdigest()), out)
    if pca.total_variance <= 0:
        say(
            f"WARNING: {embeddings}: zero variance, all {matrix.rows} vectors are equal; every"
            f" pca{dims} vector will be zeros."
        )
    elif pca.rank < dims:
        say(
            f"WARNING: {embeddings}: only {pca.rank} components carry variance, {dims} were asked"
            f" for; the other {dims - pca.rank} are exact zeros."
        )


def expect_digest(embeddings: Path, digest: str) -> None:
    """Raise InputError if a manifest beside the vectors tells another digest of them."""
    beside = embeddings.with_name("manifest.json")
    if not beside.exists():
        return
    known = read_json(beside).get("vectors_digest", digest)
    if known != digest:
        raise InputError(
            f"{embeddings}: damaged or replaced: expected sha256 {known}, got {digest}. Delete it"
            " and rerun."
        )


def apply_pca_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `apply-pca`."""
    parser.add_argument("space_dir", type=Path, help="a table's space `full`")
    parser.add_argument("--pca", type=Path, required=True, help="the basis that fit-pca wrote")
    parser.add_argument("--space", required=True, help="the new space's name, such as pca400")
    parser.add_argument("--out-dir", type=Path, required=True, help="the new space's folder")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores of the job")


def apply_pca(space_dir: Path, pca: Path, space: str, out_dir: Path, threads: int = 0) -> None:
    """Project a space's vectors (n, d) on a basis of N components; write the space `pca<N>`.

    Writes embeddings.npy (n, N) float32, index.parquet (a copy) and manifest.json, each whole or
    not at all, the manifest last. Raises InputError when basis and vectors don't fit together,
    when the space isn't `full`, and at NaN or Inf.
    """
    import numpy as np

    from kgtextvec.matrices import MatrixWriter, blocks, open_matrix, refuse_non_finite
    from kgtextvec.matrices import rows_per_block as per_block
    from kgtextvec.reduce.pca import load_pca, project

    began = time.monotonic()
    manifest = read_json(space_dir / "manifest.json")
    basis = load_pca(pca)
    matrix = open_matrix(space_dir / "embeddings.npy")
    n_components, dims = basis.components.shape
    if manifest["space"] != "full" or space_dir.resolve() == out_dir.resolve():
        raise InputError(f"{space_dir}: is the space {manifest['space']}; apply-pca needs `full`.")
    if space != f"pca{n_components}":
        raise InputError(f"{pca}: holds {n_components} components, which isn't the space {space}.")
    if dims != matrix.dims or manifest["rows"] != matrix.rows:
        raise InputError(
            f"{matrix.path}: is {matrix.rows} x {matrix.dims}; the manifest tells"
            f" {manifest['rows']} rows, {pca} has {dims} dims. Rerun the steps before."
        )
    source = hashlib.sha256()
    out_dir.mkdir(parents=True, exist_ok=True)
    with (
        threadpool_limits(threads or None),
        whole_file(out_dir / "embeddings.npy") as part,
        part.open("wb") as file,
        Progress("apply-pca", matrix.rows, unit="rows") as progress,
    ):
        writer = MatrixWriter(file, matrix.rows, n_components)
        for first, block in blocks(matrix, per_block(dims), source):
            # Seen before the product: a component of zeros would hide a row's Inf.
            if not np.isfinite(block).all():
                refuse_non_finite(matrix, first, block)
            writer.add(project(basis, block))
            progress.add(len(block))
        expect_digest(matrix.path, source.hexdigest())
    with whole_file(out_dir / "index.parquet") as part:
        shutil.copyfile(space_dir / "index.parquet", part)
    about = about_pca(basis)
    about["seconds"] = round(time.monotonic() - began, 3)
    about["full_digest"] = source.hexdigest()
    about["command"] = (
        f"kgtextvec apply-pca {space_dir} --pca {pca} --space {space} --out-dir {out_dir}"
    )
    recipe = manifest["recipe"] if isinstance(manifest.get("recipe"), dict) else {}
    manifest |= {
        "space": space,
        "dims": n_components,
        "vectors_digest": writer.hash.hexdigest(),
        "recipe": recipe | {"fit_pca": RECIPE, "apply_pca": RECIPE},
        "pca": about,
    }
    write_json(out_dir / "manifest.json", manifest)


def about_pca(basis: "Pca") -> dict[str, Any]:
    """Return what the manifest tells of a basis; null where there is no variance to share."""
    ratio = [float(share) for share in basis.explained_variance_ratio]
    some = basis.total_variance > 0
    return {
        "n_components": len(ratio),
        "rank": basis.rank,
        "padded": len(ratio) - basis.rank,
        "fit_on": basis.fit_on,
        "fit_on_digest": basis.fit_on_digest,
        "fit_rows": basis.n_rows,
        "mode": basis.mode,
        "solver": basis.solver,
        "seed": basis.seed if basis.seed >= 0 else None,
        "explained_variance_share": sum(ratio) if some else None,
        "explained_variance_ratio": ratio if some else None,
    }
