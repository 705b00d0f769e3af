"""The engine in Python: texts to vectors, and PCA, without Snakemake. See docs/python.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.errors import InputError

if TYPE_CHECKING:
    from kgtextvec.reduce.pca import Pca
    from kgtextvec.space import Space


def encode_texts(
    texts: Sequence[str], model: str, work: Path, store: Path | str | None, options: dict[str, Any]
) -> NDArray[np.float32]:
    """Return the vectors of texts, (len(texts), dims) float32; `kgtextvec.encode` documents it."""
    from kgtextvec.embed.in_memory import checked_texts, embed_texts
    from kgtextvec.upstream.chain import find_model

    checked = checked_texts(texts)
    given = {key: value for key, value in options.items() if value is not None}
    return embed_texts(checked, find_model(model, work), store or work / "store", given)


def fit_basis_on(vectors: "NDArray[Any] | Space", dims: int) -> "Pca":
    """Return the PCA of vectors (n, d) or of a space; `kgtextvec.pca` documents it."""
    from kgtextvec.matrices import rows_per_block
    from kgtextvec.reduce.pca import moments_of_blocks, principal
    from kgtextvec.space import Space

    matrix = vectors.vectors if isinstance(vectors, Space) else np.asarray(vectors, np.float32)
    if matrix.ndim != 2 or len(matrix) < 2 or not 1 <= dims <= matrix.shape[1]:
        raise InputError(
            f"pca: {dims} dims of vectors of shape {matrix.shape}. Give at least 2 vectors (n, d)"
            " and ask for 1 to d dims."
        )
    rows = rows_per_block(matrix.shape[1])
    parts = ((start, matrix[start : start + rows]) for start in range(0, len(matrix), rows))
    mean, covariance = moments_of_blocks(parts, len(matrix), matrix.shape[1], refuse_array)
    return principal(mean, covariance, len(matrix), dims)


def refuse_array(first: int, block: NDArray[np.float32]) -> None:
    """Raise InputError that names the row of the first NaN or Inf in a block."""
    row = first + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
    raise InputError(f"vectors[{row}]: holds NaN or Inf. Correct it, or leave it out.")
