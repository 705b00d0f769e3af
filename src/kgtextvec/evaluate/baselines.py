"""Vectors to compare with: the space's own, random ones, TF-IDF of the same texts."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kgtextvec.evaluate.readers import read_texts_of, take_units, units_of
from kgtextvec.space import Rows, Space

SVD_TERMS = 1 << 16  # the SVD's memory grows by terms x dims; this keeps it under 1 GB


class Baselines:
    """Makes unit vectors of rows of a space by each method; TF-IDF is fitted on just those rows."""

    def __init__(self, space: Space, texts: Path, seed: int) -> None:
        self.space, self.texts, self.seed = space, texts, seed
        self.last: tuple[Rows, Any, Rows] | None = None

    def methods(self) -> Iterator[tuple[str, Callable[[Rows], Any]]]:
        """Yield name and maker: rows (m,), ascending and distinct, give (m, d) unit vectors."""
        yield "vectors", self.vectors
        yield "random", self.random
        yield "tfidf", self.tfidf
        yield "tfidf_svd", self.tfidf_svd

    def vectors(self, rows: Rows) -> Any:
        """Return the space's own vectors."""
        return take_units(self.space.matrix, rows)

    def random(self, rows: Rows) -> Any:
        """Return vectors of random directions, of as many dims as the space has."""
        rng = np.random.default_rng(self.seed)
        shape = (len(rows), self.space.matrix.dims)
        return units_of(rng.standard_normal(shape, dtype=np.float32))

    def tfidf(self, rows: Rows) -> Any:
        """Return TF-IDF of words and pairs of words, sparse float64."""
        found, where = self.fitted(rows)
        return found[where]

    def tfidf_svd(self, rows: Rows) -> Any:
        """Return TF-IDF reduced to the space's dims, or to what the texts allow if that is less.

        By randomised SVD of the commonest SVD_TERMS terms (latent semantic analysis).
        """
        from sklearn.decomposition import TruncatedSVD

        found, where = self.fitted(rows)
        if found.shape[1] > SVD_TERMS:
            uses = np.diff(found.tocsc().indptr)
            found = found[:, np.sort(np.argsort(-uses, kind="stable")[:SVD_TERMS])]
        dims = min(self.space.matrix.dims, found.shape[1] - 1, found.shape[0] - 1)
        if dims < 1:
            return units_of(found.toarray())[where]
        svd = TruncatedSVD(dims, random_state=self.seed)
        with warnings.catch_warnings():
            # Equal texts have no variance, and sklearn divides by it for a ratio unused here.
            warnings.simplefilter("ignore", RuntimeWarning)
            reduced = svd.fit_transform(found.astype(np.float32))
        return units_of(reduced)[where]

    def fitted(self, rows: Rows) -> tuple[Any, Rows]:
        """Return TF-IDF of the distinct texts of `rows`, and each row's place among them."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        if self.last is None or not np.array_equal(self.last[0], rows):
            texts, where = read_texts_of(self.texts, self.space, rows)
            by_terms = TfidfVectorizer(
                ngram_range=(1, 2),
                sublinear_tf=True,
                token_pattern=r"(?u)\b\w+\b",  # noqa: S106 (a pattern of words)
            )
            # A table of texts without any word would leave an empty vocabulary.
            padded = texts if any(map(by_terms.build_analyzer(), texts)) else ["0" for _ in texts]
            self.last = rows, by_terms.fit_transform(padded).tocsr(), where
        return self.last[1], self.last[2]
