"""Words without context: each distinct one goes through the character CNN once."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from kgtextvec.encoders.elmo.model import ElmoModel

AT_ONCE = {"cpu": 256, "cuda": 16384}  # words through the character CNN
KEPT_WORDS = {"cpu": 1 << 17, "cuda": 1 << 16}
CNN_BYTES = 1 << 28  # the largest convolution's output
BYTES_OF_FLOAT = 4


class KnownWords:
    """The vectors of the words that were met: `vectors` (n_words, P) float32 on the device."""

    def __init__(self, model: ElmoModel, device: torch.device) -> None:
        kind = device.type if device.type in AT_ONCE else "cuda"
        self.at_once, self.kept = AT_ONCE[kind], KEPT_WORDS[kind]
        self.model, self.known = model, dict[str, int]()
        config = model.config
        widest = max(number for _, number in config.filters or [])
        self.places = CNN_BYTES // (widest * BYTES_OF_FLOAT)
        self.vectors = torch.empty(0, config.projection_size, device=device)

    def rows(self, words: Sequence[str]) -> NDArray[np.int64]:
        """Return the rows (n_words,) in `vectors` of all words; new words are computed first.

        Rows of earlier calls may no longer hold: words are forgotten when they are too many.
        """
        distinct = dict.fromkeys(words)
        new = [word for word in distinct if word not in self.known]
        if len(self.known) + len(new) > self.kept:
            self.known, self.vectors = {}, self.vectors[:0]
            new = list(distinct)
        # Words of about one length go together, as short ones need fewer positions.
        new.sort(key=len)
        parts = [self.vectors]
        start = 0
        while start < len(new):
            end = min(start + self.at_once, len(new))
            end = max(min(end, start + self.places // len(new[end - 1])), start + 1)
            parts.append(self.model.embed_words(new[start:end]))
            start = end
        self.vectors = torch.cat(parts)
        self.known.update(zip(new, range(len(self.known), len(self.known) + len(new)), strict=True))
        found = map(self.known.__getitem__, words)
        return np.fromiter(found, dtype=np.int64, count=len(words))
