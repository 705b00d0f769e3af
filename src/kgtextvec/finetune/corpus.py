"""Text for a language model: the vocabulary, sentences as numbers, and the streams of windows.

The streams are those of bilm-tf's training: `rows` sentences are read side by side, each row takes
the next sentence when its own ends, and a window may hold the end of one and the start of another.
Every sentence is put between `<S>` and `</S>`; the backward stream reads it from its end.
"""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.encoders.elmo.splitting import split_all
from kgtextvec.errors import InputError

BEGIN, END = "<S>", "</S>"
UNKNOWN = "<UNK>"
SKIPPED = "!!!MAXTERMID"  # a mark that some vocabulary files hold; bilm-tf passes over it
HELD_OUT_SENTENCES = 1000
ROWS_OF_MARKS = 1000  # of a large vocabulary, in which <S>, </S> and <UNK> are
SPLIT_AT_ONCE = 4096  # sentences
WORDS_TO_JUDGE = 8  # too few words may be in alphabetical order by chance

WordIds = NDArray[np.int32]


@dataclass(frozen=True)
class Vocabulary:
    """The words that the softmax knows; word i is row i. `unknown` stands for all others."""

    ids: dict[str, int]
    size: int

    def number(self, word: str) -> int:
        """Return the word's row."""
        return self.ids.get(word, self.ids[UNKNOWN])


def read_softmax_words(path: Path, size: int) -> Vocabulary:
    """Read a word list, one a line, most frequent first, as bilm-tf reads it.

    Raises InputError when it isn't one, or hasn't `size` words, the rows of the softmax.
    """
    ids: dict[str, int] = {}
    count = 0
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                word = line.strip()
                if word != SKIPPED:
                    ids[word] = count
                    count += 1
    except FileNotFoundError:
        raise InputError(f"{path}: no such vocabulary file. Check its path.") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: the vocabulary is not UTF-8 ({error.reason}). Save it as UTF-8."
        ) from None
    for word in (BEGIN, END, UNKNOWN):
        if word not in ids:
            raise InputError(
                f"{path}: {word} is not in the vocabulary. Give the word list that the checkpoint"
                " was trained with."
            )
    if count != size:
        raise InputError(
            f"{path}: {count:,} words, but the checkpoint's softmax has {size:,} rows. Give the"
            " word list that the checkpoint was trained with."
        )
    check_order(path, ids)
    return Vocabulary(ids, count)


def check_order(path: Path, ids: dict[str, int]) -> None:
    """Raise InputError if a word list can't be in the order of a softmax: by frequency.

    Row i of the softmax is word i, and samples are drawn from the top. Of any text `<S>`, `</S>`
    and `<UNK>` are among the most frequent words, and no text has its words by the alphabet.
    """
    last = max((BEGIN, END, UNKNOWN), key=ids.__getitem__)
    wrong = ""
    if ids[last] >= max(min(ROWS_OF_MARKS, len(ids) // 2), 3):
        wrong = f"{last} is word {ids[last] + 1:,} of {len(ids):,}, but should be one of the first"
    words = [word for word in ids if word not in (BEGIN, END, UNKNOWN)]
    if len(words) >= WORDS_TO_JUDGE and words in (sorted(words), sorted(words, key=str.lower)):
        wrong = "its words are in alphabetical order, not the most frequent first"
    if wrong:
        raise InputError(
            f"{path}: {wrong}. The order counts, since word i has row i of the softmax. Give the"
            " word list that the checkpoint was trained with."
        )


@dataclass(frozen=True)
class Corpus:
    """Sentences over distinct words.

    `words` (n_words,) number the distinct words, 0 is `<S>` and 1 `</S>`; sentence i is
    words[spans[i, 0] : spans[i, 1]], without boundaries. `ids` (n_distinct,) are the words' rows
    in the vocabulary, `chars` (n_distinct, C) their character numbers as the network takes them.
    """

    words: WordIds
    spans: NDArray[np.int64]
    ids: WordIds
    chars: NDArray[np.int16]

    @property
    def predictions(self) -> int:
        """Words that a direction predicts in one pass: all of them, and one end a sentence."""
        return int((self.spans[:, 1] - self.spans[:, 0]).sum()) + len(self.spans)

    def unknown(self, vocabulary: Vocabulary) -> float:
        """Return the share of running words that the vocabulary doesn't hold."""
        if not len(self.words):
            return 0.0
        return float((self.ids[self.words] == vocabulary.ids[UNKNOWN]).mean())

    def part(self, sentences: NDArray[np.int64]) -> "Corpus":
        """Return the corpus of these sentences; nothing is copied."""
        return Corpus(self.words, self.spans[sentences], self.ids, self.chars)

    def sentence(self, number: int, backward: bool) -> WordIds:
        """Return a sentence in reading order, boundaries included."""
        start, end = self.spans[number]
        words = self.words[start:end]
        inner = words[::-1] if backward else words
        return np.concatenate([[backward], inner, [not backward]], dtype=np.int32)


def read_corpus(
    sentences: Iterable[str], tokens: str, vocabulary: Vocabulary, characters: int
) -> Corpus:
    """Split sentences into words by the rule `tokens` and number them."""
    from kgtextvec.encoders.elmo.tokenizer import character_ids

    distinct = {BEGIN: 0, END: 1}
    words, ends = array("i"), array("q", [0])
    coming = iter(sentences)
    while some := list(islice(coming, SPLIT_AT_ONCE)):
        split = split_all(some, tokens)
        numbers = [distinct.setdefault(word, len(distinct)) for word in split.distinct]
        words.frombytes(np.array(numbers, dtype=np.int32)[split.numbers].tobytes())
        ends.extend((ends[-1] + np.cumsum(split.n_words)).tolist())
    bounds = np.array(ends, dtype=np.int64)
    return Corpus(
        words=np.array(words, dtype=np.int32),
        spans=np.stack([bounds[:-1], bounds[1:]], 1),
        ids=np.array([vocabulary.number(word) for word in distinct], dtype=np.int32),
        chars=character_ids(list(distinct), characters).astype(np.int16),
    )


def read_sentences(text: Path) -> Iterator[str]:
    """Yield the sentences of a text file, one a line, or of a table's shards (a folder).

    Raises InputError when there is no such text, or when it isn't UTF-8.
    """
    if text.is_dir():
        yield from read_shards(text)
        return
    number = 0
    try:
        with text.open(encoding="utf-8") as lines:
            for line in lines:
                number += 1
                yield line
    except FileNotFoundError:
        raise InputError(f"{text}: no such text. Check its path.") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{text}: not UTF-8 after line {number} ({error.reason}). Save it as UTF-8."
        ) from None


def read_shards(folder: Path) -> Iterator[str]:
    """Yield the distinct texts of a table, as read-texts distributed them over shards."""
    from kgtextvec.text_shards import shards_of_texts

    for shard in shards_of_texts(folder):
        yield from shard["text"].to_pylist()


def hold_out(corpus: Corpus, share: float, seed: int) -> tuple[Corpus, Corpus]:
    """Split the sentences into (training, held out) at random, the same for the same seed.

    `share` of the sentences is held out, at least one and at most HELD_OUT_SENTENCES.
    """
    count = len(corpus.spans)
    n_held = min(max(1, round(share * count)), HELD_OUT_SENTENCES)
    order = np.random.default_rng([seed, 0]).permutation(count)
    return corpus.part(np.sort(order[n_held:])), corpus.part(np.sort(order[:n_held]))


class Stream:
    """One direction's rows of running text, in windows; it can be put back to where it was.

    With a seed the sentences of each pass come in an order of their own, drawn from (seed, pass,
    direction); without one they come in the corpus's order.
    """

    def __init__(
        self,
        corpus: Corpus,
        rows: int,
        backward: bool,
        seed: int | None = None,
        endless: bool = True,
    ) -> None:
        self.corpus, self.backward, self.seed, self.endless = corpus, backward, seed, endless
        self.turn, self.taken = 0, 0
        self.order = self.draw()
        self.places: list[tuple[int, int]] = [(-1, 0)] * rows  # sentence, words of it read
        self.held: list[WordIds] = [np.zeros(0, dtype=np.int32)] * rows

    def draw(self) -> NDArray[np.int64]:
        """Return this pass's order of the sentences."""
        count = len(self.corpus.spans)
        if self.seed is None:
            return np.arange(count)
        chance = np.random.default_rng([self.seed, 1, self.turn, int(self.backward)])
        return chance.permutation(count)

    def position(self) -> dict[str, Any]:
        """Return the stream's position, JSON-able."""
        return {"turn": self.turn, "taken": self.taken, "places": self.places}

    def go_to(self, position: dict[str, Any]) -> None:
        """Continue from `position`."""
        self.turn, self.taken = position["turn"], position["taken"]
        self.order = self.draw()
        self.places = [(sentence, read) for sentence, read in position["places"]]
        self.held = [self.rest(sentence, read) for sentence, read in self.places]

    def rest(self, sentence: int, read: int) -> WordIds:
        """Return what is left of a sentence."""
        if sentence < 0:
            return np.zeros(0, dtype=np.int32)
        return self.corpus.sentence(sentence, self.backward)[read:]

    def take_sentence(self, row: int) -> bool:
        """Give a row the next sentence; say whether there was one."""
        if self.taken == len(self.order):
            if not self.endless:
                return False
            self.turn, self.taken = self.turn + 1, 0
            self.order = self.draw()
        sentence = int(self.order[self.taken])
        self.taken += 1
        self.places[row] = (sentence, 0)
        self.held[row] = self.rest(sentence, 0)
        return True

    def window(self, steps: int) -> tuple[WordIds, WordIds] | None:
        """Return the next words and those that follow them, (rows, steps) each; None at the end.

        What doesn't fill a window at the end is left out, as bilm-tf does.
        """
        shape = (len(self.held), steps)
        words, following = np.empty(shape, np.int32), np.empty(shape, np.int32)
        for row in range(len(self.held)):
            at = 0
            while at < steps:
                if len(self.held[row]) <= 1 and not self.take_sentence(row):
                    return None
                held = self.held[row]
                n = min(len(held) - 1, steps - at)
                words[row, at : at + n] = held[:n]
                following[row, at : at + n] = held[1 : n + 1]
                self.held[row] = held[n:]
                sentence, read = self.places[row]
                self.places[row] = (sentence, read + n)
                at += n
        return words, following
