"""Any transformers model as an encoder: sorted, token-budget batches; exact to the plain loop."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kgtextvec.batches import plan_remaining
from kgtextvec.encoders import Among, Encoded
from kgtextvec.encoders.loading import load_transformer
from kgtextvec.encoders.packed import Packed, packed
from kgtextvec.encoders.padded import Padded
from kgtextvec.encoders.pooling import pooling_of
from kgtextvec.encoders.tokens import Pieces, Tokenizer
from kgtextvec.errors import InputError
from kgtextvec.progress import say

# On a CPU a matrix product is at its peak from about 512 rows on, and more tokens a batch only
# add padding; a GPU wants as many as fill it.
BATCH_TOKENS = {"cpu": 1024, "mps": 8192, "cuda": 65536}
# Batches under way at once: a GPU gets the next one before the vectors of the last are back.
AHEAD = {"cpu": 1, "mps": 1, "cuda": 3}


@dataclass
class Landing:
    """Vectors on their way to the host: (n_in_batch, dims) float32, there once `ready` is."""

    batch: NDArray[np.int64]
    vectors: Tensor
    ready: Any

    def wait(self) -> NDArray[np.float32]:
        """Return the vectors once they are there."""
        if self.ready is not None:
            self.ready.synchronize()
        found: NDArray[np.float32] = self.vectors.numpy()
        return found


class TransformerEncoder:
    """A checked model folder, loaded from safetensors, without network and without remote code."""

    def __init__(
        self,
        folder: Path,
        device: str,
        precision: str,
        pooling: str,
        max_tokens: int,
        long_text: str = "truncate",
        special_tokens: str = "literal",
        batch_tokens: int | None = None,
        lower_case: bool | None = None,
    ) -> None:
        self.folder, self.device, self.precision = folder, torch.device(device), precision
        self.pool = pooling_of(pooling)
        self.max_tokens, self.long_text = max_tokens, long_text
        self.tokenizer = Tokenizer(folder, special_tokens, lower_case)
        self.run = self.load(precision)
        self.dims = int(self.run.model.config.hidden_size)
        asked = batch_tokens or BATCH_TOKENS[self.device.type]
        self.batch_tokens = asked if batch_tokens else max(asked, max_tokens)
        if self.batch_tokens < max_tokens:
            raise InputError(
                f"config, embed.batch_tokens: {asked} is below max_tokens ({max_tokens})."
                " Raise it, or write auto."
            )
        self.ahead = AHEAD[self.device.type]
        self.in_float32: Packed | Padded | None = None

    def load(self, precision: str) -> Packed | Padded:
        """Load the weights in that precision: packed where the model can, else padded."""
        model = load_transformer(self.folder, precision, self.device)
        parts = (model, self.tokenizer, self.pool, self.device)
        return packed(*parts) or Padded(*parts)

    def encode(self, texts: Sequence[str], among: Among | None = None) -> Iterator[Encoded]:
        """Yield every text exactly once, the longest first.

        Raises InputError when a vector holds NaN or Inf even in float32, or when one text alone
        does not fit into memory.
        """
        pieces = self.tokenizer.pieces(texts, self.max_tokens, self.long_text)
        n_pieces = np.bincount(pieces.text, minlength=len(texts))
        windowed = _Windows(n_pieces, self.dims)
        plan = self.plan(pieces, among)
        plan.reverse()  # a stack: the longest is on top
        budget = self.batch_tokens
        landings: deque[Landing] = deque()
        while plan or landings:
            if plan and len(landings) < self.ahead:
                batch = plan.pop()
                if self.run.cost(pieces.lengths[batch]) > budget and len(batch) > 1:
                    half = len(batch) // 2
                    plan += [batch[half:], batch[:half]]
                elif landing := self.attempt(pieces, batch):
                    landings.append(landing)
                else:
                    budget = self.halve(pieces, batch, texts)
                    plan.append(batch)
                continue
            landing = landings.popleft()
            batch = landing.batch
            vectors = self.finite(landing.wait(), pieces, batch, texts)
            rows, vectors = windowed.take(pieces.text[batch], vectors)
            yield Encoded(
                rows=rows,
                vectors=vectors,
                n_tokens=pieces.n_tokens[rows],
                truncated=pieces.truncated[rows],
                n_unknown=pieces.n_unknown[rows],
            )

    def plan(self, pieces: Pieces, among: Among | None) -> list[NDArray[np.int64]]:
        """Plan batches of pieces; `among` others, if they are known and no text is windowed."""
        if among is None or len(pieces.lengths) != len(among.rows):
            return self.run.plan(pieces.lengths, self.batch_tokens)
        lengths = np.minimum(among.n_tokens, self.max_tokens).astype(np.int64)
        lengths[among.rows] = pieces.lengths
        return plan_remaining(self.run.plan, lengths, among.rows, self.batch_tokens)

    def attempt(self, pieces: Pieces, batch: NDArray[np.int64]) -> Landing | None:
        """Start a batch; None when memory does not suffice (the error goes, with its frames)."""
        try:
            return self.land(batch, self.run(pieces, batch))
        except torch.OutOfMemoryError:
            return None
        except RuntimeError as error:
            if "can't allocate memory" in str(error) or "not enough memory" in str(error):
                return None
            raise

    def land(self, batch: NDArray[np.int64], vectors: Tensor) -> Landing:
        """Send vectors to the host without waiting for them."""
        if self.device.type != "cuda":
            return Landing(batch, vectors.cpu(), None)
        host = torch.empty(vectors.shape, dtype=vectors.dtype, pin_memory=True)
        host.copy_(vectors, non_blocking=True)
        ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
        ready.record()
        return Landing(batch, host, ready)

    def halve(self, pieces: Pieces, batch: NDArray[np.int64], texts: Sequence[str]) -> int:
        """Return half of the batch's cost as the new budget. Raises InputError at one text."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        cost = self.run.cost(pieces.lengths[batch])
        if len(batch) == 1:
            text = texts[pieces.text[batch[0]]]
            raise InputError(
                f"{self.folder.name}: one text of {cost} tokens does not fit into memory"
                f" ({text[:60]!r}…). Lower max_tokens, or use a device with more memory."
            )
        say(f"out of memory: batch halved from {cost:,} to {cost // 2:,} tokens")
        return cost // 2

    def finite(
        self,
        vectors: NDArray[np.float32],
        pieces: Pieces,
        batch: NDArray[np.int64],
        texts: Sequence[str],
    ) -> NDArray[np.float32]:
        """Compute vectors with NaN or Inf again in float32. Raises InputError if they stay."""
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad) and self.precision != "float32":
            say(f"{len(bad)} texts: NaN or Inf in {self.precision}, computed again in float32")
            if self.in_float32 is None:
                self.in_float32 = self.load("float32")
            vectors[bad] = self.in_float32(pieces, batch[bad]).cpu().numpy()
            bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            text = texts[pieces.text[batch[bad[0]]]]
            raise InputError(
                f"{self.folder.name}: vectors hold NaN or Inf for {len(bad)} of {len(batch)} texts"
                f" of a batch, first at row {pieces.text[batch[bad[0]]]} ({text[:60]!r})."
                " The weights are damaged, or the model can't take this text."
            )
        return vectors


class _Windows:
    """Holds the windows of long texts until the last one is there, then gives their mean."""

    def __init__(self, n_pieces: NDArray[np.int64], dims: int) -> None:
        self.n_pieces = n_pieces
        self.sums: dict[int, NDArray[np.float64]] = {}
        self.missing: dict[int, int] = {}
        self.dims = dims

    def take(
        self, rows: NDArray[np.int64], vectors: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the texts (and vectors) that this batch finishes."""
        whole = self.n_pieces[rows] == 1
        if whole.all():
            return rows, vectors
        done, means = [], []
        for row, vector in zip(rows[~whole].tolist(), vectors[~whole], strict=True):
            total = self.sums.setdefault(row, np.zeros(self.dims))
            total += vector
            self.missing[row] = self.missing.get(row, int(self.n_pieces[row])) - 1
            if not self.missing[row]:
                done.append(row)
                means.append((self.sums.pop(row) / self.n_pieces[row]).astype(np.float32))
        return (
            np.concatenate([rows[whole], np.array(done, dtype=np.int64)]),
            np.concatenate([vectors[whole], np.array(means).reshape(-1, self.dims)]).astype(
                np.float32
            ),
        )
