"""From a table's bytes to UTF-8 bytes; what isn't valid stays visible as invalid UTF-8."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from kgtextvec.errors import InputError
from kgtextvec.texts.containers import with_head
from kgtextvec.texts.findings import TableError, plain

# Longer marks first: the UTF-32 one starts with the UTF-16 one.
MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32LE", "utf-32"),
    (codecs.BOM_UTF32_BE, "UTF-32BE", "utf-32"),
    (codecs.BOM_UTF16_LE, "UTF-16LE", "utf-16"),
    (codecs.BOM_UTF16_BE, "UTF-16BE", "utf-16"),
)
HANDLER = "kgtextvec.undecodable"
ENCODING_HINT = (
    "If the table is in another encoding, such as latin-1 or cp1252, convert it (iconv -f latin1 -t"
    " UTF-8 FILE > NEW) or set encoding: latin-1; otherwise correct the bytes"
)


def undecodable(error: UnicodeError) -> tuple[str, int]:
    """Stand a lone surrogate, which carries the first bad byte, for what can't be decoded."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return chr(0xDC00 + error.object[error.start]), error.end


codecs.register_error(HANDLER, undecodable)


def codec_name(encoding: str) -> str:
    """Return Python's name of a text encoding. Raises InputError for an unknown one."""
    try:
        found = codecs.lookup(encoding)
        if not found._is_text_encoding:
            raise LookupError
        # idna, punycode and undefined claim to be text encodings, and can't decode a table.
        decoder = codecs.getincrementaldecoder(encoding)(HANDLER)
        decoder.decode("id\tlabel\n".encode(encoding), True)
    except (LookupError, UnicodeError, ValueError):
        raise InputError(
            f"encoding: {plain(encoding)!r} is not a text encoding that Python knows. Give one such"
            " as utf-8, utf-16, latin-1 or gb18030."
        ) from None
    return found.name


def guess_wide(head: bytes) -> tuple[str, str] | None:
    """Return (name for iconv, name for us) when bytes look like UTF-16 or UTF-32, else None.

    A byte order mark decides; without one the header does, since its letters are ASCII: in UTF-16
    every second byte is zero, in UTF-32 three of four.
    """
    for mark, name, ours in MARKS:
        if head.startswith(mark):
            return name, ours
    start = head[: min(len(head) // 4 * 4, 64)]
    if len(start) < 8:
        return None
    zeros = [start[k::4].count(0) / len(start[k::4]) for k in range(4)]
    shapes = {
        "UTF-32LE": (0, 1, 1, 1),
        "UTF-32BE": (1, 1, 1, 0),
        "UTF-16LE": (0, 1, 0, 1),
        "UTF-16BE": (1, 0, 1, 0),
    }
    for name, shape in shapes.items():
        if all(zero > 0.8 if want else zero < 0.2 for zero, want in zip(zeros, shape, strict=True)):
            return name, f"{name[:6].lower()}-{name[6:].lower()}"
    return None


def as_utf8(blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the same text as UTF-8, without the byte order mark at the start.

    `encoding` is a name from codec_name. Bytes that aren't valid in it come out as bytes that
    aren't valid UTF-8 either, so that the reader finds and counts them line by line. Raises
    TableError when the table is UTF-16 or UTF-32 though UTF-8 was announced.
    """
    head, blocks = with_head(blocks, 4096)
    if encoding in {"utf-8", "ascii", "utf-8-sig"}:
        wide = guess_wide(head)
        if wide:
            raise TableError(
                "encoding",
                f"the file is {wide[0]}, not UTF-8. Convert it: iconv -f {wide[0]} -t UTF-8 FILE >"
                f" NEW, or set encoding: {wide[1]}.",
                1,
            )
        if encoding != "ascii":
            return without_mark(blocks)
    return recoded(blocks, encoding)


def without_mark(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Drop a UTF-8 byte order mark from the first block, which with_head made long enough."""
    yield next(blocks, b"").removeprefix(codecs.BOM_UTF8)
    yield from blocks


def recoded(blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Decode from `encoding` and encode as UTF-8, block by block.

    Raises TableError for what a codec can't stand a mark for, such as UTF-16 without its mark.
    """
    decoder = codecs.getincrementaldecoder(encoding)(HANDLER)
    first = True
    try:
        for block in chain(blocks, [None]):
            text = decoder.decode(block or b"", block is None)
            if first and text:
                text, first = text.removeprefix("\ufeff"), False
            yield text.encode("utf-8", "surrogatepass")
    except UnicodeError as error:
        raise TableError(
            "encoding",
            f"the file is not {plain(encoding)} ({plain(str(error))}). Correct encoding.",
        ) from None


@dataclass(frozen=True)
class BadByte:
    """The first byte of a line that isn't valid: its 1-based column, whether the line ends there.

    `column` counts characters.
    """

    byte: int
    column: int
    end: bool

    def shown(self, encoding: str) -> str:
        """Return what is wrong with the line."""
        what = f"is not {plain(encoding)} (byte 0x{self.byte:02x} at column {self.column})"
        return f"{what}: a character is incomplete" if self.end else what


def bad_byte(line: bytes, carried: bool) -> BadByte | None:
    """Return the first fault of a line; None when it is valid UTF-8.

    With `carried` (the table was recoded) a lone surrogate gives back the byte that it carries.
    """
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        column = len(line[: error.start].decode("utf-8")) + 1
        byte = line[error.start]
        trio = line[error.start : error.start + 3]
        if carried and byte == 0xED and len(trio) == 3 and 0xB0 <= trio[1] <= 0xB3:
            byte = (ord(trio.decode("utf-8", "surrogatepass")) - 0xDC00) & 0xFF
        return BadByte(byte, column, error.reason == "unexpected end of data")
    return None
