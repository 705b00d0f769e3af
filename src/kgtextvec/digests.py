"""Digests of what files hold: of texts, and of the columns of a table."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.errors import InputError

TEXT_KEY_BYTES = 32


def digests_of_texts(texts: Iterable[bytes]) -> NDArray[np.uint8]:
    """Return the sha256 of each text's UTF-8 bytes, (n, 32) uint8: the text's key everywhere."""
    digests = b"".join([sha256(text).digest() for text in texts])
    return np.frombuffer(digests, np.uint8).reshape(-1, TEXT_KEY_BYTES)


def checked_text_keys(path: Path, shard: Any) -> NDArray[np.uint8]:
    """Compute the key of each text in a shard (an Arrow table): (n_texts, 32) uint8.

    Raises InputError at the first text whose recorded text_sha256 is another one, and naming the
    file when columns are missing.
    """
    advice = "The file is damaged or was edited: rerun read-texts."
    if not {"text_sha256", "text"} <= set(shard.schema.names):
        raise InputError(f"{path}: has no columns text_sha256 and text. {advice}")
    texts, recorded = (shard[name].cast("binary").to_pylist() for name in ("text", "text_sha256"))
    if None in texts:
        raise InputError(f"{path}: row {texts.index(None)} (counting from 0) is empty. {advice}")
    keys = digests_of_texts(texts)
    spelled = keys.tobytes().hex().encode()
    for row, digest in enumerate(recorded):
        computed = spelled[64 * row : 64 * row + 64]
        if digest != computed:
            raise InputError(
                f"{path}: row {row} (counting from 0): its text has the sha256"
                f" {computed.decode()[:16]}…, text_sha256 says"
                f" {str(digest or b'', 'ascii', 'replace')[:16]!a}. {advice}"
            )
    return keys


class TableDigest:
    """A digest over the content of a table: neither Parquet's version nor blocks' sizes change it.

    Each column is hashed on its own: of strings the lengths and the bytes apart.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.hashes = {name: (sha256(), sha256()) for name in names}

    def add(self, batch: Any) -> None:
        """Add the next rows, an Arrow record batch with these columns."""
        for name, (lengths, data) in self.hashes.items():
            column = batch.column(name)
            if column.type == "string":
                offsets = np.frombuffer(column.buffers()[1], dtype=np.int32)
                offsets = offsets[column.offset : column.offset + len(column) + 1]
                lengths.update(np.diff(offsets).data)
                values = column.buffers()[2]
                data.update(values[int(offsets[0]) : int(offsets[-1])] if values else b"")
            else:
                data.update(np.ascontiguousarray(column.to_numpy(zero_copy_only=False)).data)

    def hexdigest(self) -> str:
        """Return the digest of what was added so far."""
        total = sha256()
        for name, (lengths, data) in self.hashes.items():
            total.update(f"{name} {lengths.hexdigest()} {data.hexdigest()}\n".encode())
        return total.hexdigest()
