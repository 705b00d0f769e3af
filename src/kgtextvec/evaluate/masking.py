"""Names in texts, found word for word and replaced."""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

WORD_IN_TEXT = re.compile(r"[^\W_]+")
NAME_MASK = "something"  # for a name: in the vocabulary of every model, and grammatical
SHORTEST_NAME = 3  # characters: shorter ones are in too many texts by chance

Words = tuple[str, ...]
Spans = list[tuple[int, int]]


def words_of(text: str) -> Words:
    """Return the words of a text in lower case: runs of letters and digits."""
    return tuple(found.group().casefold() for found in WORD_IN_TEXT.finditer(text))


def distinct_names(names: Iterable[str | None]) -> set[Words]:
    """Return the names that can be looked for, as words."""
    found = {words_of(name) for name in names if name}
    return {words for words in found if len(" ".join(words)) >= SHORTEST_NAME}


def find_names(words: Sequence[str], names: Iterable[Words]) -> Spans:
    """Return where names are among the words of a text: (first, end), ascending, apart.

    From left to right; of names that begin at one word, the longest.
    """
    by_first: dict[str, list[Words]] = {}
    for name in sorted(names, key=len, reverse=True):
        by_first.setdefault(name[0], []).append(name)
    spans, at = [], 0
    while at < len(words):
        here = by_first.get(words[at], ())
        end = next(
            (at + len(name) for name in here if tuple(words[at : at + len(name)]) == name), 0
        )
        if end:
            spans.append((at, end))
        at = end or at + 1
    return spans


def draw_spans(n_words: int, taken: Spans, rng: np.random.Generator) -> Spans:
    """Draw as many spans of the same lengths among the other words, as far as there is room."""
    free: NDArray[np.bool_] = np.ones(n_words, bool)
    for first, end in taken:
        free[first:end] = False
    drawn = []
    for length in sorted((end - first for first, end in taken), reverse=True):
        if length > n_words:
            continue
        starts = np.flatnonzero(np.convolve(free, np.ones(length, np.int64), "valid") == length)
        if len(starts):
            first = int(rng.choice(starts))
            free[first : first + length] = False
            drawn.append((first, first + length))
    return sorted(drawn)


def replace_spans(text: str, spans: Spans) -> str:
    """Return a text with NAME_MASK in place of spans of its words; all else stays as it is."""
    found = list(WORD_IN_TEXT.finditer(text))
    parts, done = [], 0
    for first, end in spans:
        parts += [text[done : found[first].start()], NAME_MASK]
        done = found[end - 1].end()
    return "".join([*parts, text[done:]])
