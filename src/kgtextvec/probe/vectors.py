"""Word vectors on disk, computed once per model and corpus, and those of the controls."""

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor

from kgtextvec.encoders.layers import LayerReader
from kgtextvec.errors import InputError
from kgtextvec.files import need_space
from kgtextvec.probe.inputs import Sentences
from kgtextvec.progress import Progress, say

STORED = ("float16", "float32")


def write_vectors(path: Path, sentences: Sentences, reader: LayerReader, stored: str) -> None:
    """Write (n_words, layers, dims) as .npy: the words of all sentences, one after another.

    `stored` is float16 or float32. A sentence is written as soon as it is there, so that memory
    holds a batch. Raises InputError when the disk is too small, at NaN or Inf, and at numbers
    beyond float16.
    """
    dtype = np.dtype(stored)
    n_words = int(sentences.offsets[-1])
    shape = (n_words, reader.layers, reader.dims)
    size = n_words * reader.layers * reader.dims * dtype.itemsize
    say(
        f"word vectors: {n_words:,} words x {reader.layers} layers x {reader.dims} dims in"
        f" {stored}: {size / 1e6:,.1f} MB of disk"
    )
    need_space({path: size})
    with path.open("wb") as file, Progress("read", len(sentences.all), "sentences") as progress:
        header = npy.header_data_from_array_1_0(np.empty((0, *shape[1:]), dtype))
        npy.write_array_header_1_0(file, header | {"shape": shape})
        start, per_word = file.tell(), size // max(n_words, 1)
        file.truncate(start + size)
        for row, vectors in reader.read(sentences.all):
            with np.errstate(over="ignore"):
                block = np.ascontiguousarray(vectors, dtype)
            if not np.isfinite(block).all():
                raise InputError(unfit(vectors, stored, " ".join(sentences.all[row])))
            file.seek(start + int(sentences.offsets[row]) * per_word)
            file.write(block.reshape(-1).view(np.uint8).data)
            progress.add(1, words=len(vectors))


def unfit(vectors: NDArray[np.float32], stored: str, text: str) -> str:
    """Say why vectors can't be stored."""
    if np.isfinite(vectors).all():
        return (
            f"vectors beyond what {stored} holds ({np.abs(vectors).max():.3g}), at {text[:60]!r}."
            " Write probe.stored: float32."
        )
    return (
        f"vectors hold NaN or Inf, at {text[:60]!r}. Write embed.precision: float32; if that"
        " doesn't help, the weights are damaged."
    )


class WordVectors(Protocol):
    """Vectors of sentences, by their numbers."""

    layers: int
    dims: int

    def sentences(self, rows: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        """Return (n_words, layers, dims) for each of those sentences."""
        ...


class StoredVectors:
    """The vectors that `write_vectors` wrote, read from disk a sentence at a time.

    `only_token`: the token layer alone. Raises InputError when the file isn't of these sentences.
    """

    def __init__(self, path: Path, offsets: NDArray[np.int64], only_token: bool = False) -> None:
        try:
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: not a complete .npy file ({error}). Delete it and rerun."
            ) from None
        if mapped.ndim != 3 or len(mapped) != offsets[-1] or str(mapped.dtype) not in STORED:
            raise InputError(f"{path}: not the vectors of these corpora. Delete it and rerun.")
        self.shape, self.dtype, self.start = mapped.shape[1:], mapped.dtype, mapped.offset
        self.size = self.dtype.itemsize * self.shape[0] * self.shape[1]
        del mapped  # plain reads from here: a map's pages would count as the process's memory
        self.path, self.offsets = path, offsets
        self.layers = 1 if only_token else self.shape[0]
        self.dims = self.shape[1]

    def sentences(self, rows: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        """Return (n_words, layers, dims) for each of those sentences."""
        found = []
        with self.path.open("rb", buffering=0) as file:
            for row in rows.tolist():
                first, last = int(self.offsets[row]), int(self.offsets[row + 1])
                file.seek(self.start + first * self.size)
                block = np.frombuffer(file.read((last - first) * self.size), self.dtype)
                vectors = block.reshape(-1, *self.shape)
                found.append(vectors[:, : self.layers].astype(np.float32))
        return found


class RandomVectors:
    """A random vector for each distinct word, normal with deviation 1, fixed by the seed."""

    layers = 1

    def __init__(self, sentences: Sentences, dims: int, seed: int) -> None:
        types = sorted({word for words in sentences.all for word in words})
        self.number = {word: i for i, word in enumerate(types)}
        rng = np.random.default_rng(seed)
        self.table = rng.standard_normal((len(types), dims), dtype=np.float32)
        self.dims = dims
        self.all = sentences.all

    def sentences(self, rows: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        """Return (n_words, 1, dims) for each of those sentences."""
        return [self.table[[self.number[word] for word in self.all[row]]][:, None] for row in rows]


class StandardVectors:
    """Vectors whose dims have mean 0 and deviation 1, layer by layer, over some sentences' words.

    So a probe does not depend on the scale of vectors, nor a mix of layers on theirs. A dim that
    does not vary is 0. `learned` are the numbers of the sentences to measure, each counted once.
    """

    def __init__(self, vectors: WordVectors, learned: NDArray[np.int64]) -> None:
        self.vectors = vectors
        self.layers, self.dims = vectors.layers, vectors.dims
        n_words, shift = 0, np.zeros((self.layers, self.dims))
        total, squares = np.zeros_like(shift), np.zeros_like(shift)
        for start in range(0, len(learned), 64):
            words = np.concatenate(vectors.sentences(learned[start : start + 64])).astype(float)
            if start == 0:  # a provisional mean: squares of a large mean would cancel away
                shift = words.mean(axis=0)
            words -= shift
            n_words += len(words)
            total += words.sum(axis=0)
            squares += np.square(words).sum(axis=0)
        mean = total / max(n_words, 1)
        deviation = np.sqrt(np.maximum(squares / max(n_words, 1) - mean**2, 0))
        self.mean = (shift + mean).astype(np.float32)
        varies = deviation > 1e-6 * np.maximum(np.abs(self.mean), 1e-6)
        self.scale = np.where(varies, 1 / np.where(varies, deviation, 1), 0).astype(np.float32)

    def sentences(self, rows: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        """Return (n_words, layers, dims) for each of those sentences."""
        return [(one - self.mean) * self.scale for one in self.vectors.sentences(rows)]


def padded(found: list[NDArray[np.float32]], device: str) -> tuple[Tensor, Tensor]:
    """Put sentences side by side: (B, T, layers, dims) padded with zeros, and lengths (B,)."""
    lengths = [len(one) for one in found]
    block = np.zeros((len(found), max(lengths), *found[0].shape[1:]), dtype=np.float32)
    for i, one in enumerate(found):
        block[i, : len(one)] = one
    return torch.from_numpy(block).to(device), torch.tensor(lengths, device=device)
