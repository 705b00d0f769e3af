"""What baselines find, kept for the other spaces of a table, in the folder of the vector store.

What a baseline finds depends on texts and on what is asked of them, not on a model, and takes more
time than a space's own score. So the first job that needs it computes it, the others take it. Jobs
that run at the same time share the work: each computes what no other one is at. Where a file system
has no locks, two jobs compute the same.

A file per result, named by the digest of all that the result depends on: the xxh3_128 of what
follows, then safetensors. It is written completely or not at all; a damaged one is computed
again.
"""

import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128

from kgtextvec.files import as_input_error, digest_of, parse_json, whole_file
from kgtextvec.locks import allow_no_locks, hold_lock, is_unlocked, open_to_lock
from kgtextvec.progress import say

FOLDER = "baselines"  # in the store
UNUSED_SECONDS = 30 * 24 * 3600.0  # after which `store prune` drops a result
LEFT_SECONDS = 24 * 3600.0
COMPUTING = "computing"
DIGEST_BYTES = 16
ABOUT = "about"  # the array of a file that holds the notes and the order of the others, as JSON

FoundArrays = Mapping[str, NDArray[Any]]


class ElsewhereError(Exception):
    """Another job computes this result."""


@dataclass(frozen=True)
class KeptResult:
    """What was found by a method, and notes on how."""

    arrays: FoundArrays
    notes: list[str]


class KeptResults:
    """The results in a folder. `computed` and `taken` count those of this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.computed = self.taken = 0

    def find_all(
        self, about: Mapping[str, Any], compute: Callable[[str], KeptResult]
    ) -> dict[str, KeptResult]:
        """Return what is found by each method, from the folder or computed, and keep it.

        `about`: by method, in a JSON-able form, all that its result depends on. Where the folder
        can't be written, results are taken from it, and what was computed isn't kept.
        """
        names = {method: digest_of(one) for method, one in about.items()}
        found: dict[str, KeptResult] = {}
        pending, wait = list(names), False
        while pending:
            busy = []
            for method in pending:
                try:
                    found[method] = self.find_one(names[method], method, compute, wait)
                    wait = False
                except ElsewhereError:
                    busy.append(method)
            wait = len(busy) == len(pending)  # nothing else is left to do
            pending = busy
        return {method: found[method] for method in about}

    def find_one(
        self, name: str, method: str, compute: Callable[[str], KeptResult], wait: bool
    ) -> KeptResult:
        """Return a result. Raises ElsewhereError when another job computes it, unless `wait`."""
        found = self.read(name)
        if found is None and not self.is_writable:
            self.computed += 1
            return compute(method)
        if found is None:
            with self.locked(name, method, wait):
                found = self.read(name)  # another job may have written it in between
                if found is None:
                    found = compute(method)
                    self.write(name, found)
                    self.computed += 1
                    return found
        self.taken += 1
        return found

    @cached_property
    def is_writable(self) -> bool:
        """Whether results can be kept; where not, as in somebody else's store, says so once."""
        locks = self.folder / COMPUTING
        try:
            locks.mkdir(parents=True, exist_ok=True)
            if not all(os.access(folder, os.W_OK) for folder in (self.folder, locks)):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            say(f"{self.folder}: {error.strerror}: what baselines find is not kept there")
            return False
        return True

    def path_of(self, name: str) -> Path:
        """Return the file of a result."""
        return self.folder / f"{name}.found"

    def read(self, name: str) -> KeptResult | None:
        """Read a result; None if there is none. Says which file is damaged, and gives None."""
        path = self.path_of(name)
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise as_input_error(error, path) from error
        intact = is_intact(data)
        if not intact:
            say(f"WARNING: {path}: damaged; computed again.")
        with suppress(OSError):  # other users' files may not be changed
            path.touch() if intact else path.unlink()  # `store prune` knows by it what is in use
        if not intact:
            return None
        from safetensors.numpy import load

        arrays = load(data[DIGEST_BYTES:])
        about = parse_json(arrays.pop(ABOUT).tobytes())
        return KeptResult({one: arrays[one] for one in about["order"]}, about["notes"])

    def write(self, name: str, found: KeptResult) -> None:
        """Keep a result. Raises InputError when the disk is full."""
        from safetensors.numpy import save

        about = json.dumps({"order": list(found.arrays), "notes": found.notes})
        data = save({**found.arrays, ABOUT: np.frombuffer(about.encode(), np.uint8)})
        with whole_file(self.path_of(name)) as part, part.open("wb") as file:
            file.write(xxh3_128(data).digest())
            file.write(data)

    @contextmanager
    def locked(self, name: str, method: str, wait: bool) -> Iterator[None]:
        """Hold the lock of a result. Raises ElsewhereError when another job does, unless `wait`."""
        path = self.folder / COMPUTING / f"{name}.lock"

        def when_busy() -> str:
            if not wait:
                raise ElsewhereError
            return f"{method}: another job computes it: waiting for its end"

        with hold_lock([partial(open_to_lock, path)], when_busy, allow_no_locks):
            yield

    def paths(self) -> list[Path]:
        """Return the files of all results, in the order of their names."""
        return sorted(self.folder.glob("*.found"))

    def damaged(self) -> Iterator[Path]:
        """Yield the files whose bytes are not as they were written."""
        for path in self.paths():
            with suppress(FileNotFoundError):
                if not is_intact(path.read_bytes()):
                    yield path

    def unused(self) -> Iterator[Path]:
        """Yield results not used for UNUSED_SECONDS, locks that no job holds, leftovers of jobs."""
        yield from (path for path in self.paths() if age_of(path) > UNUSED_SECONDS)
        yield from (path for path in self.folder.glob(f"{COMPUTING}/*.lock") if is_unlocked(path))
        yield from old_leftovers(self.folder)


def is_intact(data: bytes) -> bool:
    """Return whether a file's bytes are as they were written."""
    return xxh3_128(data[DIGEST_BYTES:]).digest() == data[:DIGEST_BYTES]


def age_of(path: Path) -> float:
    """Return the seconds since a file was written or used."""
    return time.time() - path.stat().st_mtime


def old_leftovers(folder: Path) -> Iterator[Path]:
    """Yield temporary files that a killed job has left: others are renamed within minutes."""
    return (path for path in folder.glob(".*.part") if age_of(path) > LEFT_SECONDS)
