"""Bytes of a file that may be packed, recognised by its first bytes."""

import io
from pathlib import Path
from typing import IO, Any

from kgtextvec.errors import InputError

UNJUDGED_BYTES = 64 << 20  # a packed file may unpack to so much, whatever its size
PACKINGS = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
}


def packing_of(path: Path) -> str:
    """Return gzip, xz, zstd, bzip2 or "" (plain). Raises OSError."""
    with path.open("rb") as file:
        head = file.read(8)
    return next((name for magic, name in PACKINGS.items() if head.startswith(magic)), "")


class UnpackedFile(io.RawIOBase):
    """A file's bytes, unpacked, read once from the start.

    Raises InputError where the file is damaged, and once it unpacks to more than `max_ratio` times
    its size; OSError when it can't be opened.
    """

    def __init__(self, path: Path, max_ratio: int = 200) -> None:
        super().__init__()
        self.path, self.count = path, 0
        self.packed = packing_of(path)
        size = path.stat().st_size
        self.most = max(UNJUDGED_BYTES, max_ratio * size) if self.packed else None
        self.max_ratio = max_ratio
        self.inner: IO[Any] = opened(path, self.packed)

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read at most so many bytes."""
        import lzma

        try:
            data: bytes = self.inner.read(size)
        except (lzma.LZMAError, EOFError, ValueError, OSError) as error:
            raise InputError(
                f"{self.path}: {self.packed or 'the file'} can't be read ({error}). Fetch it again."
            ) from None
        self.count += len(data)
        if self.most is not None and self.count > self.most:
            raise InputError(
                f"{self.path}: unpacks to more than {self.max_ratio} times its size, as a"
                " decompression bomb does. If you trust it, unpack it yourself."
            )
        return data

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; return the number of bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file."""
        self.inner.close()
        super().close()


def opened(path: Path, packed: str) -> IO[Any]:
    """Open a file by the library of its packing."""
    if not packed:
        return path.open("rb")
    if packed == "xz":
        import lzma

        return lzma.open(path)
    import pyarrow as pa

    codec = "bz2" if packed == "bzip2" else packed
    found: IO[Any] = pa.CompressedInputStream(pa.OSFile(str(path)), codec)
    return found
