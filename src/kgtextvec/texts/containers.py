"""Bytes of a table file: plain, gzip, zstd or xz, as its first bytes say, not its name."""

import errno
import lzma
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from kgtextvec.texts.findings import Findings, TableError, plain

BLOCK = 4 << 20
RAW = 1 << 18
UNJUDGED = 64 << 20
# zstd can't be told to stop after so many bytes of output, and 4 bytes may stand for 128 KiB.
ZSTD_RAW = 1 << 10

GZIP, XZ, ZSTD = b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
NAMES = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd", ".xz": "xz"}
# A frame's magic number and descriptor, and the bit of the descriptor that promises a checksum.
ZSTD_HEAD, ZSTD_HAS_CHECKSUM = 5, 4
NO_CHECKSUM = (
    "the zstd file has no checksum, so damage to it can go unnoticed. Compress it"
    " with the zstd program, which adds one"
)
CUT = "damaged or cut short: fetch the file again"

OBO_GRAPHS = "an ontology in OBO Graphs JSON"
OTHER_FORMATS = (
    (b"BZh", "a bzip2 file", "unpack it with bunzip2, or compress it with gzip, xz or zstd"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet", "unpack it, or export it as TSV"),
    (b"PK\x05\x06", "an empty zip archive", "fetch the table itself"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (b"Rar!", "a RAR archive", "unpack it"),
    (b"\x5d\x00\x00", "an lzma file", "unpack it with unlzma"),
    (b"\x04\x22\x4d\x18", "an lz4 file", "unpack it with lz4 -d"),
    (b"\x1f\x9d", "a compress (.Z) file", "unpack it with uncompress"),
    (b"PAR1", "a Parquet file", "it can't be read here, so export it as TSV"),
    (b"ARROW1", "an Arrow file", "export it as TSV"),
    (b"SQLite format 3\x00", "an SQLite database", "export the table as TSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file", "export the sheet as TSV"),
    (b"%PDF", "a PDF", "fetch the table itself"),
    (b"\x89HDF", "an HDF5 file", "export it as TSV"),
    (b"\x93NUMPY", "a NumPy file", "give the table of texts instead"),
)


def packing(head: bytes) -> str:
    """Return `gzip`, `xz`, `zstd` or `` (plain) for a file's first bytes."""
    if head.startswith(GZIP):
        return "gzip"
    if head.startswith(XZ):
        return "xz"
    skippable = head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F
    return "zstd" if head.startswith(ZSTD) or skippable else ""


def open_blocks(
    path: Path,
    findings: Findings,
    seen: Callable[[int], None] | None = None,
    max_ratio: int | None = None,
    refuse: bool = True,
) -> Iterator[bytes]:
    """Yield a table's unpacked bytes in blocks of about BLOCK bytes, read once from the start.

    `seen` gets the number of bytes read from the file. Records a finding when the file's name
    and its content disagree, and notes a zstd file without checksum. Raises TableError for a file
    that is absent, empty, damaged, or another thing than a table (a web page, an archive, a Git LFS
    pointer …), and once it unpacks to more than `max_ratio` times its size. Without `refuse` the
    caller looks at what it is.
    """
    packed_bytes = 0

    def count(size: int) -> None:
        nonlocal packed_bytes
        packed_bytes += size
        if seen:
            seen(size)

    raw = raw_blocks(path, count)
    head, raw = with_head(raw, 512)
    if not head:
        raise TableError("empty_file", "the file is empty (0 bytes). Create or fetch it again.")
    packed = packing(head)
    announced = NAMES.get(path.suffix.lower(), "")
    if packed != announced:
        what = f"compressed by {packed}" if packed else "not compressed"
        says = f"named {path.suffix}" if announced else "not named so"
        note = f"the file is {what}, although {plain(says)}; it was read by its content"
        findings.add("name", None, note)
    if packed == "zstd":
        blocks = unzstd(raw, findings)
    else:
        blocks = {"": gathered, "gzip": gunzip, "xz": unxz}[packed](raw)
    if packed and max_ratio:
        blocks = within_ratio(blocks, lambda: packed_bytes, max_ratio)
    head, blocks = with_head(blocks, 4096)
    if not head:
        raise TableError(
            "empty_file", "the file is empty (0 bytes) once unpacked. Create or fetch it again."
        )
    if refuse:
        refuse_other_formats(head, bool(packed))
    return blocks


def within_ratio(
    blocks: Iterator[bytes], packed_bytes: Callable[[], int], most: int
) -> Iterator[bytes]:
    """Yield the blocks; raise TableError once they are `most` times what was read for them."""
    size = 0
    for block in blocks:
        size += len(block)
        if size > max(UNJUDGED, most * packed_bytes()):
            raise TableError(
                "ratio",
                f"the file unpacks to more than {most} times its size, as a decompression bomb"
                " does. If you trust it, raise max_ratio.",
            )
        yield block


def raw_blocks(path: Path, seen: Callable[[int], None]) -> Iterator[bytes]:
    """Yield a file's bytes as they are. Raises TableError when it can't be read."""
    advice = {
        errno.ENOENT: "the file is not there. Check the path",
        errno.ENOTDIR: "the file is not there. Check the path",
        errno.EISDIR: "this is a folder, not a file. Name the file in it",
        errno.EACCES: "the file is not readable. Check its permissions",
        errno.ENAMETOOLONG: "the name is too long for this system. Check the path",
    }
    try:
        with path.open("rb") as handle:
            if stat.S_ISCHR(os.fstat(handle.fileno()).st_mode):
                raise TableError("file", "this is a device, not a file. Name a file.")
            while block := handle.read(RAW):
                seen(len(block))
                yield block
    except OSError as error:
        why = advice.get(error.errno or 0, f"the file is not readable ({error.strerror})")
        raise TableError("file", f"{why}.") from None


def with_head(blocks: Iterator[bytes], least: int) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes (at least `least` unless there are fewer) and all blocks again."""
    head = b""
    for block in blocks:
        head += block
        if len(head) >= least:
            break
    return head, chain([head], blocks) if head else iter(())


def gathered(raw: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in blocks of at least BLOCK bytes, the last one apart."""
    parts: list[bytes] = []
    size = 0
    for block in raw:
        parts.append(block)
        size += len(block)
        if size >= BLOCK:
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)


def gunzip(raw: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack gzip, any number of members; zero bytes after the last one are padding."""
    member = zlib.decompressobj(wbits=31)
    started = True
    try:
        for block in raw:
            data = block
            while data:
                if member.eof:
                    data = data.lstrip(b"\0") if not started else data
                    if not data:
                        break
                    member = zlib.decompressobj(wbits=31)
                out = member.decompress(data, BLOCK)
                started = not member.eof
                if out:
                    yield out
                data = member.unused_data if member.eof else member.unconsumed_tail
    except zlib.error as error:
        if "incorrect data check" in str(error):
            raise TableError(
                "damaged", "gzip: the file is damaged, its CRC does not match: fetch it again."
            ) from None
        if "incorrect header check" in str(error):
            why = "other bytes follow the compressed ones"
        else:
            why = str(error).rpartition(": ")[2]
        raise TableError("damaged", f"gzip: {why}, so the file is {CUT}.") from None
    if not member.eof:
        raise TableError("damaged", f"gzip: the end is missing, so the file is {CUT}.")


def unxz(raw: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack xz, any number of streams; zero bytes between and after them are padding."""
    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ)
    begun = False
    try:
        for block in raw:
            data = block
            while data or not (stream.needs_input or stream.eof):
                if stream.eof:
                    data = data.lstrip(b"\0")
                    if not data:
                        break
                    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ)
                begun = True
                out = stream.decompress(data, BLOCK)
                if out:
                    yield out
                data = stream.unused_data if stream.eof else b""
    except lzma.LZMAError as error:
        raise TableError("damaged", f"xz: {error}, so the file is {CUT}.") from None
    if begun and not stream.eof:
        raise TableError("damaged", f"xz: the end is missing, so the file is {CUT}.")


def unzstd(raw: Iterator[bytes], findings: Findings) -> Iterator[bytes]:
    """Unpack zstd, any number of frames; note a frame whose maker gave it no checksum."""
    import zstandard

    unpacker = zstandard.ZstdDecompressor()
    frame = unpacker.decompressobj()
    head = b""

    def pieces() -> Iterator[bytes]:
        nonlocal frame, head
        for block in raw:
            for start in range(0, len(block), ZSTD_RAW):
                data = block[start : start + ZSTD_RAW]
                while data:
                    if frame.eof:
                        frame, head = unpacker.decompressobj(), b""
                    if len(head) < ZSTD_HEAD:
                        head = (head + data)[:ZSTD_HEAD]
                        unsure = len(head) == ZSTD_HEAD and not head[-1] & ZSTD_HAS_CHECKSUM
                        if unsure and head.startswith(ZSTD) and NO_CHECKSUM not in findings.notes:
                            findings.notes.append(NO_CHECKSUM)
                    out = frame.decompress(data)
                    if out:
                        yield out
                    data = frame.unused_data if frame.eof else b""

    try:
        yield from gathered(pieces())
    except zstandard.ZstdError as error:
        why = plain(str(error).rpartition(": ")[2])
        raise TableError("damaged", f"zstd: {why}, so the file is {CUT}.") from None
    if not frame.eof:
        raise TableError("damaged", f"zstd: the end is missing, so the file is {CUT}.")


def refuse_other_formats(head: bytes, packed: bool) -> None:
    """Raise TableError when the first bytes are those of something else than a text table."""
    inside = " inside" if packed else ""
    if packed and packing(head):
        raise TableError("format", "the file is compressed twice: unpack it once.")
    if head[257:262] == b"ustar":
        raise TableError(
            "format", f"the file is a tar archive{inside}: unpack it and give one file."
        )
    for magic, what, advice in OTHER_FORMATS:
        if head.startswith(magic):
            raise TableError("format", f"the file is {what}{inside}, not a text table: {advice}.")
    refuse_ontologies(head)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<!--")):
        raise TableError(
            "format",
            "the file is a web page (or XML), not a table: the download gave an error or sign-in"
            " page. Open the address in a browser, then fetch the table again.",
            1,
        )
    if start.startswith(b"version https://git-lfs.github.com/spec/"):
        raise TableError(
            "format",
            "the file is a Git LFS pointer, not the table: run `git lfs pull` in its folder.",
            1,
        )
    if start.startswith((b'{"', b"{\n", b"[{", b"[\n")):
        raise TableError("format", "the file is JSON, not a table: export it as TSV.", 1)


def ontology_in(head: bytes) -> str:
    """Return what kind of ontology file the first bytes are those of, "" if of none."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if re.match(rb"format-version:|\[Term\]\s", start) or b"\n[Term]\n" in head:
        return "an ontology in OBO format"
    if re.match(rb"<\?xml|<!--|<!DOCTYPE rdf|<rdf:|<Ontology|<owl:", start, re.IGNORECASE):
        if re.search(rb"<rdf:RDF|<owl:|<Ontology\b|www\.w3\.org/2002/07/owl", head):
            return "an ontology in OWL or RDF"
        return ""
    if re.match(rb"(?:@prefix|@base|PREFIX)\s", start) and b"<http" in head:
        return "an ontology or other RDF in Turtle"
    if re.match(rb"Prefix\(|Ontology\(", start):
        return "an ontology in OWL's functional syntax"
    if re.match(rb"\{\s*\"graphs\"\s*:", start):
        return OBO_GRAPHS
    return ""


def refuse_ontologies(head: bytes) -> None:
    """Raise TableError, with the way to a table, when the first bytes are those of an ontology."""
    what = ontology_in(head)
    if what == OBO_GRAPHS:
        raise TableError(
            "format",
            f"the file is {what}, not a table. kgtextvec init FILE writes its terms and edges as"
            " tables, and a config for them.",
            1,
        )
    if what:
        raise TableError(
            "format",
            f"the file is {what}, not a table. Convert it, with ROBOT for instance: robot export"
            " --input FILE --header 'ID|LABEL|IAO:0000115' --format tsv --export terms.tsv; then"
            " set columns: {id: ID, name: LABEL, description: 'IAO:0000115'} and label: Disease,"
            " or whatever its terms are.",
            1,
        )
