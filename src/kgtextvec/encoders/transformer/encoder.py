"""Any transformers model as an encoder: sorted, token-budget batches; exact to the plain loop."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kgtextvec.batches import plan_remaining
from kgtextvec.encoders import (
    DEFAULT_SETTINGS,
    Encoded,
    EncoderSettings,
    Lease,
    ResumeContext,
    keep_device,
)
from kgtextvec.encoders.choices import LAST
from kgtextvec.encoders.memory import HalvingRunner, OnItsWay, model_fits, run_in_memory
from kgtextvec.encoders.poolings import pool_function
from kgtextvec.encoders.streams import Running, Streams
from kgtextvec.encoders.transformer.heads import Heads
from kgtextvec.encoders.transformer.loading import place_transformer, read_transformer
from kgtextvec.encoders.transformer.overflow import OverflowWatch
from kgtextvec.encoders.transformer.packed import PackedBatches, packable
from kgtextvec.encoders.transformer.padded import PaddedBatches, paddable
from kgtextvec.encoders.transformer.tokens import Pieces, Tokenizer
from kgtextvec.encoders.transformer.trial import changes_itself, text_config
from kgtextvec.encoders.transformer.uniform import UniformBatches
from kgtextvec.errors import InputError
from kgtextvec.progress import plural, say

Batches = PackedBatches | PaddedBatches | UniformBatches
# On a CPU a matrix product is at its peak from about 512 rows on, and more tokens a batch only
# add padding; a GPU wants as many as fill it. A longer text is a batch of its own.
BATCH_TOKENS = {"cpu": 1024, "mps": 8192, "cuda": 65536}
# Batches under way at once: a GPU gets the next one before the vectors of the last are back.
AHEAD = {"cpu": 1, "mps": 1, "cuda": 3}
# Texts that are tokenized while those before them are computed; None: all at once, since on a CPU
# neither waits for the other, and sorting more of them gives more neighbours of equal length.
CHUNK_TEXTS = {"cpu": None, "mps": None, "cuda": 65536}
# The first ones are fewer, each twice those before, so that a GPU doesn't wait for them.
FIRST_TEXTS = 4096


@dataclass
class Chunk:
    """Texts that are tokenized and planned together; `first` is the place of the first one.

    `plan` is a stack of batches of pieces, those still to do.
    """

    texts: Sequence[str]
    first: int
    pieces: Pieces
    plan: list[NDArray[np.int64]]
    windows: "_Windows"


@dataclass
class Landing:
    """Vectors of a batch on their way to the host: (n_in_batch, dims) float32."""

    chunk: Chunk
    batch: NDArray[np.int64]
    vectors: OnItsWay | Running


class TransformerEncoder:
    """A checked model folder, loaded from safetensors, without network and without remote code."""

    def __init__(
        self,
        folder: Path,
        settings: EncoderSettings = DEFAULT_SETTINGS,
        lease: Lease = keep_device,
    ) -> None:
        self.folder, self.settings = folder, settings
        self.pool = pool_function(settings.pooling)
        self.tokenizer = Tokenizer(
            folder,
            settings.special_tokens,
            settings.lower_case,
            settings.prompt,
            settings.include_prompt,
            settings.lower_text,
        )
        self.heads = Heads(folder, settings.heads, settings.truncate_dims, settings.unit)
        with model_fits(folder.name):
            model = read_transformer(folder, settings.precision)
        self.device = torch.device(lease(settings.device))
        self.heads.move(self.device)
        self.run = self.ready(model)
        n_poolings = settings.pooling.count("+") + 1
        hidden = self.run.token_dims or int(text_config(self.run.model).hidden_size)
        self.dims = len(self.heads(torch.zeros(1, n_poolings * hidden, device=self.device))[0])
        self.batch_tokens = settings.batch_tokens or BATCH_TOKENS[self.device.type]
        if (settings.batch_tokens or settings.max_tokens) < settings.max_tokens:
            raise InputError(
                f"config, embed.batch_tokens: {self.batch_tokens} is below max_tokens"
                f" ({settings.max_tokens}). Raise it, or write auto."
            )
        self.ahead = AHEAD[self.device.type]
        self.chunk_texts: int | None = CHUNK_TEXTS[self.device.type]
        self.first_texts = FIRST_TEXTS
        self.in_float32: Batches | None = None

    def ready(self, model: Any) -> Batches:
        """Put a model on the device: packed where it can, else padded.

        A model that padding changes gets batches of equal length.
        """
        with model_fits(self.folder.name):
            model = place_transformer(model, self.device)
            layers = str(self.settings.layers or LAST)
            parts = (model, self.tokenizer, self.pool, self.device, layers)
            most = self.settings.max_tokens
            row = self.settings.batch_tokens or BATCH_TOKENS[self.device.type]
            run = packable(*parts, most, row) or paddable(*parts, most) or UniformBatches(*parts)
        run.watch = OverflowWatch(model, self.device)
        if self.device.type == "cpu" and run.in_streams:
            run.in_streams = not changes_itself(model, run.alone)
        return run

    def compute(self, run: Batches, pieces: Pieces, batch: NDArray[np.int64]) -> Tensor:
        """Run pieces through the model and what follows it; (n_in_batch, dims) float32."""
        run.watch.clear()
        return self.heads(run.watch.mark(run(pieces, batch)))

    def encode(
        self, texts: Sequence[str], resume: ResumeContext | None = None
    ) -> Iterator[Encoded]:
        """Yield every text exactly once: a chunk after the other, the longest of each first.

        Raises InputError when a vector holds NaN or Inf even in float32, or when one text alone
        does not fit into memory.
        """
        self.memory = HalvingRunner(self.batch_tokens)
        landings: deque[Landing] = deque()
        with (
            closing(one_ahead(self.chunks(texts, resume))) as chunks,
            closing(Streams(self.device, self.run.in_streams)) as self.streams,
        ):
            ahead = self.streams.ahead if self.streams.count > 1 else self.ahead
            for chunk in chunks:
                while chunk.plan:
                    if len(landings) < ahead:
                        self.start(chunk, landings)
                    else:
                        yield self.finish(landings.popleft())
            while landings:
                yield self.finish(landings.popleft())

    def chunks(self, texts: Sequence[str], resume: ResumeContext | None) -> Iterator[Chunk]:
        """Tokenize and plan the texts, some at a time; `resume.rows` ascend."""
        n_texts = len(texts)
        job = resume or ResumeContext(np.arange(n_texts), np.empty(n_texts, dtype=np.int32))
        for start, end in self.chunk_edges(len(job.n_tokens)):
            first, last = np.searchsorted(job.rows, (start, end)).tolist()
            if first == last:
                continue
            own = texts[first:last]
            pieces = self.tokenizer.pieces(own, self.settings.max_tokens, self.settings.long_text)
            part = ResumeContext(job.rows[first:last] - start, job.n_tokens[start:end])
            n_pieces = np.bincount(pieces.text, minlength=len(own))
            plan = self.plan(pieces, part)[::-1]  # a stack: the longest is on top
            windows = _Windows(n_pieces, self.dims, self.heads.gives_unit)
            yield Chunk(own, first, pieces, plan, windows)

    def chunk_edges(self, n_texts: int) -> Iterator[tuple[int, int]]:
        """Yield where each chunk of a job begins and ends."""
        start, size = 0, min(self.first_texts, self.chunk_texts or n_texts)
        while start < n_texts:
            size = size if self.chunk_texts else n_texts
            yield start, min(start + size, n_texts)
            start, size = start + size, min(2 * size, self.chunk_texts or n_texts)

    def plan(self, pieces: Pieces, resume: ResumeContext) -> list[NDArray[np.int64]]:
        """Plan batches of pieces as a part of `resume`, unless texts are windowed."""
        if len(pieces.lengths) != len(resume.rows):
            return self.run.plan(pieces.lengths, self.batch_tokens)
        lengths = np.minimum(resume.n_tokens, self.settings.max_tokens).astype(np.int64)
        lengths[resume.rows] = pieces.lengths
        return plan_remaining(self.run.plan, lengths, resume.rows, self.batch_tokens)

    def start(self, chunk: Chunk, landings: deque[Landing]) -> None:
        """Start the next batch of a chunk, or halve it if it takes too much memory."""
        landing = self.memory.run_next(
            chunk.plan,
            cost=lambda batch: self.run.cost(chunk.pieces.lengths[batch]),
            run=lambda batch: Landing(chunk, batch, self.launch(chunk.pieces, batch)),
            refuse=lambda batch, tokens: self.refuse(chunk, batch, tokens),
        )
        if landing:
            landings.append(landing)

    def launch(self, pieces: Pieces, batch: NDArray[np.int64]) -> OnItsWay | Running:
        """Start a batch in a stream; a text that is longer than a batch takes all cores."""
        if self.streams.count > 1 and self.run.cost(pieces.lengths[batch]) <= self.batch_tokens:
            return self.streams.start(lambda: self.compute(self.run, pieces, batch))
        return OnItsWay(self.compute(self.run, pieces, batch))

    def finish(self, landing: Landing) -> Encoded:
        """Wait for a batch and return the texts that it finishes."""
        chunk, pieces = landing.chunk, landing.chunk.pieces
        vectors = run_in_memory(lambda _: landing.vectors.wait(), landing.batch)
        if vectors is None:
            self.streams.settle()
            vectors = self.in_parts(self.run, chunk, landing.batch, self.memory)
        vectors = self.finite(vectors, chunk, landing.batch)
        rows, vectors = chunk.windows.take(pieces.text[landing.batch], vectors)
        return Encoded(
            rows=rows + chunk.first,
            vectors=vectors,
            n_tokens=pieces.n_tokens[rows],
            truncated=pieces.truncated[rows],
            n_unknown=pieces.n_unknown[rows],
        )

    def finite(
        self, vectors: NDArray[np.float32], chunk: Chunk, batch: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Compute vectors with NaN or Inf again in float32. Raises InputError if they stay."""
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        precision = self.settings.precision
        if len(bad) and precision != "float32":
            say(f"{plural(len(bad), 'text')}: NaN or Inf in {precision}, computed again in float32")
            vectors[bad] = self.repeat_in_float32(chunk, batch[bad])
            bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            row = chunk.pieces.text[batch[bad[0]]]
            raise InputError(
                f"{self.folder.name}: vectors hold NaN or Inf for {len(bad)} of {len(batch)} texts"
                f" of a batch, first at row {chunk.first + row} ({chunk.texts[row][:60]!r})."
                " Get intact weights, or leave the text out."
            )
        return vectors

    def repeat_in_float32(self, chunk: Chunk, batch: NDArray[np.int64]) -> NDArray[np.float32]:
        """Compute pieces again in float32; (n_in_batch, dims)."""
        if self.in_float32 is None:
            self.in_float32 = self.ready(read_transformer(self.folder, "float32"))
        return self.in_parts(self.in_float32, chunk, batch, HalvingRunner(self.memory.budget))

    def in_parts(
        self, run: Batches, chunk: Chunk, batch: NDArray[np.int64], memory: HalvingRunner
    ) -> NDArray[np.float32]:
        """Compute pieces at once, in as many parts as memory asks for; (n_in_batch, dims)."""
        vectors = np.empty((len(batch), self.dims), np.float32)
        stack = [np.arange(len(batch))]

        def fill(rows: NDArray[np.int64]) -> NDArray[np.int64]:
            vectors[rows] = self.compute(run, chunk.pieces, batch[rows]).cpu().numpy()
            return rows

        while stack:
            memory.run_next(
                stack,
                cost=lambda rows: run.cost(chunk.pieces.lengths[batch[rows]]),
                run=fill,
                refuse=lambda rows, tokens: self.refuse(chunk, batch[rows], tokens),
            )
        return vectors

    def refuse(self, chunk: Chunk, batch: NDArray[np.int64], tokens: int) -> InputError:
        """Return the error for a text that does not fit into memory alone."""
        text = chunk.texts[chunk.pieces.text[batch[0]]]
        return InputError(
            f"{self.folder.name}: one text of {tokens} tokens does not fit into memory"
            f" ({text[:60]!r}…). Lower max_tokens, or use a device with more memory."
        )


def one_ahead(items: Iterator[Chunk]) -> Generator[Chunk]:
    """Pass items on; the next one is made in a thread in the meantime."""
    with ThreadPoolExecutor(1, "tokenize") as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


class _Windows:
    """Holds the windows of long texts until the last one is there, then gives their mean.

    With `unit`, vectors have unit length, and so has the mean.
    """

    def __init__(self, n_pieces: NDArray[np.int64], dims: int, unit: bool) -> None:
        self.n_pieces, self.unit = n_pieces, unit
        self.sums: dict[int, NDArray[np.float64]] = {}
        self.missing: dict[int, int] = {}
        self.dims = dims

    def take(
        self, rows: NDArray[np.int64], vectors: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the texts (and vectors) that this batch finishes."""
        single = self.n_pieces[rows] == 1
        if single.all():
            return rows, vectors
        done, means = [], []
        for row, vector in zip(rows[~single].tolist(), vectors[~single], strict=True):
            total = self.sums.setdefault(row, np.zeros(self.dims))
            total += vector
            self.missing[row] = self.missing.get(row, int(self.n_pieces[row])) - 1
            if not self.missing[row]:
                done.append(row)
                mean = self.sums.pop(row) / self.n_pieces[row]
                length = max(float(np.linalg.norm(mean)), 1e-12) if self.unit else 1.0
                means.append((mean / length).astype(np.float32))
        return (
            np.concatenate([rows[single], np.array(done, dtype=np.int64)]),
            np.concatenate([vectors[single], np.array(means).reshape(-1, self.dims)]).astype(
                np.float32
            ),
        )
