"""Finished texts go to the store in parts, written while the next texts are computed."""

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


def store_as_finished(
    encoded: Iterator[Encoded], keys: NDArray[np.uint8], store: Store, seconds: float
) -> Iterator[Encoded]:
    """Yield finished texts again, and write them to the store a part at a time.

    A part is written when it is large, or after that many seconds. After SIGTERM the collected
    part is written and Stopped is raised.
    """
    with (
        asked_to_stop() as stop,
        Progress("embed", len(keys)) as progress,
        ThreadPoolExecutor(1, "store") as thread,
    ):
        writer = StoreWriter(keys, store, thread)
        try:
            for one in encoded:
                writer.add(one)
                progress.add(len(one.rows), tokens=int(one.n_tokens.sum()))
                yield one
                if writer.n_bytes >= PART_BYTES or time.monotonic() - writer.since >= seconds:
                    writer.flush()
                if stop:
                    raise Stopped(
                        f"{progress.done:,} of {progress.total:,} texts are in the store;"
                        " resume by rerunning the same command",
                        stop[0],
                    )
        except (InputError, Stopped):  # what was finished before is not lost
            writer.flush()
            writer.wait()
            raise
        writer.flush()
        writer.wait()


class StoreWriter:
    """Finished texts that are not stored yet: at most one part collected, one being written."""

    def __init__(self, keys: NDArray[np.uint8], store: Store, thread: ThreadPoolExecutor) -> None:
        self.keys, self.store, self.thread = keys, store, thread
        self.being_written: Future[Path] | None = None
        self.start_part()

    def start_part(self) -> None:
        """Start a new part."""
        self.held: list[Encoded] = []
        self.since = time.monotonic()
        self.n_bytes = 0

    def add(self, one: Encoded) -> None:
        """Add some finished texts to the part."""
        self.held.append(one)
        self.n_bytes += one.vectors.nbytes

    def flush(self) -> None:
        """Let the thread write the part, once the part before is written."""
        held = self.held
        self.start_part()
        if held:
            self.wait()
            self.being_written = self.thread.submit(self.write, held)

    def write(self, held: list[Encoded]) -> Path:
        """Write finished texts to the store."""
        rows = np.concatenate([one.rows for one in held])
        return self.store.write(
            Part(
                keys=self.keys[rows],
                vectors=np.concatenate([one.vectors for one in held]),
                n_tokens=np.concatenate([one.n_tokens for one in held]),
                truncated=np.concatenate([one.truncated for one in held]),
                n_unknown=np.concatenate([one.n_unknown for one in held]),
            )
        )

    def wait(self) -> None:
        """Wait for the part that is being written. Raises InputError when the disk is full."""
        future, self.being_written = self.being_written, None
        if future:
            future.result()
