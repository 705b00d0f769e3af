"""Static word vectors (word2vec, GloVe) as an encoder: the mean of the vectors of a text's words.

A word is looked up as it is, then in lower case. Words without a vector are left out of the mean
and counted as unknown; a text without any known word has the zero vector.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kgtextvec.encoders import Encoded, EncoderSettings, ResumeContext
from kgtextvec.encoders.elmo.splitting import split_all
from kgtextvec.encoders.elmo.words import check_tokens
from kgtextvec.errors import InputError
from kgtextvec.progress import say

VECTORS = "vectors"  # the name of the one tensor
WORDS = "words.txt"  # a line per word, in the order of the vectors
BLOCK_TEXTS = 4096


class WordTable:
    """The words of a model and their vectors (n_words, dims) float32."""

    def __init__(self, folder: Path) -> None:
        from safetensors.numpy import load_file

        self.vectors: NDArray[np.float32] = load_file(str(folder / "model.safetensors"))[VECTORS]
        words = (folder / WORDS).read_text("utf-8").split("\n")[:-1]
        if len(words) != len(self.vectors):
            raise InputError(
                f"{folder}: {len(words)} words and {len(self.vectors)} vectors. Convert it again."
            )
        self.rows = {word: row for row, word in enumerate(words)}
        self.dims = int(self.vectors.shape[1])

    def row(self, word: str) -> int:
        """Return the row of a word's vector; -1 if it has none."""
        found = self.rows.get(word)
        return self.rows.get(word.lower(), -1) if found is None else found


class StaticWordsEncoder:
    """A text's vector is the mean of its words' vectors, summed in float64."""

    def __init__(self, folder: Path, settings: EncoderSettings) -> None:
        self.name, self.table = folder.name, WordTable(folder)
        self.dims = self.table.dims
        check_tokens(settings.tokens)
        self.tokens = settings.tokens

    def encode(
        self, texts: Sequence[str], resume: ResumeContext | None = None
    ) -> Iterator[Encoded]:
        """Yield the texts in their order, some at a time."""
        without_words = 0
        for start in range(0, len(texts), BLOCK_TEXTS):
            block = texts[start : start + BLOCK_TEXTS]
            vectors = np.zeros((len(block), self.dims), dtype=np.float32)
            counts = np.zeros((2, len(block)), dtype=np.int32)
            split = split_all(block, self.tokens)
            of_word = np.array([self.table.row(word) for word in split.distinct], dtype=np.int64)
            every, ends = of_word[split.numbers], np.cumsum(split.n_words)
            for place, (start_word, end) in enumerate(zip(ends - split.n_words, ends, strict=True)):
                rows = every[start_word:end]
                known = rows[rows >= 0]
                counts[:, place] = len(rows), len(rows) - len(known)
                if len(known):
                    vectors[place] = self.table.vectors[known].mean(axis=0, dtype=np.float64)
                else:
                    without_words += 1
            yield Encoded(
                rows=np.arange(start, start + len(block)),
                vectors=vectors,
                n_tokens=counts[0],
                truncated=np.zeros(len(block), dtype=np.bool_),
                n_unknown=counts[1],
            )
        if without_words:
            say(
                f"{self.name}: {without_words:,} of {len(texts):,} texts have no word that the"
                " model knows; their vectors are zero"
            )


class StaticWordsLayers:
    """The vectors of words for a probe, as their one layer; see `layers.LayerReader`."""

    layers, precision = 1, "float32"

    def __init__(self, folder: Path, settings: EncoderSettings) -> None:
        self.table = WordTable(folder)
        self.dims = self.table.dims
        self.counts = {"windowed": 0, "without_piece": 0}

    def read(self, sentences: Sequence[Sequence[str]]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield every sentence's vectors (n_words, 1, dims), zero for unknown words."""
        self.counts["without_piece"] = 0
        for number, words in enumerate(sentences):
            rows = np.array([self.table.row(word) for word in words], dtype=np.int64)
            found = self.table.vectors[rows]
            found[rows < 0] = 0
            self.counts["without_piece"] += int((rows < 0).sum())
            yield number, found[:, None]
