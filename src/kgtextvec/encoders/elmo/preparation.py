"""What the host does for a block of texts before the device can run it, ahead in threads.

A block is split into words, its words are numbered, and the steps of both directions are planned.
Numbers follow the order of the blocks, so a block waits for its turn there; the rest runs side by
side with other blocks, and with the device.
"""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event
from typing import Self

import numpy as np

from kgtextvec.encoders.elmo.known_words import KnownWords, NewWords
from kgtextvec.encoders.elmo.splitting import SplitTexts, split_all
from kgtextvec.encoders.elmo.trie import Ints, StepPlan, build_trie, plan_steps
from kgtextvec.encoders.memory import BatchRows

NOW = Event()
NOW.set()


@dataclass(frozen=True)
class Block:
    """Texts that are ready to run: `plans` are the steps of the two directions."""

    rows: BatchRows
    split: SplitTexts
    new: NewWords
    plans: tuple[StepPlan, StepPlan]


@dataclass(frozen=True)
class Coming:
    """A block that a thread prepares; `numbered` is set once its words have their numbers."""

    rows: BatchRows
    block: Future[Block]
    numbered: Event


class Preparation:
    """Prepares blocks of `texts`, up to `ahead` of them in addition to the one that is asked for.

    `widths`: the least and the most nodes of a step. As a context, it ends its threads.
    """

    def __init__(
        self,
        texts: Sequence[str],
        tokens: str,
        table: KnownWords,
        widths: tuple[int, int],
        ahead: int,
    ) -> None:
        self.texts, self.tokens, self.table = texts, tokens, table
        self.widths, self.ahead = widths, ahead
        self.coming: deque[Coming] = deque()
        self.pool = ThreadPoolExecutor(ahead + 1) if ahead else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        ahead = bool(self.coming)
        self.stop()
        if kind is not None or ahead:
            self.table.forget()

    def start_again(self) -> None:
        """Go on after a block that could not be run; from now on each is prepared when asked for.

        Words have numbers whose vectors were not computed, so all are forgotten.
        """
        self.stop()
        self.table.forget()

    def expect(self, stack: Sequence[BatchRows]) -> None:
        """Begin to prepare the next blocks of a stack, whose last one comes first."""
        while self.pool and len(self.coming) < min(self.ahead + 1, len(stack)):
            rows = stack[-1 - len(self.coming)]
            before = self.coming[-1].numbered if self.coming else NOW
            numbered = Event()
            block = self.pool.submit(self.prepare, rows, before, numbered)
            self.coming.append(Coming(rows, block, numbered))

    def take(self, rows: BatchRows) -> Block:
        """Return a block, prepared here unless it was expected next."""
        if self.coming and self.coming[0].rows is rows:
            return self.coming.popleft().block.result()
        if self.coming:
            self.start_again()
        return self.prepare(rows, NOW, Event())

    def stop(self) -> None:
        """End the threads and drop what they have prepared."""
        for one in self.coming:
            one.block.cancel()
        if self.pool is not None:
            wait([one.block for one in self.coming])
            self.pool.shutdown()
            self.pool = None
        self.coming.clear()

    def prepare(self, rows: BatchRows, before: Event, numbered: Event) -> Block:
        """Prepare a block; its words are numbered after `before`."""
        try:
            split = split_all([self.texts[row] for row in rows.tolist()], self.tokens)
            before.wait()
            new = self.table.number(split.distinct)
        finally:
            before.wait()
            numbered.set()
        words = new.rows[split.numbers]
        offsets = np.concatenate([[0], np.cumsum(split.n_words)])
        forward, backward = (
            plan_direction(words, offsets, turned, self.widths) for turned in (False, True)
        )
        return Block(rows, split, new, (forward, backward))


def plan_direction(words: Ints, offsets: Ints, backward: bool, widths: tuple[int, int]) -> StepPlan:
    """Plan the steps of one direction: wide where many texts are short."""
    trie = build_trie(words, offsets, backward)
    depth = len(trie.levels) - 1
    narrow, wide = widths
    width = int(np.clip(len(trie.word) // (16 * max(depth, 1)) * 16 + 16, narrow, wide))
    return plan_steps(trie, width)
