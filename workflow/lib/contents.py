"""The bytes of small files that params depend on, wherever Snakemake keeps them.

A file in a storage (S3, a scratch disk's origin) may have no local copy when the plan is made, or
an old one, so it is read from the storage itself, once per version.
"""

import copy
import hashlib
import time
from functools import cache
from pathlib import Path
from typing import Any

from kgtextvec.files import scratch_folder

# How long a storage's answer on a file's version is used. No job that changes one is as short.
SECONDS = 1.0
ASKED: dict[str, tuple[float, tuple[float, int]]] = {}


def contents_of(path: Any) -> bytes:
    """Return the bytes of an input or output, read once per version."""
    if getattr(path, "is_storage", False):
        return stored_bytes(StoredFile(path.storage_object))
    return local_bytes(str(path), Path(str(path)).stat().st_mtime_ns)


@cache
def local_bytes(path: str, mtime: int) -> bytes:
    """Return the bytes of a file on this machine."""
    return Path(path).read_bytes()


class StoredFile:
    """A file in a storage, equal to another one if name, time and size are the same."""

    def __init__(self, stored: Any) -> None:
        self.stored = stored
        name, now = str(stored.query), time.monotonic()
        asked, version = ASKED.get(name, (-SECONDS, (0.0, 0)))
        if now - asked > SECONDS:
            version = (stored.mtime(), stored.size())
            ASKED[name] = (now, version)
        self.version = (name, *version)

    def __hash__(self) -> int:
        return hash(self.version)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredFile) and self.version == other.version


@cache
def stored_bytes(file: StoredFile) -> bytes:
    """Return the bytes of a file in a storage; Snakemake's own local copy is left alone."""
    with scratch_folder("stored") as folder:
        target = folder / "file"
        twin = copy.copy(file.stored)
        twin.local_path = lambda: target
        twin.retrieve_object()
        return target.read_bytes()


@cache
def short_sha256(data: bytes) -> str:
    """Return 16 hex digits of the sha256, computed once per content."""
    return hashlib.sha256(data).hexdigest()[:16]
