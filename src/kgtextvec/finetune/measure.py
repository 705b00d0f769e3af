"""How surprising a text is to a language model, by bilm-tf's own measure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from kgtextvec.errors import InputError
from kgtextvec.finetune.corpus import Corpus, Stream, WordIds
from kgtextvec.finetune.language_model import SOFTMAX, LanguageModel, Tensors
from kgtextvec.finetune.softmax import measured_losses

JOINED_WINDOWS = 16  # windows of one step that are read at once; changes speed, never the numbers


@dataclass(frozen=True)
class Perplexity:
    """exp of the mean cost of a word: forward, backward, and of both directions' mean cost.

    `words` is the number of words that each direction predicted.
    """

    forward: float
    backward: float
    average: float
    words: int


@torch.no_grad()
def measure(model: LanguageModel, softmax: Tensors, corpus: Corpus, rows: int) -> Perplexity:
    """Measure as bilm-tf's `test` does: `rows` sentences side by side, one word at a time.

    The state is carried from sentence to sentence, nothing drops out, the softmax is the full
    one; when a row finds no further sentence, what the others still hold is left out. So the
    number depends on `rows` a little. Raises InputError when there are too few sentences.
    """
    check_rows(corpus, rows)
    state = model.zero_state(rows)
    weights, bias = (softmax[name] for name in SOFTMAX)
    costs, count = np.zeros(2), 0
    for words, targets in word_blocks(corpus, rows):
        outputs, state = model.read(words, corpus.chars, state)
        count += words[0].size
        for d in range(2):
            expected = torch.from_numpy(corpus.ids[targets[d]].reshape(-1).astype(np.int64))
            flat = outputs[d].reshape(-1, outputs.shape[-1])
            found = measured_losses(flat, weights, bias, expected.to(flat.device))
            costs[d] += float(found.double().sum())
    forward, backward = costs / count
    both = (forward + backward) / 2
    return Perplexity(perplexity_of(forward), perplexity_of(backward), perplexity_of(both), count)


def perplexity_of(cost: float) -> float:
    """Return exp of a mean cost, infinity where it is too large."""
    return math.exp(cost) if cost < 700 else math.inf


def check_rows(corpus: Corpus, rows: int) -> None:
    """Raise InputError unless every row gets a sentence."""
    if not 0 < rows <= len(corpus.spans):
        raise InputError(
            f"finetune, text: too few sentences ({len(corpus.spans):,}) for a batch of {rows}."
            " Give more text, or a smaller batch size."
        )


def word_blocks(corpus: Corpus, rows: int) -> Iterator[tuple[WordIds, WordIds]]:
    """Yield words and the words that follow, (D, rows, T) each, T at most JOINED_WINDOWS.

    Rows take their sentences word by word, as they would in windows of one step.
    """
    streams = [Stream(corpus, rows, backward, endless=False) for backward in (False, True)]
    held: list[list[tuple[WordIds, WordIds]]] = []
    while True:
        windows = [window for stream in streams if (window := stream.window(1)) is not None]
        if len(windows) == 2:
            held.append(windows)
        if held and (len(held) == JOINED_WINDOWS or len(windows) < 2):
            yield joined(held, 0), joined(held, 1)
            held = []
        if len(windows) < 2:
            return


def joined(windows: list[list[tuple[WordIds, WordIds]]], what: int) -> WordIds:
    """Put windows [time][direction] side by side in time: (D, rows, T)."""
    return np.stack([np.concatenate([pair[d][what] for pair in windows], 1) for d in range(2)])
