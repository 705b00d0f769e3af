"""The spaces pcaN: an exact PCA to N dims, fitted on one table and applied to all."""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgtextvec.errors import InputError
from kgtextvec.progress import say
from kgtextvec.reduce.spaces import Projection, SpaceForm

if TYPE_CHECKING:
    from kgtextvec.reduce.pca import Pca
    from kgtextvec.settings.models import Mode


def fit_basis(embeddings: Path, space: str, fit_on: str, mode: "Mode", out: Path) -> None:
    """Fit N principal components on an (n, d) float32 .npy; write mean, components, variances.

    Says so when fewer than N components carry variance. Raises InputError when N is outside 1..d,
    when there are fewer than 2 rows, at NaN or Inf, and when the file isn't the one that the
    manifest next to it describes.
    """
    import numpy as np

    from kgtextvec.matrices import check_by_manifest, open_matrix, refuse_non_finite
    from kgtextvec.reduce.pca import moments, principal, save_pca
    from kgtextvec.reduce.upstream import fit_upstream

    dims = number_in(space)
    matrix = open_matrix(embeddings)
    if not 1 <= dims <= matrix.dims:
        raise InputError(
            f"config, spaces: {space} asks for {dims} dims, {embeddings} has {matrix.dims}."
            f" Ask for 1 to {matrix.dims}."
        )
    if matrix.rows < 2:
        raise InputError(
            f"{embeddings}: has {matrix.rows} rows; PCA needs at least 2 distinct vectors to fit."
            " Set reduce.fit_on to a larger table, or leave out the space."
        )
    check = check_by_manifest(embeddings)
    if mode.mode == "faithful":
        check.read_file()
        vectors = np.load(embeddings, allow_pickle=False)
        refuse_non_finite(matrix, 0, vectors)
        pca = fit_upstream(vectors, dims)
    else:
        pca = principal(*moments(matrix, check), matrix.rows, dims)
    save_pca(replace(pca, fit_on=fit_on, fit_on_digest=check.compare()), out)
    if pca.total_variance <= 0:
        say(
            f"WARNING: {embeddings}: zero variance, all {matrix.rows} vectors are equal; every"
            f" {space} vector will be zeros."
        )
    elif pca.rank < dims:
        say(
            f"WARNING: {embeddings}: only {pca.rank} components carry variance, {dims} were asked"
            f" for; the other {dims - pca.rank} are exact zeros."
        )


def projection_on(space: str, basis: Path | None) -> Projection:
    """Return the projection on a fitted basis. Raises InputError when it isn't of that space."""
    from kgtextvec.reduce.pca import project

    pca = basis_of(space, basis)
    n_components, dims = pca.components.shape
    return Projection(
        dims=n_components,
        apply=lambda block: project(pca, block),
        source_dims=dims,
        about=describe(pca),
    )


def basis_of(space: str, basis: Path | None) -> "Pca":
    """Read the basis of a space. Raises InputError when it isn't of that space."""
    from kgtextvec.reduce.pca import load_pca

    if basis is None:
        raise InputError(
            f"apply-pca: the space {space} needs a basis. Name the one from fit-pca with --pca."
        )
    pca = load_pca(basis)
    if len(pca.components) != number_in(space):
        raise InputError(
            f"{basis}: holds {len(pca.components)} components, which isn't the space {space}."
            " Name its basis."
        )
    return pca


def number_in(space: str) -> int:
    """Return the number of components in a space's name."""
    return int(re.sub(r"\D", "", space))


def describe(basis: "Pca") -> dict[str, Any]:
    """Return what the manifest says of a basis; null where there is no variance to share."""
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


SPACE = SpaceForm(
    pattern=r"pca[1-9]\d*",
    example="pcaN",
    description="reduced to N dims by an exact PCA, fitted on the table `reduce.fit_on`",
    fit=fit_basis,
    projection=projection_on,
)
