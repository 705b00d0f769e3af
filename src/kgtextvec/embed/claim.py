"""One job at a time on the same texts: the next waits, then finds them in the store.

Two jobs can be given one shard: a Slurm job goes on after its Snakemake was killed, and the rerun
submits another; two working directories share a store. Both would be right, but one in vain. The
lock is the kernel's and ends with its holder. Nothing depends on it: on a file system whose locks
don't reach other machines, or that has none, the work is done twice.
"""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kgtextvec.files import as_input_error
from kgtextvec.progress import say

FOLDER = "embedding"
POLL_SECONDS = 0.5
REMIND_SECONDS = 600.0
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def claimed(folder: Path, name: str) -> Iterator[bool]:
    """Hold the claim `name` in a store's folder; yields whether another job had it before.

    Raises InputError when the folder can't be written.
    """
    path = folder / FOLDER / f"{name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise as_input_error(error, path) from error
    try:
        yield wait_for(lock)
    finally:
        os.close(lock)


def wait_for(lock: int) -> bool:
    """Take the lock, after whoever has it; returns whether that meant to wait."""
    waited, reminded = 0.0, -REMIND_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waited - reminded >= REMIND_SECONDS:
                holder = os.pread(lock, 200, 0).decode(errors="replace").strip()
                say(
                    f"{holder or 'another job'} embeds the same texts: waiting for its end, then"
                    " the store has them"
                )
                reminded = waited
        except OSError as error:
            if error.errno in NO_LOCKS:
                return False
            raise
        else:
            job = os.environ.get("SLURM_JOB_ID")
            about = f"process {os.getpid()} on {socket.gethostname()}"
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{about}{f', Slurm job {job},' if job else ''}\n".encode(), 0)
            return waited > 0
        time.sleep(POLL_SECONDS)
        waited += POLL_SECONDS


def is_free(path: Path) -> bool:
    """Return whether no job holds the claim of that lock file."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
