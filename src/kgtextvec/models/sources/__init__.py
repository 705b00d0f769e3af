"""Sources: the kinds of places that a model's files come from. One module each, no list here.

These modules are light: the workflow imports them to ask which files of this machine a model is
made of. What a download needs is imported when it starts.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kgtextvec.errors import InputError
from kgtextvec.models.known import PLAIN_NAME
from kgtextvec.registry import SOURCES

Files = dict[str, Path]  # name in the model's folder: path


@dataclass(frozen=True)
class Destination:
    """Where a model's files go, and what is known about them.

    `kind` is the model's, transformer or elmo; `cache` a folder for what is fetched, which need
    not exist; `digests` are known sha256 by file name.
    """

    kind: str
    cache: Path
    digests: Mapping[str, str]


class Source(ABC):
    """A kind of source: a FolderSource or a FileSource.

    An address starts with one of its `schemes` and a colon; `form` shows how it is written, for
    messages and docs.
    """

    schemes: tuple[str, ...]
    form: str
    needs_net = False

    @abstractmethod
    def check(self, address: str) -> None:
        """Raise InputError unless the address is well formed; nothing is opened."""

    def watched_files(self, address: str) -> list[Path]:
        """Return the files of this machine that an address names; a change makes the model anew."""
        return []


class FolderSource(Source):
    """A kind of source whose addresses name all files of a model."""

    @abstractmethod
    def get_files(self, address: str, to: Destination) -> Files:
        """Find or fetch the model's files. Raises InputError, which names the address."""

    def revision(self, address: str) -> str | None:
        """Return the pinned commit of an address, if it has one."""
        return None

    def pinned(self, address: str, commits: Mapping[str, str]) -> str | None:
        """Return the address of one fixed state; None if the server must be asked which one it is.

        `commits` are those of earlier downloads, by address.
        """
        return address

    def resolve(self, address: str, folder: Path) -> str:
        """Ask the server what an address refers to now; return it pinned.

        `folder` holds the answer meanwhile. Raises InputError, which names the address.
        """
        return address

    def files_placed_by_hand(self, present: Iterable[str], kind: str) -> list[str]:
        """Return which files of a folder can stand in for a download; none unless all are there.

        `present` are the names of its files, `kind` is the model's.
        """
        return []


class FileSource(Source):
    """A kind of source whose addresses name one file each; a mapping can hold several of them."""

    def check(self, address: str) -> None:
        """Raise InputError unless the address ends in a plain file name."""
        if not PLAIN_NAME.fullmatch(self.file_name(address, ())):
            raise InputError(f"{address!r} does not end in a plain file name. Correct the address.")

    @abstractmethod
    def file_name(self, address: str, known: Sequence[str]) -> str:
        """Return the name of the file; `known` are the names of files with a known digest."""

    @abstractmethod
    def get_file(self, address: str, target: Path, sha256: str | None) -> Path:
        """Return the path of the file, which is fetched to `target` where needed.

        `sha256` is its digest, if known. Raises InputError, which names the address.
        """


def scheme_of(address: str) -> str:
    """Return what precedes the first colon, in lower case."""
    return address.partition(":")[0].lower() if ":" in address else ""


def source_of(address: str) -> Source | None:
    """Return the kind of source that an address belongs to."""
    scheme = scheme_of(address)
    return next((one for one in all_sources() if scheme in one.schemes), None)


def all_sources() -> list[Source]:
    """Return every kind of source."""
    return [SOURCES[name] for name in SOURCES.names()]


def watched_files(source: object) -> list[Path]:
    """Return the files on this machine that a catalogue entry's `source` names.

    `source` is an address, a mapping from file names to addresses, or a list of these.
    """
    if isinstance(source, str):
        kind = source_of(source)
        return kind.watched_files(source) if kind else []
    if isinstance(source, Mapping):
        return [path for one in source.values() for path in watched_files(one)]
    if isinstance(source, Sequence):
        return [path for one in source for path in watched_files(one)]
    return []
