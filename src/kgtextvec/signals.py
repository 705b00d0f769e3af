"""Requests to stop (SIGTERM, Ctrl-C): a job ends in one line, at once or with its work stored."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from kgtextvec import job_client
from kgtextvec.errors import Stopped

STOPPING = (signal.SIGTERM, signal.SIGINT)
NOBODYS = (signal.SIG_DFL, signal.default_int_handler, job_client.stop)
AGAIN_SECONDS = 0.01
IMPORT_SYSTEM = "<frozen importlib._bootstrap>"  # what the code of its functions is said to be in


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C raise Stopped in this block, wherever the process is.

    Only in the main thread, and only where nobody else handles the signal.
    """
    before = {number: signal.getsignal(number) for number in STOPPING}
    ours = [
        number
        for number in STOPPING
        if threading.current_thread() is threading.main_thread() and before[number] in NOBODYS
    ]

    def stop(number: int, frame: FrameType | None) -> None:
        for each in ours:  # the next one ends the process at once
            signal.signal(each, signal.SIG_DFL)
        raise_stopped(number, frame)

    def repeat(lost: BaseException) -> None:
        number = lost.exit_code - 128 if isinstance(lost, Stopped) else signal.SIGINT
        signal.signal(number, stop)
        send_soon(number)

    for number in ours:
        signal.signal(number, stop)
    unraisable = sys.unraisablehook
    sys.unraisablehook = repeat_lost(Stopped, repeat)
    try:
        yield
    finally:
        sys.unraisablehook = unraisable
        for number in ours:
            signal.signal(number, before[number])


def raise_stopped(number: int, frame: FrameType | None) -> NoReturn:
    """Raise Stopped where a signal came; while a library is imported, end the process in one line.

    The C++ code of a library that imports others ends the process by SIGABRT when they raise, and
    some libraries go on without what they couldn't import.
    """
    while frame is not None:
        if frame.f_code.co_filename == IMPORT_SYSTEM:
            job_client.stop(number, frame)
        frame = frame.f_back
    raise Stopped(job_client.RESUME, number)


def repeat_lost(
    kind: type[BaseException], repeat: Callable[[BaseException], None]
) -> Callable[[Any], None]:
    """Return a sys.unraisablehook that calls `repeat` with a stop that Python drops.

    A signal may come inside a callback whose errors Python only prints, such as that of a lock of
    an import; then it has to be sent again.
    """
    usual = sys.unraisablehook

    def hook(lost: Any) -> None:
        if isinstance(lost.exc_value, kind):
            repeat(lost.exc_value)
        else:
            usual(lost)

    return hook


def send_soon(number: int) -> None:
    """Send a signal to this process when it is out of the callback that it is in."""
    threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number)).start()


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
            raise_stopped(number, frame)
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
