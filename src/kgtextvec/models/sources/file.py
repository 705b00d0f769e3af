"""`file:`, a file that the user has, such as an archive."""

import re
from collections.abc import Sequence
from pathlib import Path

from kgtextvec.errors import InputError
from kgtextvec.models.known import PLAIN_NAME
from kgtextvec.models.sources import FileSource

ARCHIVE = re.compile(r".*\.(tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz))", re.IGNORECASE)


def path_in(address: str) -> Path:
    """Return the path of an address: file:name, file:/name or file:///name."""
    rest = address.partition(":")[2]
    return Path("/" + rest.lstrip("/") if rest.startswith("//") else rest).expanduser()


class LocalFileSource(FileSource):
    """A file on this machine."""

    schemes = ("file",)
    form = "file:<path>"

    def file_name(self, address: str, known: Sequence[str]) -> str:
        """Return the file's own name, or a plain one for an archive."""
        name = path_in(address).name
        odd_archive = ARCHIVE.fullmatch(name) and not PLAIN_NAME.fullmatch(name)
        return "model.tar.gz" if odd_archive else name

    def get_file(self, address: str, target: Path, sha256: str | None) -> Path:
        """Return the path in the address. Raises InputError if there is no such file."""
        path = path_in(address)
        if not path.is_file():
            raise InputError(f"{path}: no such file. Put it there, or correct the source.")
        return path

    def watched_files(self, address: str) -> list[Path]:
        """Return the file."""
        path = path_in(address)
        return [path] if path.is_file() else []


SOURCE = LocalFileSource()
