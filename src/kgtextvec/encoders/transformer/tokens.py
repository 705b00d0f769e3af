"""Texts to token ids, in bulk: flat ids and offsets; special tokens are added here.

A fast tokenizer's `encode_batch_fast` runs on all cores and leaves out what we don't need. The
special tokens around a text are found from samples at load, so that cutting and windowing need no
second pass through the tokenizer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.batches import cut_windows
from kgtextvec.encoders.pretrained import LOCAL_ONLY, can_split_special
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

    def ids_of(self, batch: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the ids of some pieces (n_in_batch,) end to end."""
        spans = zip(self.offsets[batch], self.offsets[batch + 1], strict=True)
        return np.concatenate([self.ids[start:end] for start, end in spans])


class Tokenizer:
    """A model's tokenizer, with control tokens in a text kept as plain text or not.

    `special_tokens`: `literal` tokenizes a `</s>` in a text as plain characters;
    `control` lets it through as the control token, as BioMedGPS's script does. `prompt` is put
    before every text, and pooled with it unless `include_prompt` is false; `lower_text` makes
    texts lower-case before the tokenizer's own rules.
    """

    def __init__(
        self,
        folder: Path,
        special_tokens: str,
        lower_case: bool | None,
        prompt: str = "",
        include_prompt: bool = True,
        lower_text: bool = False,
    ) -> None:
        from transformers import AutoTokenizer

        options: dict[str, Any] = {} if lower_case is None else {"do_lower_case": lower_case}
        # A folder of ours, checked by its digests: there is no revision to pin.
        self.tokenizer = AutoTokenizer.from_pretrained(  # nosec B615
            str(folder), **LOCAL_ONLY, **options
        )
        self.backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if self.backend is not None:
            self.backend.no_truncation()
            self.backend.no_padding()
        self.set_literal(special_tokens == "literal")
        self.lower = lower_first(self.backend) if lower_text else None
        self.unknown = self.tokenizer.unk_token_id
        self.pad = self.tokenizer.pad_token_id or 0
        self.prefix, self.suffix = self.find_special()
        self.prompt, self.prompt_ids = prompt, self.ids_of_prompt(prompt)
        # sentence-transformers, too, leaves out nothing where there is no prompt.
        kept = include_prompt or not prompt
        self.unpooled = 0 if kept else len(self.prefix) + len(self.prompt_ids)

    def ids_of_prompt(self, prompt: str) -> list[int]:
        """Return the ids of the prompt alone. Raises InputError if it has control tokens."""
        if not prompt:
            return []
        (found,) = self.ids([prompt], with_special=False)
        if self.literal:
            self.set_literal(False)
            (control,) = self.ids([prompt], with_special=False)
            self.set_literal(True)
            if control != found:
                raise InputError(
                    f"prompt: {prompt!r} has control tokens of the model's, which are read as plain"
                    " text. Leave them out."
                )
        return found

    def set_literal(self, literal: bool) -> None:
        """Read control tokens in texts as plain characters, or as what they are."""
        self.literal = literal
        if self.backend is not None:
            self.backend.encode_special_tokens = literal

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
                " tokens around every text, which is not supported. Take another model."
            )
        prefix, suffix = found.pop()
        return list(prefix), list(suffix)

    def ids(self, texts: Sequence[str], with_special: bool) -> list[list[int]]:
        """Token ids of each text, uncut."""
        if self.lower is not None:
            texts = [self.lower(text) for text in texts]
        if self.backend is not None:
            encodings = self.backend.encode_batch_fast(list(texts), add_special_tokens=with_special)
            return [encoding.ids for encoding in encodings]
        splits = self.literal and can_split_special(self.tokenizer)
        if self.literal and not splits:
            refuse_special(self.tokenizer, texts)
        encoded = self.tokenizer(
            list(texts),
            add_special_tokens=with_special,
            split_special_tokens=splits,
            truncation=False,
            verbose=False,
        )
        return list(encoded["input_ids"])

    def masks(self, lengths: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which places of texts of these lengths are pooled, and which are special ones'.

        Both (n, longest) bool; a text starts at the first column. Places of a prompt that is not
        to be pooled are left out.
        """
        place = np.arange(int(lengths.max()))
        inside = place < lengths[:, None]
        before, after = len(self.prefix), len(self.suffix)
        special = inside & ((place < before) | (place >= lengths[:, None] - after))
        return inside & (place >= self.unpooled), special

    def pieces(self, texts: Sequence[str], max_tokens: int, long_text: str) -> Pieces:
        """Tokenize; a text over `max_tokens` is cut (`truncate`) or windowed (`window`)."""
        around = len(self.prefix) + len(self.suffix)
        room = max_tokens - around
        if room <= len(self.prompt_ids):
            prompt = f" and a prompt of {len(self.prompt_ids)}" if self.prompt_ids else ""
            raise InputError(
                f"max_tokens: {max_tokens} leaves no room for text besides {around} special"
                f" tokens{prompt}. Raise it."
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
        if self.prompt:
            texts = [self.prompt + text for text in texts]
        bodies = self.ids(texts, with_special=False)
        sizes, flat = sizes_and_ids(bodies)
        unknown = np.concatenate([[0], np.cumsum(flat == self.unknown)])
        begins = np.cumsum(sizes) - sizes
        n_unknown = (unknown[begins + sizes] - unknown[begins]).astype(np.int32)
        before, around = len(self.prefix), len(self.prefix) + len(self.suffix)
        n_tokens, long = (sizes + around).astype(np.int32), sizes > room
        owners = np.arange(len(bodies))
        if windowed and long.any():
            windows = [self.windows(body, room) for body in bodies]
            owners = np.repeat(owners, [len(some) for some in windows])
            sizes, flat = sizes_and_ids(list(chain.from_iterable(windows)))
            begins = np.cumsum(sizes) - sizes
        kept = np.minimum(sizes, room)
        lengths = kept + around
        if (lengths <= self.unpooled).any():
            raise self.nothing_to_pool(texts[owners[int(lengths.argmin())]])
        ends = np.cumsum(lengths)
        ids = np.empty(int(lengths.sum()), dtype=np.int32)
        within = np.arange(int(kept.sum())) - np.repeat(np.cumsum(kept) - kept, kept)
        ids[within + np.repeat(ends - lengths + before, kept)] = flat[
            within + np.repeat(begins, kept)
        ]
        ids[(ends - lengths)[:, None] + np.arange(before)] = self.prefix
        ids[(ends - len(self.suffix))[:, None] + np.arange(len(self.suffix))] = self.suffix
        return ids, lengths, owners + first, n_tokens, n_unknown, long & (not windowed)

    def nothing_to_pool(self, text: str) -> InputError:
        """Return the error of a text, its prompt included, that has no token to pool."""
        if not self.unpooled:
            return InputError(
                f"{self.tokenizer.name_or_path}: the text {text!r} has no token, and this model has"
                " no special ones. Leave the text out."
            )
        return InputError(
            f"{self.tokenizer.name_or_path}: no token of the text"
            f" {text.removeprefix(self.prompt)!r} is left to pool. With the prompt {self.prompt!r}"
            f" before it, it has no more tokens than the prompt alone ({len(self.prompt_ids)}), and"
            " the model's files leave the prompt's tokens out (include_prompt: false). Leave the"
            " text out, or set another prompt, such as one that does not end in a space."
        )

    def windows(self, body: list[int], room: int) -> list[list[int]]:
        """Cut a text's ids into windows of at most `room`; each begins with the prompt.

        A prompt's last tokens can differ where a text follows it. Those before the first difference
        are repeated, or as many as are left out of the pooling.
        """
        if len(body) <= room:
            return [body]
        lead = len(self.prompt_ids) if self.unpooled else 0
        while lead < len(self.prompt_ids) and body[lead] == self.prompt_ids[lead]:
            lead += 1
        cuts = cut_windows(len(body) - lead, room - lead)
        return [body[:lead] + body[lead + start : lead + end] for start, end in cuts]


def refuse_special(tokenizer: Any, texts: Sequence[str]) -> None:
    """Raise InputError at a text with a control token that can't be read as plain characters."""
    for text in texts:
        for token in tokenizer.all_special_tokens:
            if token in text:
                raise InputError(
                    f"{tokenizer.name_or_path}: the text {text[:60]!r} has the control token"
                    f" {token}, which this tokenizer can't read as plain text. Take it out."
                )


def sizes_and_ids(bodies: list[list[int]]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return how many ids each list has, (n,), and all ids end to end."""
    sizes = np.fromiter(map(len, bodies), np.int64, len(bodies))
    return sizes, np.fromiter(chain.from_iterable(bodies), np.int32, int(sizes.sum()))


def lower_first(backend: Any) -> Callable[[str], str] | None:
    """Make a tokenizer's backend lower-case texts first, as sentence-transformers does.

    Returns what does it for a tokenizer without a backend, else None.
    """
    from tokenizers.normalizers import Lowercase, Sequence

    if backend is None:
        found: Callable[[str], str] = Lowercase().normalize_str
        return found
    own = backend.normalizer
    if own is None or own.normalize_str("A") != "a":
        backend.normalizer = Sequence([Lowercase(), *([own] if own is not None else [])])
    return None
