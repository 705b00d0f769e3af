"""Requests to stop (SIGTERM, Ctrl-C): a job ends in one line, at once or with its work stored."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from kgtextvec.errors import Stopped

STOPPING = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C raise Stopped in this block, wherever the process is.

    Only in the main thread, and only where nobody else handles the signal.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        for each in ours:  # the next one ends the process at once
            signal.signal(each, signal.SIG_DFL)
        raise Stopped("run the same command again to resume", number)

    before = {number: signal.getsignal(number) for number in STOPPING}
    ours = [
        number
        for number in STOPPING
        if threading.current_thread() is threading.main_thread()
        and before[number] in (signal.SIG_DFL, signal.default_int_handler)
    ]
    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])


@contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """Give a list that SIGTERM and Ctrl-C fill, for a job that stores its work before it stops.

    A second one of them stops the job at once.
    """
    signals: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return

    def note(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in signals:
            raise Stopped("run the same command again to resume", number)
        signals.append(number)

    before = {
        number: signal.signal(number, note)
        for number in STOPPING
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
