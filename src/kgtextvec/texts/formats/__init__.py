"""Table formats: how rows come out of a file. One module each, no list here."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from kgtextvec.settings.tables import Reading
    from kgtextvec.texts.findings import Findings
    from kgtextvec.texts.header import Header
    from kgtextvec.texts.reader import Batch


class TableReader(Protocol):
    """One pass over a table: call open, take, batches. `at` is the line after the header."""

    at: int

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
class TableFormat:
    """A table format: a line about it, and what opens a file of it.

    `reader` takes the path, where findings go, how to read, and what is called with the number of
    bytes read, or None.
    """

    description: str
    reader: "Callable[[Path, Findings, Reading, Callable[[int], None] | None], TableReader]"
