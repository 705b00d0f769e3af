"""Undo a Content-Encoding that a server applied although plain bytes were requested."""

import zlib
from pathlib import Path

from kgtextvec.files import sha256_of, temporary_name

GZIP_START = b"\x1f\x8b"
INFLATE_BYTES = 1 << 20


def undo_encoding(part: Path, name: str, sha256: str | None) -> None:
    """Replace the bytes in `part` by the file they stand for.

    Servers misuse the header in two ways: `x.tar.gz` as it is, labelled gzip since it is one, and
    any file truly compressed on the way. The checksum decides where it is known; else a name that
    ends in .gz or .tgz keeps one layer of gzip. Raises ValueError when the stream is damaged.
    """
    if sha256 is not None and sha256_of(part) == sha256:
        return
    plain = temporary_name(part)
    try:
        inflate(part, plain)
        with plain.open("rb") as handle:
            double = handle.read(2) == GZIP_START
        packed_by_name = name.lower().endswith((".gz", ".tgz"))
        if sha256 is not None or double or not packed_by_name:
            plain.replace(part)
    finally:
        plain.unlink(missing_ok=True)


def inflate(source: Path, target: Path) -> None:
    """Decompress gzip (all members, CRC checked), zlib or raw deflate."""
    with source.open("rb") as reader:
        head = reader.read(2)
    raw = head[:1] != b"\x78" and head != GZIP_START
    bits = -zlib.MAX_WBITS if raw else zlib.MAX_WBITS | 32
    engine = zlib.decompressobj(bits)
    try:
        with source.open("rb") as reader, target.open("wb") as writer:
            data = reader.read(INFLATE_BYTES)
            while data or engine.unconsumed_tail:
                writer.write(engine.decompress(engine.unconsumed_tail + data, INFLATE_BYTES))
                data = b"" if engine.unconsumed_tail else reader.read(INFLATE_BYTES)
                if engine.eof and (engine.unused_data or data):
                    data = engine.unused_data + data
                    engine = zlib.decompressobj(bits)
            writer.write(engine.flush())
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not engine.eof:
        raise ValueError("it ends too early")
