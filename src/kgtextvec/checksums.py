"""The digest that says which vectors a file holds: its xxh3_128, computed at the speed of memory.

Every step compares it while it reads vectors, and records it of what it writes in their size. It
finds damage, and isn't meant to detect forgery. Earlier versions recorded the sha256, which takes
more than ten times as long: of their spaces it says which vectors they are, as it did then, so that
what was made of them stays up to date.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from xxhash import xxh3_128

from kgtextvec.files import refuse_other_digest, sha256_of

SHA256, XXH3 = "sha256", "xxh3_128"
# Under which keys records have digests of vectors. Those of the sha256 are of earlier versions.
VECTOR_KEYS = {"vectors_digest": SHA256, "vectors_sha256": SHA256, "vectors_xxh3": XXH3}
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


FILE_DIGESTS: dict[str, Callable[[Path], str]] = {SHA256: sha256_of, XXH3: xxh3_of}


def vector_digests(record: Mapping[str, object]) -> dict[str, str]:
    """Return the digests of vectors that a record has, by their keys."""
    return {key: str(record[key]) for key in VECTOR_KEYS if record.get(key) is not None}


def vectors_id(record: Mapping[str, object]) -> str | None:
    """Return the digest that says which vectors a record is of, None if it has none.

    The xxh3_128 (32 hex digits); in a record of an earlier version the sha256 (64).
    """
    return next(iter(vector_digests(record).values()), None)


def recorded_digests(entries: Iterable[object]) -> list[tuple[str, str, str]]:
    """Return (file, algorithm, digest) of the entries of a manifest that describe a file."""
    return [
        (one["file"], algorithm, one[algorithm])
        for one in entries
        for algorithm in FILE_DIGESTS
        if isinstance(one, dict) and algorithm in one
    ]


class HashedFile:
    """An open file that is written from its first byte to its last, and hashed meanwhile.

    Piece by piece, so that each is in the processor's cache when it is written: a thread of its own
    would cost a step that computes on all cores more than the hash does. `is_hashed`: whether to
    compute the digest at all.
    """

    def __init__(self, file: IO[bytes], is_hashed: bool = True) -> None:
        self.file, self.is_hashed = file, is_hashed
        self._hash = xxh3_128()

    def write(self, data: bytes | memoryview) -> int:
        """Write and hash bytes."""
        if not self.is_hashed:
            return self.file.write(data)
        view = memoryview(data)
        for start in range(0, len(view), CHUNK_BYTES):
            piece = view[start : start + CHUNK_BYTES]
            self._hash.update(piece)
            self.file.write(piece)
        return len(view)

    @property
    def xxh3(self) -> str:
        """The xxh3_128 of the bytes written so far, as hex."""
        return self._hash.hexdigest()


class VectorsCheck:
    """Compares a file of vectors with what a record says of it: give it the bytes as you read them.

    By the xxh3_128; by the sha256 where the record, of an earlier version, has nothing else.
    """

    def __init__(self, path: Path, record: Mapping[str, object]) -> None:
        self.path, self.known = path, vectors_id(record)
        quick = vector_digests(record).get("vectors_xxh3")
        self.recorded, self.algorithm = quick or self.known, XXH3
        self.hash: RunningHash = xxh3_128()
        if self.known and not quick:
            self.hash, self.algorithm = hashlib.sha256(), SHA256
        self.is_equal = False  # found by `compare`

    @property
    def is_recorded(self) -> bool:
        """Whether there is a digest to compare with."""
        return self.recorded is not None

    def update(self, data: memoryview | bytes) -> None:
        """Take the file's next bytes."""
        self.hash.update(data)

    def read_file(self) -> None:
        """Take all bytes of the file."""
        feed_file(self.path, self.hash)

    def compare(self) -> str:
        """Return the digest that says which vectors these are: `vectors_id` of the record.

        The computed one where the record has none. Raises InputError if the bytes aren't those
        recorded.
        """
        computed = self.hash.hexdigest()
        refuse_other_digest(self.path, self.recorded, computed, self.algorithm)
        self.is_equal = True
        return self.known or computed


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
