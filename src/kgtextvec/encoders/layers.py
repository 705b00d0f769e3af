"""The vectors of every word in every layer of a model, frozen: what probes read.

Words are given, as a corpus has them. A transformer's word is the mean of its pieces; an ELMo
reads words as they are. A sentence longer than the model takes is read in windows, cut between
words where that can be: nothing is left out.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from kgtextvec.batches import plan_batches
from kgtextvec.encoders.transformer.loading import load_transformer
from kgtextvec.encoders.transformer.tokens import CHUNK, Tokenizer
from kgtextvec.errors import InputError
from kgtextvec.progress import say
from kgtextvec.records import ModelRecord

# All layers are kept at once: less than what an encoder takes.
BATCH_TOKENS = {"cpu": 1024, "mps": 4096, "cuda": 16384}
SPELLED = {"cpu": 256, "mps": 1024, "cuda": 16384}  # words of an ELMo, through its characters

Sentence = Sequence[str]
WordVectors = tuple[int, NDArray[np.float32]]


class LayerReader(Protocol):
    """A model that is loaded and ready to give (n_words, layers, dims) for each sentence.

    `layers` counts the token layer, which is the first. `counts` tells, after `read`: sentences
    read in windows (`windowed`) and words that the model has no piece for (`without_piece`),
    whose vectors are zero.
    """

    layers: int
    dims: int
    precision: str
    counts: dict[str, int]

    def read(self, sentences: Sequence[Sentence]) -> Iterator[WordVectors]:
        """Yield (row, its vectors) once for every sentence, the longest first."""
        ...


def load_reader(folder: Path, about: ModelRecord, settings: dict[str, Any]) -> LayerReader:
    """Load the model in `folder`; `about` is its kgtextvec.json.

    Settings: device, precision, max_tokens, batch_tokens (None: by device), initial_state (ELMo,
    which always computes in float32).
    """
    device = torch.device(settings["device"])
    budget = settings["batch_tokens"] or BATCH_TOKENS[device.type]
    if about["kind"] == "elmo":
        return ElmoLayers(folder, device, settings["initial_state"], budget)
    return TransformerLayers(folder, device, settings["precision"], settings["max_tokens"], budget)


def in_batches(
    plan: list[NDArray[np.int64]], run: Callable[[NDArray[np.int64]], Iterator[WordVectors]]
) -> Iterator[WordVectors]:
    """Run a plan; a batch that doesn't fit into memory is halved. Raises InputError at one row."""
    plan = plan[::-1]  # a stack: the longest is on top
    while plan:
        batch = plan.pop()
        try:
            found = list(run(batch))
        except torch.OutOfMemoryError:
            found = []
        if not found and len(batch) == 1:
            raise InputError(
                "one sentence does not fit into the GPU's memory. Lower max_tokens of the model,"
                " or use a device with more memory."
            )
        if not found:
            say(f"out of memory: a batch of {len(batch)} sentences is halved")
            plan += [batch[len(batch) // 2 :], batch[: len(batch) // 2]]
        yield from found


@dataclass(frozen=True)
class Window:
    """Pieces of a sentence that the model reads together; `words` is the word of each piece."""

    row: int
    ids: NDArray[np.int64]
    words: NDArray[np.int64]


class TransformerLayers:
    """A transformers model with a fast tokenizer, whose offsets tell a piece's word."""

    def __init__(
        self, folder: Path, device: torch.device, precision: str, max_tokens: int, budget: int
    ) -> None:
        self.tokenizer = Tokenizer(folder, "literal", None)
        self.backend: Any = self.tokenizer.backend
        if self.backend is None:
            raise InputError(
                f"{folder.name}: its tokenizer doesn't tell which word a piece is of (it has no"
                " tokenizer.json and can't be given one): this model can't be probed."
            )
        self.room = max_tokens - len(self.tokenizer.prefix) - len(self.tokenizer.suffix)
        if self.room < 1:
            raise InputError(f"max_tokens: {max_tokens} leaves no room for a word. Raise it.")
        self.device, self.precision, self.budget = device, precision, max(budget, max_tokens)
        self.model = load_transformer(folder, precision, device)
        self.layers = int(self.model.config.num_hidden_layers) + 1
        self.dims = int(self.model.config.hidden_size)
        self.counts = {"windowed": 0, "without_piece": 0}

    def read(self, sentences: Sequence[Sentence]) -> Iterator[WordVectors]:
        """Yield every sentence's vectors; see LayerReader."""
        windows: list[Window] = []
        for row, (ids, words) in enumerate(self.pieces(sentences)):
            edges = window_edges(words, self.room)
            windows += [Window(row, ids[a:b], words[a:b]) for a, b in pairwise(edges)]
        waiting = np.bincount([one.row for one in windows], minlength=len(sentences))
        self.counts["windowed"] = int((waiting > 1).sum())
        self.counts["without_piece"] = 0
        sums: dict[int, NDArray[np.float32]] = {}
        pieces: dict[int, NDArray[np.float32]] = {}
        around = len(self.tokenizer.prefix) + len(self.tokenizer.suffix)
        lengths = np.array([len(one.ids) + around for one in windows], dtype=np.int64)

        def run(batch: NDArray[np.int64]) -> Iterator[WordVectors]:
            return self.forward([windows[i] for i in batch], [int(i) for i in batch])

        for i, vectors in in_batches(plan_batches(lengths, self.budget), run):
            row, words = windows[i].row, windows[i].words
            if row not in sums:
                n_words = len(sentences[row])
                sums[row] = np.zeros((n_words, self.layers, self.dims), dtype=np.float32)
                pieces[row] = np.zeros(n_words, dtype=np.float32)
            if len(words):
                first, last = int(words.min()), int(words.max()) + 1
                sums[row][first:last] += vectors
                pieces[row] += np.bincount(words, minlength=len(pieces[row]))
            waiting[row] -= 1
            if not waiting[row]:
                counts = pieces.pop(row)
                self.counts["without_piece"] += int((counts == 0).sum())
                whole = sums.pop(row)
                whole /= np.maximum(counts, 1)[:, None, None]
                yield row, whole

    def pieces(
        self, sentences: Sequence[Sentence]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield each sentence's piece ids and the word that each is of, (n_pieces,) both.

        Words are joined by spaces, so that a tokenizer sees the text it was made for; a space
        belongs to the word after it.
        """
        for start in range(0, len(sentences), CHUNK):
            some = sentences[start : start + CHUNK]
            texts = [" ".join(words) for words in some]
            encodings = self.backend.encode_batch(texts, add_special_tokens=False)
            for words, encoding in zip(some, encodings, strict=True):
                lengths = [len(word) + (i > 0) for i, word in enumerate(words)]
                owner = np.repeat(np.arange(len(words)), lengths)
                begins = np.array([begin for begin, _ in encoding.offsets], dtype=np.int64)
                ids = np.array(encoding.ids, dtype=np.int64)
                yield ids, owner[np.minimum(begins, len(owner) - 1)]

    @torch.inference_mode()
    def forward(self, windows: list[Window], numbers: list[int]) -> Iterator[WordVectors]:
        """Yield, for each window's number, the sums of its words' pieces (words, layers, dims)."""
        prefix, suffix = self.tokenizer.prefix, self.tokenizer.suffix
        lengths = np.array([len(one.ids) for one in windows])
        width = int(lengths.max()) + len(prefix) + len(suffix)
        ids = np.full((len(windows), width), self.tokenizer.pad, dtype=np.int64)
        mask = np.zeros(ids.shape, dtype=np.int64)
        for i, one in enumerate(windows):
            whole = [*prefix, *one.ids.tolist(), *suffix]
            ids[i, : len(whole)], mask[i, : len(whole)] = whole, 1
        inside = np.arange(width) - len(prefix)
        body = (inside >= 0) & (inside < lengths[:, None])  # (B, T)
        spans = [
            int(one.words.max() - one.words.min()) + 1 if len(one.ids) else 0 for one in windows
        ]
        edges = np.concatenate([[0], np.cumsum(spans)])
        places = [
            one.words - one.words.min() + edge
            for one, edge in zip(windows, edges[:-1], strict=True)
            if len(one.ids)
        ]
        target = torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *places])).to(self.device)
        hidden = self.model(
            input_ids=torch.from_numpy(ids).to(self.device),
            attention_mask=torch.from_numpy(mask).to(self.device),
            output_hidden_states=True,
            return_dict=True,
        ).hidden_states
        chosen = torch.from_numpy(body).to(self.device)
        sums = torch.zeros(int(edges[-1]), self.layers, self.dims, device=self.device)
        for layer, states in enumerate(hidden):
            sums[:, layer].index_add_(0, target, states[chosen].float())
        found = sums.cpu().numpy()
        for number, a, b in zip(numbers, edges[:-1], edges[1:], strict=True):
            yield number, found[a:b]


def window_edges(words: NDArray[np.int64], room: int) -> list[int]:
    """Return where to cut pieces into windows of at most `room`, first and last edge included.

    `words` (n_pieces,) is the word of each piece. A cut falls between words, unless a word alone
    is longer than a window.
    """
    edges = [0]
    while len(words) - edges[-1] > room:
        end = edges[-1] + room
        while end > edges[-1] and words[end] == words[end - 1]:
            end -= 1
        edges.append(end if end > edges[-1] else edges[-1] + room)
    return [*edges, len(words)]


class ElmoLayers:
    """A converted ELMo; each distinct word goes through the character CNN once."""

    precision = "float32"

    def __init__(self, folder: Path, device: torch.device, initial_state: str, budget: int) -> None:
        from kgtextvec.encoders.elmo.engine import load_model

        if initial_state not in ("warm", "zeros"):
            raise InputError(f"initial_state: {initial_state!r} is neither warm nor zeros.")
        self.model = load_model(folder).to(device)
        self.device, self.initial_state, self.budget = device, initial_state, budget
        self.layers = int(self.model.config.num_hidden_layers) + 1
        self.dims = 2 * int(self.model.config.projection_size)
        self.counts = {"windowed": 0, "without_piece": 0}

    @torch.inference_mode()
    def read(self, sentences: Sequence[Sentence]) -> Iterator[WordVectors]:
        """Yield every sentence's vectors; see LayerReader."""
        number = {word: i for i, word in enumerate(sorted({w for one in sentences for w in one}))}
        table = self.spell(list(number))
        lengths = np.array([len(words) for words in sentences], dtype=np.int64)

        def run(batch: NDArray[np.int64]) -> Iterator[WordVectors]:
            words = table.new_zeros(len(batch), int(lengths[batch].max()), table.shape[1])
            for i, row in enumerate(batch):
                words[i, : lengths[row]] = table[[number[word] for word in sentences[row]]]
            state = self.model.state_for(self.initial_state, len(batch))
            sizes = torch.from_numpy(lengths[batch]).to(self.device)
            layers, _ = self.model.run(words, sizes, state)
            hidden = [torch.cat([words, words], 2), *(layer[:, 1:-1] for layer in layers)]
            found = torch.stack(hidden, 2).cpu().numpy()  # (B, T, layers, dims)
            for i, row in enumerate(batch):
                yield int(row), found[i, : lengths[row]]

        budget = max(self.budget, int(lengths.max(initial=0)))
        yield from in_batches(plan_batches(lengths, budget), run)

    def spell(self, words: list[str]) -> torch.Tensor:
        """Return the vectors (n, P) of words by themselves."""
        from kgtextvec.encoders.elmo.tokenizer import character_ids

        size = SPELLED[self.device.type]
        parts = []
        for start in range(0, len(words), size):
            ids = [
                character_ids(word, self.model.config.max_characters)
                for word in words[start : start + size]
            ]
            parts.append(self.model.embed(torch.tensor(ids, device=self.device)))
        return torch.cat(parts)
