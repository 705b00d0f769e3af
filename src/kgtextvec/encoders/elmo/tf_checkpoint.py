"""Read a TensorFlow 1/2 checkpoint (`x.index`, `x.data-…`) without TensorFlow.

The index is a LevelDB table (uncompressed blocks, prefix-shared keys, a checksum per block) from
tensor names to BundleEntryProto messages; the data files hold the tensors' raw little-endian
bytes. All lengths are checked before use, and every block and tensor against its CRC-32C.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.errors import InputError

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
MASK = 0xA282EAD8
TENSORFLOW_DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    9: np.dtype("<i8"),
}
MAX_INDEX = 1 << 28
READ_BYTES = 1 << 24


@dataclass(frozen=True)
class TensorEntry:
    """Where a tensor is stored: data file number, byte offset and size, masked CRC-32C."""

    dtype: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    crc: int = 0


@dataclass
class Checkpoint:
    """The tensors under one prefix, such as `model.ckpt-300`. Raises InputError when damaged."""

    prefix: Path
    entries: dict[str, TensorEntry] = field(default_factory=dict)
    shards: int = 0

    def __post_init__(self) -> None:
        """Read the index."""
        self.crc32c = crc32c()
        index = self.prefix.with_name(self.prefix.name + ".index")
        try:
            if index.stat().st_size > MAX_INDEX:
                raise InputError(f"{index}: far too large for a checkpoint index. Check the path.")
            items = list(read_table(index.read_bytes(), self.crc32c))
            header = dict(message(items[0][1])) if items and items[0][0] == b"" else {}
            self.shards = header.get(1, 0)
            if not self.shards or header.get(2, 0):
                raise ValueError("no header, or big-endian data")
            self.entries = {key.decode(): entry_of(value) for key, value in items[1:]}
        except FileNotFoundError:
            raise InputError(f"{index}: no such file. Give the path of a checkpoint.") from None
        except (ValueError, IndexError, struct.error, TypeError) as error:
            raise InputError(
                f"{index}: damaged checkpoint index ({error}). Copy it again."
            ) from None

    def read(self, name: str) -> NDArray[Any]:
        """Return one tensor. Raises InputError, naming it, if bytes are absent or altered."""
        data, dtype = self.locate(name)
        entry = self.entries[name]
        with data.open("rb") as handle:
            handle.seek(entry.offset)
            content = handle.read(entry.size)
        self.check(data, name, self.crc32c(content))
        tensor: NDArray[Any] = np.frombuffer(content, dtype=dtype).reshape(entry.shape)
        return tensor

    def map(self, name: str) -> NDArray[Any]:
        """Return one tensor mapped from the file, as `read` but not held in memory.

        It can be written to; what is written stays in memory (copy on write). The checksum is
        taken piece by piece.
        """
        data, dtype = self.locate(name)
        entry = self.entries[name]
        crc, left = 0, entry.size
        with data.open("rb") as handle:
            handle.seek(entry.offset)
            while left and (content := handle.read(min(left, READ_BYTES))):
                crc = self.crc32c(content, crc)
                left -= len(content)
        self.check(data, name, crc)
        if entry.offset % dtype.itemsize or not entry.size:
            return self.read(name).copy()  # torch takes no unaligned numbers
        return np.memmap(data, dtype, mode="c", offset=entry.offset, shape=entry.shape)

    def locate(self, name: str) -> tuple[Path, np.dtype[Any]]:
        """Return the tensor's file and type. Raises InputError when bytes are missing."""
        entry = self.entries[name]
        data = self.prefix.with_name(
            f"{self.prefix.name}.data-{entry.shard:05d}-of-{self.shards:05d}"
        )
        dtype = TENSORFLOW_DTYPES.get(entry.dtype)
        if dtype is None:
            raise InputError(
                f"{data}: {name} has TensorFlow type {entry.dtype}, not a number. Get another"
                " checkpoint."
            )
        expected = int(np.prod(entry.shape, dtype=object)) * dtype.itemsize
        if entry.size != expected:
            raise InputError(
                f"{data}: {name} of shape {entry.shape} should have {expected} bytes, the index"
                f" says {entry.size}. Copy the checkpoint again."
            )
        try:
            there = data.stat().st_size
        except FileNotFoundError:
            raise InputError(f"{data}: no such file, {name} is in it. Copy it, too.") from None
        if entry.offset + entry.size > there:
            raise InputError(
                f"{data}: cut: {name} {entry.shape} needs bytes {entry.offset} to"
                f" {entry.offset + entry.size}, the file has {there}. Copy it again."
            )
        return data, dtype

    def check(self, data: Path, name: str, crc: int) -> None:
        """Raise InputError unless a tensor's CRC-32C is that of the index."""
        if masked(crc) != self.entries[name].crc:
            raise InputError(
                f"{data}: the bytes of {name} {self.entries[name].shape} don't match their"
                " checksum. Copy the file again."
            )


def crc32c() -> Callable[..., int]:
    """Return the CRC-32C function: (bytes[, CRC of what came before]) -> CRC.

    Raises InputError when its library is not installed.
    """
    try:
        from google_crc32c import extend
    except ImportError:
        raise InputError(
            "a TensorFlow checkpoint's checksums need the package google-crc32c, which is not"
            " installed. Install it (pip install google-crc32c), or convert weights.hdf5 instead."
        ) from None

    def function(content: bytes, before: int = 0) -> int:
        return int(extend(before, content))

    return function


def masked(crc: int) -> int:
    """Mask a CRC as LevelDB does before it stores it."""
    return ((crc >> 15 | crc << 17) + MASK) & 0xFFFFFFFF


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a base-128 number; return it and the place after it. Raises ValueError, IndexError."""
    value = shift = 0
    while shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ValueError("a number is too long")


def read_table(data: bytes, crc: Callable[..., int]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a LevelDB table, in order. Raises ValueError, IndexError."""
    if len(data) < FOOTER or struct.unpack("<Q", data[-8:])[0] != MAGIC:
        raise ValueError("the end is not that of a table")
    footer = data[-FOOTER:]
    _, at = varint(footer, 0)
    _, at = varint(footer, at)
    offset, at = varint(footer, at)
    size, _ = varint(footer, at)
    for _, handle in read_block(data, offset, size, crc):
        start, at = varint(handle, 0)
        length, _ = varint(handle, at)
        yield from read_block(data, start, length, crc)


def read_block(
    data: bytes, offset: int, size: int, crc: Callable[..., int]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of one block of a table."""
    end = offset + size
    if end + 5 > len(data) - FOOTER or size < 4:
        raise ValueError("a block reaches over the end")
    if struct.unpack("<I", data[end + 1 : end + 5])[0] != masked(crc(data[offset : end + 1])):
        raise ValueError("a block doesn't match its checksum")
    if data[end]:
        raise ValueError("a block is compressed")
    block = data[offset:end]
    restarts = struct.unpack("<I", block[-4:])[0]
    stop = size - 4 - 4 * restarts
    at, key = 0, b""
    while at < stop:
        shared, at = varint(block, at)
        unshared, at = varint(block, at)
        length, at = varint(block, at)
        if shared > len(key) or at + unshared + length > stop:
            raise ValueError("an entry reaches over its block")
        key = key[:shared] + block[at : at + unshared]
        at += unshared
        yield key, block[at : at + length]
        at += length


def message(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield field numbers and values of a protocol buffer: int, or bytes. Raises ValueError."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value: Any
            value, at = varint(data, at)
        elif wire == 2:
            length, at = varint(data, at)
            if at + length > len(data):
                raise ValueError("a message is cut")
            value, at = data[at : at + length], at + length
        elif wire in (1, 5):
            width = 8 if wire == 1 else 4
            value, at = struct.unpack_from("<Q" if wire == 1 else "<I", data, at)[0], at + width
        else:
            raise ValueError(f"unknown wire type {wire}")
        yield number, value


def entry_of(data: bytes) -> TensorEntry:
    """Read a BundleEntryProto. Raises ValueError for a tensor kept in slices."""
    values = dict(message(data))
    if 7 in values:
        raise ValueError("a tensor is kept in slices")
    dims = [
        dict(message(dim)).get(1, 0) for number, dim in message(values.get(2, b"")) if number == 2
    ]
    return TensorEntry(
        values.get(1, 0), tuple(dims), values.get(3, 0), values.get(4, 0), values.get(5, 0),
        values.get(6, 0),
    )  # fmt: skip
