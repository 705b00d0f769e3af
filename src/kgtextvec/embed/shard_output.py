"""The vectors of a shard as they come in: on disk, or in memory for Python."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from kgtextvec.embed.store import Part
from kgtextvec.encoders import Encoded
from kgtextvec.files import need_space, whole_file


def shard_on_disk(path: Path, n_texts: int, dims: int) -> "np.memmap[Any, np.dtype[np.float32]]":
    """Make an .npy file of (n_texts, dims) float32, its space reserved; returns it memory-mapped.

    Raises InputError when the disk has not enough space.
    """
    need_space({path: n_texts * dims * 4})
    vectors = open_memmap(path, mode="w+", dtype=np.float32, shape=(n_texts, dims))
    if hasattr(os, "posix_fallocate"):  # else a disk that fills up later kills by SIGBUS
        with path.open("rb+") as file, suppress_unsupported():
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return vectors


class ShardOutput:
    """The shard's vectors as they come in, and what is known of each text."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        """Take the (n_texts, dims) array to fill: `shard_on_disk`, or one in memory."""
        self.vectors = vectors
        n_texts = len(vectors)
        self.n_tokens = np.zeros(n_texts, dtype=np.int32)
        self.n_unknown = np.zeros(n_texts, dtype=np.int32)
        self.truncated = np.zeros(n_texts, dtype=np.bool_)
        self.missing = np.ones(n_texts, dtype=np.bool_)

    def put(
        self, rows: NDArray[np.int64], found: Part | Encoded, vectors: NDArray[np.float32]
    ) -> None:
        """Put vectors and what is known of their texts into those rows."""
        self.vectors[rows] = vectors
        self.n_tokens[rows] = found.n_tokens
        self.n_unknown[rows] = found.n_unknown
        self.truncated[rows] = found.truncated
        self.missing[rows] = False

    def close(self) -> None:
        """Flush the vectors and let go of them; every row must have come in."""
        if self.missing.any():
            raise RuntimeError(f"{int(self.missing.sum())} texts came back without a vector")
        if isinstance(self.vectors, np.memmap):
            self.vectors.flush()
        del self.vectors

    def write_tokens(self, path: Path) -> None:
        """Write what is known of each text's tokens, in the shard's order."""
        with whole_file(path) as part:
            pq.write_table(
                pa.table(
                    {
                        "n_tokens": self.n_tokens,
                        "truncated": self.truncated,
                        "n_unknown": self.n_unknown,
                    }
                ),
                part,
                write_page_checksum=True,
            )


@contextmanager
def suppress_unsupported() -> Iterator[None]:
    """Let a file system that can't reserve space do without."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise
