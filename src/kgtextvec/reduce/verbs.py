"""The verbs of the step: fit a basis, project vectors on it."""

import shutil
import time
from pathlib import Path
from typing import Annotated

from threadpoolctl import threadpool_limits

from kgtextvec.errors import InputError
from kgtextvec.files import whole_file
from kgtextvec.progress import Progress
from kgtextvec.records import write_record
from kgtextvec.reduce import RECIPE
from kgtextvec.reduce.blas import choose_kernels
from kgtextvec.registry import SPACES
from kgtextvec.settings.models import Mode
from kgtextvec.settings.spaces import Reduce

choose_kernels()  # here, since numpy is imported inside the verbs

Threads = Annotated[int, "CPU threads (default: all cores of the job)"]


def fit_pca(
    embeddings: Annotated[Path, "embeddings.npy of the table to fit on"],
    *,
    space: Annotated[str, "the reduced space, such as pca400"],
    out: Annotated[Path, "the basis to write, an .npz file"],
    reduce: Reduce = Reduce(),
    mode: Mode = Mode(),
    threads: Threads = 0,
) -> None:
    """Fit the basis of a reduced space, such as an exact PCA.

    Raises InputError when the vectors don't allow that many dims, at NaN or Inf, and when the file
    isn't the one that the manifest next to it describes.
    """
    form = SPACES[space]
    if form.fit is None:
        raise InputError(f"fit-pca: the space {space} needs no basis. Run apply-pca alone.")
    with threadpool_limits(threads or None):
        form.fit(embeddings, space, reduce.fit_on, mode, out)


def apply_pca(
    space_dir: Annotated[Path, "a table's space `full`"],
    *,
    pca: Annotated[Path | None, "the basis that fit-pca wrote"] = None,
    space: Annotated[str, "the new space's name, such as pca400"],
    out_dir: Annotated[Path, "the new space's folder"],
    threads: Threads = 0,
) -> None:
    """Project a space's vectors on a basis.

    Writes embeddings.npy (n, N) float32, index.parquet (a copy) and manifest.json, each complete
    or not at all, the manifest last. Raises InputError when basis and vectors don't fit together,
    when the space isn't `full`, and at NaN or Inf.
    """
    import numpy as np

    from kgtextvec.checksums import VECTOR_KEYS
    from kgtextvec.matrices import (
        MatrixWriter,
        blocks,
        refuse_non_finite,
        rows_per_block,
    )
    from kgtextvec.space import checked_space

    began = time.monotonic()
    full = checked_space(space_dir)
    matrix, manifest = full.matrix, full.manifest
    form = SPACES[space]
    if form.projection is None:
        raise InputError(f"apply-pca: {space} is not a reduced space. Name one, such as pca100.")
    projection = form.projection(space, pca)
    if manifest["space"] != "full" or space_dir.resolve() == out_dir.resolve():
        raise InputError(f"{space_dir}: is the space {manifest['space']}. Give the space `full`.")
    if projection.source_dims not in (None, matrix.dims):
        raise InputError(
            f"{matrix.path}: is {matrix.rows} x {matrix.dims}, {pca} has {projection.source_dims}"
            " dims. Rerun the steps before."
        )
    source = full.check_of_vectors()
    out_dir.mkdir(parents=True, exist_ok=True)
    with (
        threadpool_limits(threads or None),
        whole_file(out_dir / "embeddings.npy") as part,
        part.open("wb") as file,
        Progress("apply-pca", matrix.rows, unit="rows") as progress,
    ):
        writer = MatrixWriter(file, matrix.rows, projection.dims)
        for first, block in blocks(matrix, rows_per_block(matrix.dims), source):
            # Seen before the product: a component of zeros would hide a row's Inf.
            if not np.isfinite(block).all():
                refuse_non_finite(matrix, first, block)
            writer.add(projection.apply(block))
            progress.add(len(block))
        full_digest = source.compare()
    with whole_file(out_dir / "index.parquet") as part:
        shutil.copyfile(full.index_path, part)
    about = projection.about | {
        "seconds": round(time.monotonic() - began, 3),
        "full_digest": full_digest,
        "command": f"kgtextvec apply-pca {space_dir} --pca {pca} --space {space}"
        f" --out-dir {out_dir}",
    }
    changes = {
        "space": space,
        "dims": projection.dims,
        "vectors_xxh3": writer.xxh3,
        "recipe": manifest.get("recipe", {}) | RECIPE,
        "pca": about,
    }
    kept = {key: value for key, value in manifest.items() if key not in VECTOR_KEYS}
    write_record(out_dir / "manifest.json", kept | changes)
