"""Words without context: each distinct one goes through the character CNN once."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kgtextvec.encoders.elmo.model import ElmoModel

AT_ONCE = {"cpu": 256, "cuda": 16384}  # words through the character CNN
KEPT_WORDS = {"cpu": 1 << 17, "cuda": 1 << 16}
CNN_BYTES = 1 << 28  # the largest convolution's output
BYTES_OF_FLOAT = 4


@dataclass(frozen=True)
class NewWords:
    """The `rows` (n_words,) of some words in the table, and the `words` to compute for them first.

    `replace_all`: all words of before are forgotten, as they would be too many.
    """

    rows: NDArray[np.int64]
    words: list[str]
    replace_all: bool


class KnownWords:
    """The vectors of the words that were met: `vectors` (n_words, P) float32 on the device.

    Words are numbered first, which may be done ahead, and computed in the same order.
    """

    def __init__(self, model: ElmoModel, device: torch.device) -> None:
        kind = device.type if device.type in AT_ONCE else "cuda"
        self.at_once, self.kept = AT_ONCE[kind], KEPT_WORDS[kind]
        self.model, self.known = model, dict[str, int]()
        config = model.config
        widest = max(number for _, number in config.filters or [])
        self.places = CNN_BYTES // (widest * BYTES_OF_FLOAT)
        self.vectors = torch.empty(0, config.projection_size, device=device)

    def number(self, distinct: list[str]) -> NewWords:
        """Give distinct words their rows in `vectors`, where they are once they are computed."""
        new = [word for word in distinct if word not in self.known]
        replace_all = len(self.known) + len(new) > self.kept
        if replace_all:
            self.known, new = {}, list(distinct)
        # Words of about one length go together, as short ones need fewer positions.
        new.sort(key=len)
        self.known.update(zip(new, range(len(self.known), len(self.known) + len(new)), strict=True))
        rows = np.fromiter(
            map(self.known.__getitem__, distinct), dtype=np.int64, count=len(distinct)
        )
        return NewWords(rows, new, replace_all)

    def compute(self, new: NewWords) -> None:
        """Add the vectors of new words; with `replace_all`, rows of earlier calls hold no more."""
        parts = [self.vectors[:0] if new.replace_all else self.vectors]
        words, start = new.words, 0
        while start < len(words):
            end = min(start + self.at_once, len(words))
            end = max(min(end, start + self.places // len(words[end - 1])), start + 1)
            parts.append(self.model.embed_words(words[start:end]))
            start = end
        self.vectors = torch.cat(parts)

    def forget(self) -> None:
        """Forget all words, so that none has a number without a vector."""
        self.known, self.vectors = {}, self.vectors[:0]
