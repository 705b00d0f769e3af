"""A wish to stop, noted in place of dying at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """Give a list that a SIGTERM fills, instead of dying at once."""
    signals: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        signals.append(number)

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield signals
    finally:
        signal.signal(signal.SIGTERM, before)
