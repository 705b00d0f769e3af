"""Read a tar archive as a stream, strictly: no seeking, no links, no trust in its numbers.

Python's tarfile takes a broken header in the middle for the end, and reads headers of any size
into memory. This reader knows ustar, GNU and pax headers and stops at anything it cannot prove.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kgtextvec.errors import InputError

TAR_BLOCK = 512
MAX_HEADER_BYTES = 1 << 20
MAX_PAX_RECORDS = 256
LONGEST_NUMBER = 20  # digits of a pax record's length, leading zeros included
REGULAR_FLAGS, FOLDER_FLAG = b"0\0007", b"5"
FLAGS_WITHOUT_DATA = b"123456"  # links, devices, folders, pipes: their size field means nothing
Read = Callable[[int], bytes]


class DamagedArchive(InputError):
    """The archive cannot be what its maker wrote."""


@dataclass
class Member:
    """One entry: its name as written, `file`, `folder` or `other`, and its size in bytes."""

    name: str
    kind: str
    size: int


class TarStream:
    """Members in order; `read` gives the data of the present one, `members` skips the rest."""

    def __init__(self, read: Read, where: str) -> None:
        self.source, self.where = read, where
        self.left = self.padding = 0

    def members(self) -> Iterator[Member]:
        """Yield each member. Raises DamagedArchive for a broken header or a missing end mark."""
        long_name: str | None = None
        pax: dict[str, str] = {}
        common: dict[str, str] = {}
        while True:
            header = self.exactly(TAR_BLOCK)
            if not header.strip(b"\0"):
                return
            name, flag, size = self.parse(header)
            if flag in b"xgLK":
                if size > MAX_HEADER_BYTES:
                    raise DamagedArchive(f"{self.where}: damaged, a name of {size} bytes.")
                data = self.exactly(size)
                self.exactly(-size % TAR_BLOCK)
                if flag == b"L":
                    long_name = text_of(data.split(b"\0")[0])
                elif flag in b"xg":
                    (pax if flag == b"x" else common).update(self.pax_of(data))
                continue
            keys = {**common, **pax}
            if flag == b"S" or any(key.startswith("GNU.sparse") for key in keys):
                raise InputError(
                    f"{self.where}: holds a sparse file ({name}). Pack it without --sparse."
                )
            name = keys.get("path", long_name or name)
            size = self.number(keys["size"]) if "size" in keys else size
            long_name, pax = None, {}
            size = 0 if flag in FLAGS_WITHOUT_DATA else size
            self.left, self.padding = size, -size % TAR_BLOCK
            kind = "file" if flag in REGULAR_FLAGS else "folder" if flag == FOLDER_FLAG else "other"
            yield Member(name, "folder" if name.endswith("/") else kind, size)
            while self.read(1 << 20):
                pass
            self.exactly(self.padding)

    def read(self, most: int) -> bytes:
        """Read at most so many bytes of the present member; b"" at its end."""
        data = self.exactly(min(most, self.left))
        self.left -= len(data)
        return data

    def exactly(self, size: int) -> bytes:
        """Read so many bytes. Raises DamagedArchive if the archive ends before."""
        pieces, left = [], size
        while left:
            piece = self.source(left)
            if not piece:
                raise DamagedArchive(
                    f"{self.where}: damaged or cut short, it ends without an end mark."
                )
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def parse(self, header: bytes) -> tuple[str, bytes, int]:
        """Return name, type flag and size of a header whose checksum fits."""
        stored = self.number(header[148:156].split(b"\0")[0].strip().decode("latin-1") or "-", 8)
        blanked = header[:148] + b" " * 8 + header[156:]
        high = sum(byte > 127 for byte in blanked) if stored != sum(blanked) else 0
        if stored not in (sum(blanked), sum(blanked) - 256 * high):  # old tars sum signed bytes
            raise DamagedArchive(f"{self.where}: damaged, a header's checksum is wrong.")
        field = header[124:136]
        if field[0] & 0x80:
            size = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
        else:
            size = self.number(field.split(b"\0")[0].strip().decode("latin-1") or "0", 8)
        name = header[:100].split(b"\0")[0]
        prefix = header[345:500].split(b"\0")[0]
        if header[257:263] == b"ustar\0" and prefix:
            name = prefix + b"/" + name
        return text_of(name), header[156:157], size

    def pax_of(self, data: bytes) -> dict[str, str]:
        """Read pax records (`<length> <key>=<value>` and a newline)."""
        found, count, start, end = {}, 0, 0, len(data.rstrip(b"\0"))
        while start < end:
            blank = data.find(b" ", start, start + LONGEST_NUMBER + 1)
            length = self.number(data[start : max(blank, start)].decode("latin-1"))
            stop = start + length
            equals = data.find(b"=", blank, stop)
            if length < 5 or equals < 0 or stop > len(data) or data[stop - 1 : stop] != b"\n":
                raise DamagedArchive(f"{self.where}: damaged, a pax header cannot be read.")
            found[text_of(data[blank + 1 : equals])] = text_of(data[equals + 1 : stop - 1])
            start, count = stop, count + 1
            if count > MAX_PAX_RECORDS:
                raise DamagedArchive(
                    f"{self.where}: a pax header holds more than {MAX_PAX_RECORDS} records, which"
                    " no archiver writes. Get the right file."
                )
        return found

    def number(self, text: str, base: int = 10) -> int:
        """Read a number of a header, which is never negative."""
        if not text.isascii() or not text.isdigit():
            raise DamagedArchive(f"{self.where}: damaged, {text[:20]!r} in place of a number.")
        try:
            return int(text, base)
        except ValueError:
            raise DamagedArchive(f"{self.where}: damaged, {text[:20]!r} is no number.") from None


def text_of(data: bytes) -> str:
    """Decode a name; bytes that are not UTF-8 become surrogates."""
    return data.decode("utf-8", "surrogateescape")
