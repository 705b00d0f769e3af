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

from kgtextvec.batches import padded_tokens, plan_batches
from kgtextvec.encoders import EncoderSettings
from kgtextvec.encoders.memory import HalvingRunner, model_fits
from kgtextvec.encoders.transformer.loading import load_transformer
from kgtextvec.encoders.transformer.tokens import TOKENIZED_TEXTS, Tokenizer
from kgtextvec.errors import InputError
from kgtextvec.records import ModelRecord

# All layers are kept at once: less than what an encoder takes.
LAYERS_BATCH_TOKENS = {"cpu": 1024, "mps": 4096, "cuda": 16384}

Sentence = Sequence[str]
SentenceVectors = tuple[int, NDArray[np.float32]]


class LayerReader(Protocol):
    """A model that is loaded and ready to give (n_words, layers, dims) for each sentence.

    `layers` counts the token layer, which is the first. `counts` has, after `read`: sentences
    read in windows (`windowed`) and words that the model has no piece for (`without_piece`),
    whose vectors are zero.
    """

    layers: int
    dims: int
    precision: str
    counts: dict[str, int]

    def read(self, sentences: Sequence[Sentence]) -> Iterator[SentenceVectors]:
        """Yield (row, its vectors) once for every sentence, the longest first."""
        ...


def load_reader(folder: Path, about: ModelRecord, settings: EncoderSettings) -> LayerReader:
    """Load the model in `folder`; `about` is its kgtextvec.json.

    Of the settings, device, precision (an ELMo always computes in float32), max_tokens,
    batch_tokens and initial_state count.
    """
    if about["kind"] == "words":
        from kgtextvec.encoders.static_words import StaticWordsLayers

        return StaticWordsLayers(folder, settings)
    reader = ElmoLayers if about["kind"] == "elmo" else TransformerLayers
    return reader(folder, settings)


def batch_budget(settings: EncoderSettings) -> int:
    """Return the tokens (an ELMo's words) of a batch: those asked for, else by device."""
    return settings.batch_tokens or LAYERS_BATCH_TOKENS[torch.device(settings.device).type]


def in_batches(
    lengths: NDArray[np.int64],
    budget: int,
    run: Callable[[NDArray[np.int64]], Iterator[SentenceVectors]],
) -> Iterator[SentenceVectors]:
    """Run all rows, of `lengths` (n,) tokens, in batches that fit into memory.

    Raises InputError at a row that does not fit alone.
    """

    def refuse(batch: NDArray[np.int64], tokens: int) -> InputError:
        return InputError(
            f"one sentence of {tokens} tokens does not fit into memory. Lower max_tokens of the"
            " model, or use a device with more memory."
        )

    stack, memory = plan_batches(lengths, budget)[::-1], HalvingRunner(budget)
    while stack:
        found = memory.run_next(
            stack,
            cost=lambda batch: padded_tokens(lengths[batch]),
            run=lambda batch: list(run(batch)),
            refuse=refuse,
        )
        yield from found or []


@dataclass(frozen=True)
class Window:
    """Pieces of a sentence that the model reads together; `words` is the word of each piece."""

    row: int
    ids: NDArray[np.int64]
    words: NDArray[np.int64]


class TransformerLayers:
    """A transformers model with a fast tokenizer, whose offsets give a piece's word."""

    def __init__(self, folder: Path, settings: EncoderSettings) -> None:
        self.tokenizer = Tokenizer(folder, "literal", None)
        self.backend: Any = self.tokenizer.backend
        if self.backend is None:
            raise InputError(
                f"{folder.name}: its tokenizer doesn't give the word of a piece (it has no"
                " tokenizer.json and can't be given one): this model can't be probed. Leave it out."
            )
        max_tokens, self.precision = settings.max_tokens, settings.precision
        self.room = max_tokens - len(self.tokenizer.prefix) - len(self.tokenizer.suffix)
        if self.room < 1:
            raise InputError(f"max_tokens: {max_tokens} leaves no room for a word. Raise it.")
        self.device = torch.device(settings.device)
        self.budget = max(batch_budget(settings), max_tokens)
        with model_fits(folder.name):
            self.model = load_transformer(folder, self.precision, self.device)
        config = self.model.config.get_text_config()
        self.layers, self.dims = int(config.num_hidden_layers) + 1, int(config.hidden_size)
        self.counts = {"windowed": 0, "without_piece": 0}

    def read(self, sentences: Sequence[Sentence]) -> Iterator[SentenceVectors]:
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

        def run(batch: NDArray[np.int64]) -> Iterator[SentenceVectors]:
            return self.forward([windows[i] for i in batch], [int(i) for i in batch])

        for i, vectors in in_batches(lengths, self.budget, run):
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
                means = sums.pop(row)
                means /= np.maximum(counts, 1)[:, None, None]
                yield row, means

    def pieces(
        self, sentences: Sequence[Sentence]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield each sentence's piece ids and the word that each is of, (n_pieces,) both.

        Words are joined by spaces, so that a tokenizer sees the text it was made for; a space
        belongs to the word after it.
        """
        for start in range(0, len(sentences), TOKENIZED_TEXTS):
            some = sentences[start : start + TOKENIZED_TEXTS]
            texts = [" ".join(words) for words in some]
            encodings = self.backend.encode_batch(texts, add_special_tokens=False)
            for words, encoding in zip(some, encodings, strict=True):
                lengths = [len(word) + (i > 0) for i, word in enumerate(words)]
                owner = np.repeat(np.arange(len(words)), lengths)
                begins = np.array([begin for begin, _ in encoding.offsets], dtype=np.int64)
                ids = np.array(encoding.ids, dtype=np.int64)
                yield ids, owner[np.minimum(begins, len(owner) - 1)]

    @torch.inference_mode()
    def forward(self, windows: list[Window], numbers: list[int]) -> Iterator[SentenceVectors]:
        """Yield, for each window's number, the sums of its words' pieces (words, layers, dims)."""
        prefix, suffix = self.tokenizer.prefix, self.tokenizer.suffix
        lengths = np.array([len(one.ids) for one in windows])
        width = int(lengths.max()) + len(prefix) + len(suffix)
        ids = np.full((len(windows), width), self.tokenizer.pad, dtype=np.int64)
        mask = np.zeros(ids.shape, dtype=np.int64)
        for i, one in enumerate(windows):
            full = [*prefix, *one.ids.tolist(), *suffix]
            ids[i, : len(full)], mask[i, : len(full)] = full, 1
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

    def __init__(self, folder: Path, settings: EncoderSettings) -> None:
        from kgtextvec.encoders.elmo.engine import load_elmo

        self.initial_state = settings.initial_state
        if self.initial_state not in ("warm", "zeros"):
            raise InputError(
                f"initial_state: {self.initial_state!r} is neither warm nor zeros. Write one of"
                " them."
            )
        self.device, self.budget = torch.device(settings.device), batch_budget(settings)
        self.model = load_elmo(folder).to(self.device)
        self.layers = int(self.model.config.num_hidden_layers) + 1
        self.dims = 2 * int(self.model.config.projection_size)
        self.counts = {"windowed": 0, "without_piece": 0}

    @torch.inference_mode()
    def read(self, sentences: Sequence[Sentence]) -> Iterator[SentenceVectors]:
        """Yield every sentence's vectors; see LayerReader."""
        number = {word: i for i, word in enumerate(sorted({w for one in sentences for w in one}))}
        table = self.spell(list(number))
        lengths = np.array([len(words) for words in sentences], dtype=np.int64)

        def run(batch: NDArray[np.int64]) -> Iterator[SentenceVectors]:
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
        yield from in_batches(lengths, budget, run)

    def spell(self, words: list[str]) -> torch.Tensor:
        """Return the vectors (n, P) of words without context."""
        from kgtextvec.encoders.elmo.known_words import AT_ONCE

        size = AT_ONCE[self.device.type]
        starts = range(0, len(words), size)
        return torch.cat([self.model.embed_words(words[start : start + size]) for start in starts])
