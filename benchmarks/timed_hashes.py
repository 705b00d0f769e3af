"""Run a verb with its digests timed, or left out: `python -m benchmarks.timed_hashes MODE VERB …`.

Prints one line of JSON at the end: wall and CPU seconds of the verb without the imports before it,
and the CPU seconds of digests (`timed`; of the threads that compute them, reading included where a
file is read for its digest alone), those of the main thread apart too: the others overlap with the
work where a second core is free. `left out` skips what is hashed in pieces of 64 KB or more, and
takes all digests for equal.
"""

import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import xxhash

LARGE = 1 << 16
seconds: list[float] = []
in_main_thread: list[float] = []
state = threading.local()


class EqualText(str):
    """A digest that equals any other."""

    __slots__ = ()

    def __ne__(self, other: object) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


def timed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose CPU seconds are counted, once where such functions call others."""

    def counted(*values: Any, **named: Any) -> Any:
        if getattr(state, "inside", False):
            return function(*values, **named)
        state.inside, start = True, time.thread_time()
        try:
            return function(*values, **named)
        finally:
            state.inside = False
            took = time.thread_time() - start
            seconds.append(took)
            if threading.current_thread() is threading.main_thread():
                in_main_thread.append(took)

    return counted


class Hash:
    """A hash of hashlib or xxhash, timed or left out."""

    def __init__(self, real: Any, skip: bool) -> None:
        self.real, self.skip = real, skip

    @timed
    def update(self, data: Any) -> None:
        """Take bytes."""
        if not (self.skip and len(memoryview(data)) >= LARGE):
            self.real.update(data)

    def digest(self) -> bytes:
        """Return the digest."""
        found: bytes = self.real.digest()
        return found

    def hexdigest(self) -> str:
        """Return the digest as text."""
        found: str = self.real.hexdigest()
        return EqualText(found) if self.skip else found


def hash_of(real: Callable[..., Any], skip: bool, *data: Any, **named: Any) -> Hash:
    """Begin a hash, perhaps with data; the keys of texts, which are short, aren't counted."""
    large = data and len(memoryview(data[0])) >= LARGE
    return Hash((timed(real) if large else real)(*data, **named), skip)


def replace_hashes(skip: bool) -> None:
    """Put our hashes where kgtextvec, imported after this, looks for them."""
    for module, name in ((hashlib, "sha256"), (xxhash, "xxh3_128")):
        real = getattr(module, name)
        setattr(module, name, partial(hash_of, real, skip))
    of_file = hashlib.file_digest
    if skip:
        hashlib.file_digest = lambda handle, name: Hash(hashlib.new(name), skip)
    else:
        hashlib.file_digest = timed(of_file)
    from kgtextvec import checksums, digests

    checksums.feed_file = (lambda path, running: None) if skip else timed(checksums.feed_file)
    digests.checked_text_keys = timed(digests.checked_text_keys)
    digests.TableDigest.add = timed(digests.TableDigest.add)


def run(mode: str, words: list[str]) -> int:
    """Run a verb; print what it took."""
    replace_hashes(skip=mode == "left out")
    from kgtextvec.__main__ import main

    seconds.clear()
    in_main_thread.clear()
    wall, cpu = time.perf_counter(), time.process_time()
    code = main(words)
    about = {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "digests": sum(seconds),
        "in_main_thread": sum(in_main_thread),
    }
    print(json.dumps(about))
    return code


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:]))
