"""The quick checksum of a matrix of vectors, which every step compares while it reads them.

A million vectors are 4 GB, and their sha256 would be a sixth of what projecting them costs. So
records hold two digests of them: the sha256, which says which vectors they are, and the xxh3_128,
which finds damage at the speed of memory. What reads a matrix computes the second; where a record
is from an earlier version and has only the first, that one.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from xxhash import xxh3_128

from kgtextvec.files import refuse_other_digest

# So that what is read stays in the processor's cache while it is hashed.
CHUNK_BYTES = 1 << 18


class TakesBytes(Protocol):
    """What is given a file's bytes piece by piece."""

    def update(self, data: memoryview | bytes, /) -> None:
        """Take the next bytes."""


class RunningHash(TakesBytes, Protocol):
    """A hash, such as those of hashlib and xxhash."""

    def hexdigest(self) -> str:
        """Return the digest of the bytes so far."""


def feed_file(path: Path, running: TakesBytes) -> None:
    """Give a hash all bytes of a file."""
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            running.update(buffer[:size])


def xxh3_of(path: Path) -> str:
    """Return the xxh3_128 of a file's bytes as 32 hex digits."""
    running = xxh3_128()
    feed_file(path, running)
    return running.hexdigest()


SHA256, XXH3 = "sha256", "xxh3_128"
ALGORITHMS: dict[str, Callable[[], RunningHash]] = {SHA256: hashlib.sha256, XXH3: xxh3_128}


class HashedFile:
    """An open file that is written from its first byte to its last, hashed in a thread meanwhile.

    The thread is at most one piece behind: a piece must not change before the next one was
    written, or a digest was asked for. `digests`: which ones to compute, perhaps none.
    """

    def __init__(self, file: IO[bytes], digests: Sequence[str] = (SHA256, XXH3)) -> None:
        self.file = file
        self._hashes = {name: ALGORITHMS[name]() for name in digests}
        self._thread = ThreadPoolExecutor(1, "checksum")
        self._behind: Future[None] | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Write bytes, and have them hashed."""
        self._catch_up()
        if self._hashes:
            self._behind = self._thread.submit(self._hash, data)
        return self.file.write(data)

    @property
    def is_hashed(self) -> bool:
        """Whether what was written last may be read once more, by the thread that hashes."""
        return bool(self._hashes)

    @property
    def sha256(self) -> str:
        """The sha256 of the bytes written so far, as hex."""
        self._catch_up()
        return self._hashes[SHA256].hexdigest()

    @property
    def xxh3(self) -> str:
        """The xxh3_128 of the bytes written so far, as hex."""
        self._catch_up()
        return self._hashes[XXH3].hexdigest()

    def _hash(self, data: bytes | memoryview) -> None:
        for one in self._hashes.values():
            one.update(data)

    def _catch_up(self) -> None:
        if self._behind is not None:
            self._behind.result()
            self._behind = None


class VectorsCheck:
    """Compares a file of vectors with what a record says of it: give it the bytes as you read them.

    `sha256` and `quick`, the xxh3_128, are those in the record; None where it has none.
    """

    def __init__(self, path: Path, sha256: str | None, quick: str | None) -> None:
        self.path, self.sha256, self.quick = path, sha256, quick
        self.hash: RunningHash = hashlib.sha256() if quick is None else xxh3_128()
        self.is_equal = False  # found by `compare`

    @property
    def is_recorded(self) -> bool:
        """Whether there is a digest to compare with."""
        return self.sha256 is not None or self.quick is not None

    def update(self, data: memoryview | bytes) -> None:
        """Take the file's next bytes."""
        self.hash.update(data)

    def read_file(self) -> None:
        """Take all bytes of the file."""
        feed_file(self.path, self.hash)

    def compare(self) -> str:
        """Return the sha256 of the vectors. Raises InputError if the bytes aren't those recorded.

        Where the quick checksum was compared, the sha256 is the one in the record.
        """
        computed = self.hash.hexdigest()
        if self.quick is None:
            refuse_other_digest(self.path, self.sha256, computed)
        else:
            refuse_other_digest(self.path, self.quick, computed, "xxh3_128")
        self.is_equal = True
        return self.sha256 or computed


@contextmanager
def compared_meanwhile(checks: Sequence[VectorsCheck]) -> Iterator[None]:
    """Read and hash files in a thread of its own meanwhile, and compare them at the end.

    Reading and hashing overlap with the work, which need not read the files in order. Raises
    InputError when a file isn't the recorded one: write what is made of them under a temporary
    name (`whole_file`) around this.
    """
    recorded = [check for check in checks if check.is_recorded]
    if not recorded:
        yield
        return
    with ThreadPoolExecutor(1, "checksum") as thread:
        hashed = [thread.submit(check.read_file) for check in recorded]
        try:
            yield
        except BaseException:
            thread.shutdown(cancel_futures=True)
            raise
        for check, done in zip(recorded, hashed, strict=True):
            done.result()
            check.compare()
