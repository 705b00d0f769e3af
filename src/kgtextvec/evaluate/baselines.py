"""Vectors to compare with: the space's own, random ones, TF-IDF of the same texts."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kgtextvec.evaluate.readers import UnitsOnDemand, read_texts_of, take_units, units_of
from kgtextvec.kept_results import FoundArrays, KeptResult, KeptResults
from kgtextvec.pairs import digest_of_parts
from kgtextvec.space import Rows, Space

SVD_TERMS = 1 << 16  # the SVD's memory grows by terms x dims; this keeps it under 1 GB
SVD_TEXTS = 100_000  # that it is fitted on: its memory and time grow by texts x dims
HELD = 1 << 28  # numbers of a table of vectors: 1 GB; a larger one is taken part by part
OF_EQUAL_DIMS = ("random", "tfidf_svd")  # baselines of as many dims as the space
CHARACTERS = 50_000_000  # of all texts together; three n-grams start at each: under 2 GB

# A method's maker of vectors, and what finds something by it.
Maker = Callable[[Rows], Any]
Find = Callable[[str, Maker], FoundArrays]
# Lets a score find something by each method; returns what was found by method, in their order.
FindByAll = Callable[[Iterable[tuple[str, Maker]], Find], dict[str, FoundArrays]]


def find_in_turn(methods: Iterable[tuple[str, Maker]], find: Find) -> dict[str, FoundArrays]:
    """Find something by each method, and keep nothing."""
    return {method: find(method, maker) for method, maker in methods}


def is_own(method: str) -> bool:
    """Return whether a method takes the space's own vectors, with whatever text they ask."""
    return method.partition("_")[0] == "vectors"


class Baselines:
    """Makes unit vectors of rows of a space by each method; TF-IDF is fitted on just those rows.

    `notes` says what was left out to bound memory, each thing once. What scores find by it is taken
    from `kept` and kept there, if it is given; `about` is what all of that depends on.
    """

    def __init__(
        self,
        space: Space,
        texts: Path,
        seed: int,
        kept: KeptResults | None = None,
        about: dict[str, Any] | None = None,
    ) -> None:
        self.space, self.texts, self.seed = space, texts, seed
        self.kept, self.about = kept, about or {}
        self.notes: list[str] = []
        self.read: tuple[Rows, list[str], Rows] | None = None
        self.made: dict[str, Any] = {}
        self.fitted_on: dict[str, Any] = {}

    def methods(self) -> Iterator[tuple[str, Maker]]:
        """Yield name and maker: rows (m,), ascending and distinct, give (m, d) unit vectors.

        Dense ones of more than HELD numbers are UnitsOnDemand.
        """
        yield "vectors", self.vectors
        yield "random", self.random
        yield "tfidf", self.tfidf
        yield "tfidf_svd", self.tfidf_svd
        yield "tfidf_chars", self.tfidf_chars
        yield "tfidf_both", self.tfidf_both

    def shared(self, score: str, asked: Sequence[Any], **settings: object) -> FindByAll:
        """Return what finds something by all methods: of baselines, it takes what is kept.

        `asked` and `settings` are all that the score's results depend on besides the vectors of a
        method and this table's texts; `asked` as `pairs.digest_of_parts` takes it.
        """
        if self.kept is None:
            return find_in_turn
        kept = self.kept
        about = self.about | {
            "score": score,
            "seed": self.seed,
            "asked": digest_of_parts(asked),
            "texts": self.digest_of_texts,
            **settings,
        }

        def find_by_all(methods: Iterable[tuple[str, Maker]], find: Find) -> dict[str, FoundArrays]:
            makers = dict(methods)
            found = {name: find(name, makers[name]) for name in makers if is_own(name)}
            others = {
                name: about | {"method": name, "dims": self.dims_of(name)}
                for name in makers
                if not is_own(name)
            }

            def compute(name: str) -> KeptResult:
                before, self.notes = self.notes, []
                try:
                    return KeptResult(find(name, makers[name]), self.notes)
                finally:
                    self.notes = before

            for name, one in kept.find_all(others, compute).items():
                found[name] = one.arrays
                self.notes += [note for note in one.notes if note not in self.notes]
            return {name: found[name] for name in makers}

        return find_by_all

    @cached_property
    def digest_of_texts(self) -> str:
        """The digest of which texts the rows have, in their order."""
        return digest_of_parts([self.space.column("text_sha256")])

    def dims_of(self, method: str) -> int | None:
        """Return the dims of a baseline that has as many as the space; None for others."""
        return self.space.matrix.dims if method in OF_EQUAL_DIMS else None

    def vectors(self, rows: Rows) -> Any:
        """Return the space's own vectors."""
        matrix = self.space.matrix
        if len(rows) * matrix.dims <= HELD:
            return take_units(matrix, rows)
        return UnitsOnDemand(
            (len(rows), matrix.dims), lambda places: take_units(matrix, rows[places])
        )

    def random(self, rows: Rows) -> Any:
        """Return vectors of random directions, of as many dims as the space has."""
        seed, dims = self.seed, self.space.matrix.dims

        def drawn(n: int, seeds: Any) -> Any:
            rng = np.random.default_rng(seeds)
            return units_of(rng.standard_normal((n, dims), dtype=np.float32))

        if len(rows) * dims <= HELD:
            return drawn(len(rows), seed)
        return UnitsOnDemand(
            (len(rows), dims), lambda places: drawn(len(places), [seed, *places[:1].tolist()])
        )

    def tfidf(self, rows: Rows) -> Any:
        """Return TF-IDF of words and pairs of words, sparse float64."""
        where = self.texts_of(rows)[1]
        return self.fitted("words")[where]

    def tfidf_chars(self, rows: Rows) -> Any:
        """Return TF-IDF of character n-grams inside words (3 to 5 characters), sparse float64."""
        where = self.texts_of(rows)[1]
        return self.fitted("characters")[where]

    def tfidf_both(self, rows: Rows) -> Any:
        """Return both, side by side: a cosine is the mean of those of words and of characters.

        Where a text has no word, the cosine is half that of its characters.
        """
        import scipy.sparse as sp

        where = self.texts_of(rows)[1]
        both = sp.hstack([self.fitted(name) for name in ("words", "characters")], "csr")
        both.data *= np.sqrt(0.5)  # in place: a million texts have a gigabyte of terms
        return both[where]

    def tfidf_svd(self, rows: Rows) -> Any:
        """Return TF-IDF of words reduced to the space's dims, or to what the texts allow.

        By randomised SVD of the commonest SVD_TERMS terms (latent semantic analysis), fitted on
        SVD_TEXTS of the texts at most, which the seed draws.
        """
        from sklearn.decomposition import TruncatedSVD

        where = self.texts_of(rows)[1]
        found = self.fitted("words")
        if found.shape[1] > SVD_TERMS:
            uses = np.diff(found.tocsc().indptr)
            found = found[:, np.sort(np.argsort(-uses, kind="stable")[:SVD_TERMS])]
        dims = min(self.space.matrix.dims, found.shape[1] - 1, found.shape[0] - 1)
        if dims < 1:
            return units_of(found.toarray())[where]
        svd = TruncatedSVD(dims, random_state=self.seed)
        if found.shape[0] > SVD_TEXTS:
            return self.svd_of_sample(svd, found.astype(np.float32), where)
        with warnings.catch_warnings():
            # Equal texts have no variance, and sklearn divides by it for a ratio unused here.
            warnings.simplefilter("ignore", RuntimeWarning)
            reduced = svd.fit_transform(found.astype(np.float32))
        return units_of(reduced)[where]

    def svd_of_sample(self, svd: Any, found: Any, where: Rows) -> Any:
        """Return `tfidf_svd` of many texts: rows `where` of `found` (n, terms)."""
        note = f"tfidf_svd: fitted on {SVD_TEXTS:,} of {found.shape[0]:,} texts"
        if note not in self.notes:
            self.notes.append(note)
        some = np.random.default_rng(self.seed).choice(found.shape[0], SVD_TEXTS, replace=False)
        svd.fit(found[np.sort(some)])
        axes = np.ascontiguousarray(svd.components_.T, np.float32)

        def reduced(places: Rows) -> Any:
            return units_of(np.asarray(found[where[places]] @ axes))

        if len(where) * svd.n_components <= HELD:
            return reduced(np.arange(len(where)))
        return UnitsOnDemand((len(where), svd.n_components), reduced)

    def texts_of(self, rows: Rows) -> tuple[list[str], Rows]:
        """Return the distinct texts of `rows`, and each row's place among them; read once."""
        if self.read is None or not np.array_equal(self.read[0], rows):
            self.read, self.made = (rows, *read_texts_of(self.texts, self.space, rows)), {}
        return self.read[1], self.read[2]

    def fitted(self, terms: str) -> Any:
        """Return TF-IDF of `words` or `characters` of the distinct texts that were read last."""
        if terms not in self.made:
            from sklearn.feature_extraction.text import TfidfVectorizer

            if self.read is None:
                raise ValueError("texts_of must come first")
            texts = self.read[1]
            if terms == "words":
                by_terms = TfidfVectorizer(
                    ngram_range=(1, 2),
                    sublinear_tf=True,
                    token_pattern=r"(?u)\b\w+\b",  # noqa: S106 (a pattern of words)
                )
            else:
                texts = self.beginnings(texts)
                by_terms = TfidfVectorizer(
                    analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True
                )
            # A table of texts without any word would leave an empty vocabulary.
            padded = texts if any(map(by_terms.build_analyzer(), texts)) else ["0" for _ in texts]
            self.made[terms] = by_terms.fit_transform(padded).tocsr()
            self.fitted_on[terms] = by_terms
        return self.made[terms]

    def characters_of(self, texts: list[str]) -> Any:
        """Return TF-IDF of characters of other texts, as fitted on those read last: sparse."""
        self.fitted("characters")
        return self.fitted_on["characters"].transform(texts).tocsr()

    def beginnings(self, texts: list[str]) -> list[str]:
        """Cut texts so that all have CHARACTERS together at most: the longest lose their ends."""
        lengths = np.sort([len(text) for text in texts])
        left = CHARACTERS - np.concatenate([[0], np.cumsum(lengths)[:-1]])
        fits = lengths * np.arange(len(lengths), 0, -1) <= left
        if fits.all():
            return texts
        first = int(np.argmin(fits))
        most = int(left[first] // (len(lengths) - first))
        note = (
            f"tfidf_chars, tfidf_both: only the first {most} characters of each text, since all"
            f" texts have {lengths.sum():,}"
        )
        if note not in self.notes:
            self.notes.append(note)
        return [text[:most] for text in texts]
