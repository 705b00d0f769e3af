"""Locks between processes: on a file or a folder, or on whichever of several files is free.

The kernel holds a lock for a process and drops it when the process ends, even by kill -9, so a
lock file never has to be cleaned up. Lock files hold no data that a result depends on.
"""

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from kgtextvec.progress import say

POLL_SECONDS = 0.5
REMIND_SECONDS = 600.0
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@dataclass(frozen=True)
class HeldLock:
    """A lock that this process holds.

    `which` is the index of its file among those asked for, `waited` whether all were locked at
    first. `handle` is the file's descriptor, None if the file system has no locks.
    """

    which: int
    waited: bool
    handle: int | None


def raise_lock_error(error: OSError) -> NoReturn:
    """Raise the error of a file that cannot be locked."""
    raise error


def allow_no_locks(error: OSError) -> None:
    """Accept a file system that has no locks; raise any other error."""
    if error.errno not in NO_LOCKS:
        raise error


def run_without_lock(path: Path, error: OSError) -> None:
    """Log that a path cannot be locked, for work that is done all the same."""
    say(f"{path}: cannot be locked ({error.strerror}), continuing without a lock")


@contextmanager
def hold_lock(
    openers: Sequence[Callable[[], int]],
    on_busy: Callable[[], str],
    on_error: Callable[[OSError], None] = raise_lock_error,
    poll_seconds: float = POLL_SECONDS,
) -> Iterator[HeldLock]:
    """Lock the first free one of several files until the block ends; wait while none is free.

    Each of `openers` opens its file and returns a new descriptor. While all files are locked, the
    message that `on_busy` returns is logged, at first and then every ten minutes; `on_busy` may
    raise instead, to give up. `on_error` gets the OSError of a file that cannot be locked, as on
    a network file system without locks; if it returns, the block runs without a lock.
    """
    held = wait_for_lock(openers, on_busy, on_error, poll_seconds)
    try:
        yield held
    finally:
        if held.handle is not None:
            os.close(held.handle)


def wait_for_lock(
    openers: Sequence[Callable[[], int]],
    on_busy: Callable[[], str],
    on_error: Callable[[OSError], None],
    poll_seconds: float,
) -> HeldLock:
    """Return the lock that `hold_lock` holds; its handle is open."""
    from filelock import lock_descriptor  # takes 25 ms, which only those who lock should pay

    start, reminders = time.monotonic(), 0
    while True:
        for which, open_file in enumerate(openers):
            handle = open_file()
            locked = False
            try:
                locked = lock_descriptor(handle, blocking=False)
            except OSError as error:
                on_error(error)
                return HeldLock(which, reminders > 0, None)
            finally:
                if not locked:
                    os.close(handle)
            if locked:
                return HeldLock(which, reminders > 0, handle)
        if time.monotonic() - start >= reminders * REMIND_SECONDS:
            say(on_busy())
            reminders += 1
        time.sleep(poll_seconds)


def open_to_lock(path: Path) -> int:
    """Open a file (made if absent) or a folder to lock it; returns the descriptor."""
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    return os.open(path, flags | os.O_CLOEXEC, 0o666)


def open_shared_to_lock(path: Path) -> int:
    """Open a lock file that all users of the machine share, never through a symbolic link.

    Made if absent, for everyone to read and write; opened for reading. Returns the descriptor.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            pass
        try:
            # O_EXCL: Linux refuses a plain O_CREAT on others' files in folders such as /tmp.
            made = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            continue
        os.fchmod(made, 0o666)  # whatever the umask is, other users must be able to lock it
        return made


def is_unlocked(path: Path) -> bool:
    """Return whether a file exists that no process has locked."""
    from filelock import lock_descriptor

    try:
        with path.open("rb") as file:
            return lock_descriptor(file.fileno(), blocking=False)
    except OSError:
        return False
