"""Table formats: how rows come out of a file. One module each, no list here."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from kgtextvec.settings.tables import Reading
    from kgtextvec.texts.blocks import Batch
    from kgtextvec.texts.findings import Findings
    from kgtextvec.texts.header import Header


class TableReader(Protocol):
    """One pass over a table: call open, take, batches.

    `at` is the line after the header, and after the last row in the end; `unit` is what it counts,
    a line or a row.
    """

    at: int

    @property
    def unit(self) -> str:
        """Return `line` or `row`."""
        ...

    def open(self) -> "Header":
        """Read the header. Raises TableError when the file isn't a table."""
        ...

    def take(self, columns: dict[str, int], keys: Sequence[int]) -> None:
        """Choose what to read: `columns` name → position; `keys` are the key's positions."""
        ...

    def batches(self) -> "Iterator[Batch]":
        """Yield the rows, block by block; bad ones become findings."""
        ...


@dataclass(frozen=True)
class OpenFile:
    """A table's file, open and unpacked, and how it is to be read.

    `head` holds its first bytes, at least 64 KiB if there are as many, `blocks` all of them.
    `names`: its columns, if the file has no header. `before`: how many lines or rows were counted
    in the files read before it.
    """

    path: Path
    head: bytes
    blocks: Iterator[bytes]
    findings: "Findings"
    how: "Reading"
    names: Sequence[str] = ()
    before: int = 0

    def first_line(self) -> str:
        """Return the first line that isn't blank, as far as it can be decoded."""
        try:
            text = self.head.decode(self.how.encoding, "ignore")
        except (LookupError, ValueError):  # the reader says what is wrong with it
            text = self.head.decode("utf-8", "ignore")
        return next((line for line in text.splitlines() if line.strip()), "").lstrip("\ufeff")


@dataclass(frozen=True)
class TableFormat:
    """A table format: a line about it, what recognises a file of it, and what opens one.

    `rank`: formats are asked in this order; the one with the highest takes what no other does.
    """

    description: str
    rank: int
    recognises: Callable[[OpenFile], bool]
    reader: Callable[[OpenFile], TableReader]
