"""kgtextvec: texts of a biomedical knowledge graph in, initial embeddings out."""

# Nothing is imported here: a job answers Ctrl-C soon after Python has started.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from kgtextvec.reduce.pca import Pca
    from kgtextvec.space import Space

__version__ = "0.1.0"


def open(path: "Path | str", verify: bool = True) -> "Space":
    """Open a space's folder: vectors, index, `get` and `align`. See docs/python.md.

    Every byte of vectors and index is compared with the manifest; without `verify` only headers,
    sizes and numbers of rows are.
    """
    from kgtextvec.space import Space

    return Space(path, verify)


def encode(
    texts: "Sequence[str]",
    model: str = "all-MiniLM-L6-v2",
    *,
    pooling: str | None = None,
    max_tokens: int | None = None,
    layers: str | int | None = None,
    long_text: str | None = None,
    precision: str | None = None,
    device: str | None = None,
    store: "Path | str | None" = None,
    work: "Path | str" = ".kgtextvec",
) -> "NDArray[np.float32]":
    """Return the vectors of texts, (len(texts), dims) float32: row i is the vector of texts[i].

    `model` is a name of the catalogue, a folder, or a hub's owner/name[@commit]; it is fetched and
    converted in the folder `work` at its first use. Equal texts are computed once, and texts that
    are in the vector store (`store`, by default `work`/store) not at all: the store is the
    workflow's, so vectors that one has computed serve the other. Texts are embedded as they are;
    the workflow also folds white space when it reads a table. The other arguments are settings of
    config/README.md; None leaves the model's own, or the default.

    Raises InputError, one line, for a text that is empty or no string, an unknown model, or a
    setting that doesn't suit the model. An interrupted call stores what is finished.
    """
    from pathlib import Path

    from kgtextvec.api import encode_texts

    options: dict[str, Any] = {
        "pooling": pooling,
        "max_tokens": max_tokens,
        "layers": layers,
        "long_text": long_text,
        "precision": precision,
        "device": device,
    }
    return encode_texts(texts, model, Path(work), store, options)


def pca(vectors: "NDArray[Any] | Space", dims: int) -> "Pca":
    """Fit an exact PCA on vectors (n, d) or on an opened space, as the workflow does.

    Returns the basis: `basis.apply(vectors)` gives (n, dims) float32 for these or other vectors of
    the same model, `basis.explained_variance_ratio` the share of each component,
    `basis.save("pca.npz")` a file for `kgtextvec apply-pca`. Raises InputError at NaN or Inf, at
    fewer than 2 vectors, and when dims is not between 1 and d.
    """
    from kgtextvec.api import fit_basis_on

    return fit_basis_on(vectors, dims)
