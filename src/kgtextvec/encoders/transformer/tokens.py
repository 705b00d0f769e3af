"""Texts to token ids, in bulk: flat ids and offsets; special tokens are added here.

A fast tokenizer's `encode_batch_fast` runs on all cores and leaves out what we don't need. The
special tokens around a text are found from samples at load, so that cutting and windowing need no
second pass through the tokenizer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.batches import cut_windows
from kgtextvec.encoders.pretrained import LOCAL_ONLY
from kgtextvec.errors import InputError

TOKENIZED_TEXTS = 4096
SAMPLE_TEXTS = ("TP53", "acute lymphoblastic leukemia", "α-synuclein 1,25(OH)2D3", "a")


@dataclass(frozen=True)
class Pieces:
    """Token ids of the model's inputs; a text is one piece, or several under `window`.

    `ids` (sum of lengths,) int32; `offsets` (n_pieces + 1,) int64; `text` (n_pieces,) int64: the
    text that a piece belongs to, ascending; `n_tokens`, `n_unknown` (n_texts,) int32 and
    `truncated` (n_texts,) bool as in `Encoded`.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    text: NDArray[np.int64]
    n_tokens: NDArray[np.int32]
    n_unknown: NDArray[np.int32]
    truncated: NDArray[np.bool_]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens per piece, (n_pieces,)."""
        return np.diff(self.offsets)


class Tokenizer:
    """A model's tokenizer, with control tokens in a text kept as plain text or not.

    `special_tokens`: `literal` tokenizes a `</s>` in a text as plain characters;
    `control` lets it through as the control token, as BioMedGPS's script does.
    """

    def __init__(self, folder: Path, special_tokens: str, lower_case: bool | None) -> None:
        from transformers import AutoTokenizer

        options: dict[str, Any] = {} if lower_case is None else {"do_lower_case": lower_case}
        # A folder of ours, checked by its digests: there is no revision to pin.
        self.tokenizer = AutoTokenizer.from_pretrained(  # nosec B615
            str(folder), **LOCAL_ONLY, **options
        )
        self.literal = special_tokens == "literal"
        self.backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if self.backend is not None:
            self.backend.no_truncation()
            self.backend.no_padding()
            self.backend.encode_special_tokens = self.literal
        self.unknown = self.tokenizer.unk_token_id
        self.pad = self.tokenizer.pad_token_id or 0
        self.prefix, self.suffix = self.find_special()

    def find_special(self) -> tuple[list[int], list[int]]:
        """Find the ids put before and after every text. Raises InputError if there is no rule."""
        found = set()
        plain, special = (self.ids(SAMPLE_TEXTS, with_special) for with_special in (False, True))
        for bare, full in zip(plain, special, strict=True):
            start = next(
                (i for i in range(len(full)) if full[i : i + len(bare)] == bare), len(full)
            )
            found.add((tuple(full[:start]), tuple(full[start + len(bare) :])))
        if len(found) != 1:
            raise InputError(
                f"{self.tokenizer.name_or_path}: its tokenizer does not put the same special"
                " tokens around every text; this model is not supported."
            )
        prefix, suffix = found.pop()
        return list(prefix), list(suffix)

    def ids(self, texts: Sequence[str], with_special: bool) -> list[list[int]]:
        """Token ids of each text, uncut."""
        if self.backend is not None:
            encodings = self.backend.encode_batch_fast(list(texts), add_special_tokens=with_special)
            return [encoding.ids for encoding in encodings]
        encoded = self.tokenizer(
            list(texts),
            add_special_tokens=with_special,
            split_special_tokens=self.literal,
            truncation=False,
            verbose=False,
        )
        return list(encoded["input_ids"])

    def pieces(self, texts: Sequence[str], max_tokens: int, long_text: str) -> Pieces:
        """Tokenize; a text over `max_tokens` is cut (`truncate`) or windowed (`window`)."""
        room = max_tokens - len(self.prefix) - len(self.suffix)
        if room < 1:
            raise InputError(
                f"max_tokens: {max_tokens} leaves no room for text besides"
                f" {len(self.prefix) + len(self.suffix)} special tokens. Raise it."
            )
        starts = range(0, max(len(texts), 1), TOKENIZED_TEXTS)
        chunks = [
            self.chunk(texts[start : start + TOKENIZED_TEXTS], start, room, long_text == "window")
            for start in starts
        ]
        ids, lengths, owners, n_tokens, n_unknown, truncated = (
            np.concatenate(parts) for parts in zip(*chunks, strict=True)
        )
        return Pieces(
            ids=ids,
            offsets=np.concatenate([[0], np.cumsum(lengths)]),
            text=owners,
            n_tokens=n_tokens,
            n_unknown=n_unknown,
            truncated=truncated,
        )

    def chunk(
        self, texts: Sequence[str], first: int, room: int, windowed: bool
    ) -> tuple[NDArray[Any], ...]:
        """Tokenize some texts at once, those from text `first` on; no text is looked at alone.

        Returns ids, lengths and texts of the pieces, then n_tokens, n_unknown and truncated.
        """
        bodies = self.ids(texts, with_special=False)
        sizes = np.fromiter(map(len, bodies), np.int64, len(bodies))
        flat = np.fromiter(chain.from_iterable(bodies), np.int32, int(sizes.sum()))
        begins = np.cumsum(sizes) - sizes
        owners, starts, kept = np.arange(len(bodies)), begins, np.minimum(sizes, room)
        long = sizes > room
        if windowed and long.any():
            cuts = [cut_windows(size, room) for size in sizes.tolist()]
            owners = np.repeat(owners, [len(windows) for windows in cuts])
            edges = np.array(list(chain.from_iterable(cuts)), dtype=np.int64)
            starts, kept = begins[owners] + edges[:, 0], edges[:, 1] - edges[:, 0]
        before, around = len(self.prefix), len(self.prefix) + len(self.suffix)
        lengths = kept + around
        ends = np.cumsum(lengths)
        ids = np.empty(int(lengths.sum()), dtype=np.int32)
        within = np.arange(int(kept.sum())) - np.repeat(np.cumsum(kept) - kept, kept)
        ids[within + np.repeat(ends - lengths + before, kept)] = flat[
            within + np.repeat(starts, kept)
        ]
        ids[(ends - lengths)[:, None] + np.arange(before)] = self.prefix
        ids[(ends - len(self.suffix))[:, None] + np.arange(len(self.suffix))] = self.suffix
        unknown = np.concatenate([[0], np.cumsum(flat == self.unknown)])
        return (
            ids,
            lengths,
            owners + first,
            (sizes + around).astype(np.int32),
            (unknown[begins + sizes] - unknown[begins]).astype(np.int32),
            long & (not windowed),
        )
