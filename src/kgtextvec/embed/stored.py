"""From the encoder into the store: finished texts in parts, written while the next are computed."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kgtextvec.embed.store import Part, Store
from kgtextvec.encoders import Encoded
from kgtextvec.errors import InputError, Stopped
from kgtextvec.progress import Progress
from kgtextvec.signals import asked_to_stop

PART_BYTES = 32 << 20


def stored(
    encoded: Iterator[Encoded], keys: NDArray[np.uint8], store: Store, seconds: float
) -> Iterator[Encoded]:
    """Pass finished texts on, and put them into the store a part at a time.

    After SIGTERM the part in hand is stored and Stopped is raised.
    """
    with (
        asked_to_stop() as stop,
        Progress("embed", len(keys)) as progress,
        ThreadPoolExecutor(1, "store") as thread,
    ):
        hand = Hand(keys, store, thread)
        try:
            for one in encoded:
                hand.add(one)
                progress.add(len(one.rows), tokens=int(one.n_tokens.sum()))
                yield one
                if hand.n_bytes >= PART_BYTES or time.monotonic() - hand.since >= seconds:
                    hand.store()
                if stop:
                    raise Stopped(
                        f"{progress.done:,} of {progress.total:,} texts are in the store;"
                        " resume by rerunning the same command"
                    )
        except (InputError, Stopped):  # what was finished before is not lost
            hand.store()
            hand.wait()
            raise
        hand.store()
        hand.wait()


class Hand:
    """Finished texts that are not in the store yet: at most a part in hand and one on its way."""

    def __init__(self, keys: NDArray[np.uint8], store: Store, thread: ThreadPoolExecutor) -> None:
        self.keys, self.to, self.thread = keys, store, thread
        self.on_its_way: Future[Path] | None = None
        self.take_anew()

    def take_anew(self) -> None:
        """Begin a new part."""
        self.held: list[Encoded] = []
        self.since = time.monotonic()
        self.n_bytes = 0

    def add(self, one: Encoded) -> None:
        """Take some finished texts in hand."""
        self.held.append(one)
        self.n_bytes += one.vectors.nbytes

    def store(self) -> None:
        """Send what is in hand on its way, once the part before has arrived."""
        held = self.held
        self.take_anew()
        if held:
            self.wait()
            self.on_its_way = self.thread.submit(self.write, held)

    def write(self, held: list[Encoded]) -> Path:
        """Put finished texts into the store."""
        rows = np.concatenate([one.rows for one in held])
        return self.to.write(
            Part(
                keys=self.keys[rows],
                vectors=np.concatenate([one.vectors for one in held]),
                n_tokens=np.concatenate([one.n_tokens for one in held]),
                truncated=np.concatenate([one.truncated for one in held]),
                n_unknown=np.concatenate([one.n_unknown for one in held]),
            )
        )

    def wait(self) -> None:
        """Wait for the part on its way. Raises InputError when the disk is full."""
        going, self.on_its_way = self.on_its_way, None
        if going:
            going.result()
