"""One job at a time on the same texts: the next one waits, then finds them in the store.

Two jobs can be given one shard: a Slurm job goes on after its Snakemake was killed, and the rerun
submits another; two working directories share a store. Both would be right, but one in vain.
Nothing depends on the lock: on a file system whose locks don't reach other machines, or that has
none, the work is done twice.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kgtextvec.files import as_input_error
from kgtextvec.locks import allow_no_locks, hold_lock, open_to_lock

SHARD_LOCKS = "embedding"


@contextmanager
def lock_shard(folder: Path, name: str) -> Iterator[bool]:
    """Hold the lock `name` in a store's folder; yields whether another job held it before.

    Raises InputError when the folder can't be written.
    """
    path = folder / SHARD_LOCKS / f"{name}.lock"

    def open_file() -> int:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return open_to_lock(path)
        except OSError as error:
            raise as_input_error(error, path) from error

    def who_waits() -> str:
        return (
            f"{holder_of(path)} embeds the same texts: waiting for its end, then the store has them"
        )

    with hold_lock([open_file], who_waits, allow_no_locks) as lock:
        if lock.handle is not None:
            write_holder(lock.handle)
        yield lock.waited


def holder_of(path: Path) -> str:
    """Return what the holder of a lock file wrote about itself."""
    try:
        return path.read_text(errors="replace").strip() or "another job"
    except OSError:
        return "another job"


def write_holder(handle: int) -> None:
    """Write to an open lock file which process holds it."""
    job = os.environ.get("SLURM_JOB_ID")
    about = f"process {os.getpid()} on {socket.gethostname()}"
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{about}{f', Slurm job {job},' if job else ''}\n".encode(), 0)
