"""The users' files that a step reads, as they are when it reads them."""

from collections.abc import Iterable
from pathlib import Path

from kgtextvec.checksums import xxh3_of
from kgtextvec.errors import InputError, without_escapes
from kgtextvec.records import SourceFile


class SourceFiles:
    """Files that are about to be read. What is no file is left out."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.before = {path: state_of(path) for path in paths if path.is_file()}

    def record(self) -> dict[str, SourceFile]:
        """Return sizes and checksums by path, once all has been read.

        Raises InputError when a file is another one than before: what was read may be parts of
        both.
        """
        found: dict[str, SourceFile] = {}
        for path, before in self.before.items():
            shown = shown_path(path)
            checksum = xxh3_of(path)
            if state_of(path) != before:
                raise InputError(
                    f"{shown}: was changed while it was read. Run again when it is complete."
                )
            found[shown] = {"bytes": before[0], "xxh3": checksum}
        return found


def shown_path(path: Path | str) -> str:
    """Return how records name a file: without `./` and characters that a terminal obeys."""
    return without_escapes(str(Path(path)))


def state_of(path: Path) -> tuple[int, int, int]:
    """Return a file's size, time of its last change and number on its disk."""
    about = path.stat()
    return about.st_size, about.st_mtime_ns, about.st_ino
