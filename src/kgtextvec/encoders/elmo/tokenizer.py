"""ELMo's tokenizer: texts to words, words to the numbers of their bytes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BatchEncoding, PreTrainedTokenizer

from kgtextvec.encoders.elmo.words import TOKENS, split_words

BEGIN_TEXT, END_TEXT, BEGIN_WORD, END_WORD, PAD = 256, 257, 258, 259, 260
BOUNDARIES = {"<S>": BEGIN_TEXT, "</S>": END_TEXT}


def character_ids(words: Sequence[str], max_characters: int = 50) -> NDArray[np.int64]:
    """Spell words as `max_characters` numbers each: UTF-8 bytes between two marks, plus one.

    Returns (n_words, max_characters). Zero never appears, since it stands for "no word here".
    Bytes over the maximum are cut, even inside a character; what UTF-8 can't write (a lone
    surrogate) is left out.
    """
    spelled = [word.encode("utf-8", "ignore")[: max_characters - 2] for word in words]
    marks = [(i, BOUNDARIES[word]) for i, word in enumerate(words) if word in BOUNDARIES]
    for i, _ in marks:
        spelled[i] = b"?"
    lengths = np.fromiter(map(len, spelled), dtype=np.int64, count=len(words))
    ids = np.full((len(words), max_characters), PAD + 1, dtype=np.int64)
    ids[:, 0] = BEGIN_WORD + 1
    rows = np.arange(len(words))
    ids[rows, lengths + 1] = END_WORD + 1
    places = 1 + np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    flat = np.frombuffer(b"".join(spelled), dtype=np.uint8)
    ids[np.repeat(rows, lengths), places] = flat.astype(np.int64) + 1
    for i, mark in marks:
        ids[i, 1] = mark + 1
    return ids


class ElmoTokenizer(PreTrainedTokenizer):  # type: ignore[misc]
    """Splits texts into words and words into character numbers; it needs no vocabulary file.

    `tokens` is the rule for texts given as strings (see `words.split_words`).
    """

    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 (transformers' form)
    vocab_files_names: dict[str, str] = {}  # noqa: RUF012

    def __init__(
        self, max_characters: int = 50, tokens: str = "treebank_hyphen", **kwargs: Any
    ) -> None:
        if tokens not in TOKENS:
            raise ValueError(f"tokens is {tokens!r}, must be one of {TOKENS}")
        self.max_characters, self.tokens = max_characters, tokens
        super().__init__(max_characters=max_characters, tokens=tokens, **kwargs)

    @property
    def vocab_size(self) -> int:
        """Number of distinct character numbers, 0 (no word) included."""
        return PAD + 2

    def get_vocab(self) -> dict[str, int]:
        """Name every character number: bytes as <0x41>, then the five marks."""
        names = [f"<0x{byte:02X}>" for byte in range(256)]
        names += ["<S>", "</S>", "<word>", "</word>", "<pad>"]
        return {"<none>": 0, **{name: i + 1 for i, name in enumerate(names)}}

    def _tokenize(self, text: str, **kwargs: Any) -> list[str]:
        return split_words(text, self.tokens)

    def tokenize(self, text: str, **kwargs: Any) -> list[str]:
        """Split a text into words."""
        return self._tokenize(text)

    def __call__(
        self,
        text: str | Sequence[str] | Sequence[Sequence[str]],
        *,
        is_split_into_words: bool = False,
        return_tensors: str | None = None,
        padding: bool | str = True,
        **kwargs: Any,
    ) -> BatchEncoding:
        """Turn texts into a padded batch: input_ids (B, T, C) and attention_mask (B, T).

        `text` is one text, a list of texts, or a list of word lists; with `is_split_into_words`
        a list of strings is one text's words. Padding words are C zeros. Raises ValueError on
        options it doesn't know, such as truncation: nothing is cut here.
        """
        if kwargs:
            raise ValueError(f"ElmoTokenizer doesn't know {', '.join(kwargs)}")
        if isinstance(text, str):
            texts: Sequence[str | Sequence[str]] = [text]
        elif is_split_into_words and all(isinstance(word, str) for word in text):
            texts = [text]  # type: ignore[list-item]
        else:
            texts = text
        words = [self._tokenize(one) if isinstance(one, str) else list(one) for one in texts]
        ids = [character_ids(one, self.max_characters).tolist() for one in words]
        mask = [[1] * len(one) for one in words]
        if padding or return_tensors:
            longest = max(map(len, words), default=0)
            nothing = [0] * self.max_characters
            ids = [one + [nothing] * (longest - len(one)) for one in ids]
            mask = [one + [0] * (longest - len(one)) for one in mask]
        batch = BatchEncoding({"input_ids": ids, "attention_mask": mask})
        if return_tensors == "pt":
            shape = (len(words), max(map(len, words), default=0))
            batch["input_ids"] = torch.tensor(ids, dtype=torch.long).view(
                *shape, self.max_characters
            )
            batch["attention_mask"] = torch.tensor(mask, dtype=torch.long).view(*shape)
        elif return_tensors:
            raise ValueError(f"return_tensors is {return_tensors!r}, must be 'pt'")
        return batch

    def save_vocabulary(
        self, save_directory: str, filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write nothing: the characters are bytes."""
        return ()
