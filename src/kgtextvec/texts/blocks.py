"""Blocks of a table's bytes, and of its rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST_ROW = 32 << 20
# A column seems to repeat its values if so many rows have so few different ones.
FEW_AMONG, FEW = 1000, 50


@dataclass(frozen=True)
class Batch:
    """Some rows in order: `lines` (n,) int64, the 1-based line each starts at; the raw fields.

    `columns` holds the columns asked for, one list of n fields each. `odd` is false when no
    field can hold a line break, a tab, a control character or U+FEFF.
    """

    lines: NDArray[np.int64]
    columns: dict[str, list[str]]
    odd: bool


def unusual(data: bytes) -> bool:
    """Tell whether bytes may hold a control character, a lone CR or U+FEFF."""
    flat = np.frombuffer(data, dtype=np.uint8)
    low = np.count_nonzero(flat < 32)
    known = np.count_nonzero(flat == 9) + np.count_nonzero(flat == 10)
    if b"\r" in data:
        carriage = np.flatnonzero(flat[:-1] == 13)
        known += np.count_nonzero(flat[carriage + 1] == 10)
    if low != known or b"\x7f" in data:
        return True
    return not data.isascii() and (b"\xef\xbb\xbf" in data or has_c1(flat))


def has_c1(data: NDArray[np.uint8]) -> bool:
    """Tell whether UTF-8 holds one of the control characters U+0080 to U+009F: c2 80 to c2 9f."""
    following = data[1:][data[:-1] == 0xC2]  # re would take several times as long
    return bool(((following >= 0x80) & (following <= 0x9F)).any())


def strings_in(values: "pa.Array") -> list[str]:
    """Return Arrow's strings, without nulls, as Python's; of few different ones, one object each.

    What repeats is then hashed and compared once, which is most of the work on labels.
    """
    few = len(values) > FEW_AMONG and len(values.slice(0, FEW_AMONG).unique()) <= FEW
    if not few:
        found: list[str] = values.to_numpy(zero_copy_only=False).tolist()
        return found
    coded = values.dictionary_encode()
    texts = coded.dictionary.to_numpy(zero_copy_only=False)
    return cast("list[str]", texts[coded.indices.to_numpy()].tolist())


def cr_as_lf(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Make CR and CRLF line ends LF, also where a block ends between CR and LF."""
    held = b""
    for block in blocks:
        data = held + block
        held = data[-1:] if data.endswith(b"\r") else b""
        data = data[: len(data) - len(held)]
        yield data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if held:
        yield b"\n"


def length_of(data: bytes, lines: int) -> int:
    """Return how many bytes the first `lines` lines take, their line ends included."""
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == 10)
    return int(ends[lines - 1]) + 1 if lines else 0
