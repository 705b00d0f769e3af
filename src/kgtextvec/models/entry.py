"""A catalogue entry, checked, and the locations of its files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from kgtextvec.errors import InputError
from kgtextvec.files import parse_json
from kgtextvec.models.known import PLAIN_NAME, files_in
from kgtextvec.models.sources import (
    Destination,
    Files,
    FileSource,
    FolderSource,
    Source,
    all_sources,
    source_of,
)
from kgtextvec.settings.base import Settings, read_settings, settings_of
from kgtextvec.settings.models import Access, Address, Model

Keys = TypeVar("Keys", bound=Settings)


def read_entry(model: str, text: str, keys: type[Keys]) -> Keys:
    """Read a catalogue entry given as JSON; keys of the catalogue that `keys` lacks are ignored.

    Raises InputError that names the key.
    """
    where = f"catalogue, {model}"
    try:
        given = parse_json(text)
    except ValueError as error:
        raise InputError(f"{where}: --entry is not valid JSON ({error}). Correct it.") from None
    if not isinstance(given, dict):
        raise InputError(f"{where}: the entry must be a mapping with the key source.")
    if not PLAIN_NAME.fullmatch(model) or model in ("texts", "exports"):
        raise InputError(
            f"catalogue, {model!r}: a model's name is a folder's: letters, digits, . _ + -, and not"
            " texts or exports. Rename it."
        )
    others = settings_of(Model).keys() - settings_of(keys).keys()
    values = {k: value for k, value in given.items() if value is not None and k not in others}
    try:
        return read_settings(keys, values, f"{where}.")
    except InputError as error:
        if values.get("pooling") != "pooler":
            raise
        raise InputError(
            f"{error} The pooler is often missing from the weights, then random: take cls instead."
        ) from None


def read_access(model: str, text: str) -> Access:
    """Read from JSON how an endpoint is asked. Raises InputError that names the key."""
    return read_settings(Access, parse_json(text), f"catalogue, {model}.")


@dataclass(frozen=True)
class Location:
    """One item of an entry's `source`, checked: an address, or several files with one each.

    `text` is how the lock file names it. `files` maps file names to addresses; it is empty if
    `text` is the address of a folder. `pinned` is that address with its commit, None as long as it
    is not known which one is meant.
    """

    text: str
    files: Mapping[str, str] = field(default_factory=dict)
    pinned: str | None = None

    @property
    def folder_source(self) -> FolderSource | None:
        """The kind of source, if it is a folder's address."""
        kind = None if self.files else source_of(self.text)
        return kind if isinstance(kind, FolderSource) else None

    @property
    def needs_net(self) -> bool:
        """Whether the network is needed."""
        kinds = [source_of(address) for address in self.files.values() or [self.text]]
        return any(kind.needs_net for kind in kinds if kind)

    @property
    def revision(self) -> str | None:
        """The pinned commit, if there is one."""
        address = self.pinned or self.text
        return self.folder_source.revision(address) if self.folder_source else None

    def pin(self, commits: Mapping[str, str]) -> "Location":
        """Return the location as it was at an earlier download; `commits` are those, by address."""
        source = self.folder_source
        return replace(self, pinned=source.pinned(self.text, commits) if source else self.text)

    def resolve(self, folder: Path) -> "Location":
        """Return the location pinned; the server is asked if need be. Raises InputError."""
        source = self.folder_source
        if self.pinned or source is None:
            return self
        return replace(self, pinned=source.resolve(self.text, folder))

    def get_files(self, to: Destination) -> Files:
        """Find or fetch the model's files. Raises InputError for what cannot be had."""
        if self.folder_source:
            return self.folder_source.get_files(self.pinned or self.text, to)
        return {
            name: kind.get_file(address, to.cache / name, to.digests.get(name))
            for name, address in self.files.items()
            if isinstance(kind := source_of(address), FileSource)
        }

    def files_placed_by_hand(self, folder: Path, kind: str) -> Files:
        """Return what a user put into a folder, if these are all files of the location."""
        present = files_in(folder)
        names = list(self.files)
        if self.folder_source:
            names = self.folder_source.files_placed_by_hand(present, kind)
        return {name: present[name] for name in names} if set(names) <= set(present) else {}


def locations_of(model: str, entry: Model) -> list[Location]:
    """Return where a model's files are, in the order to try. Raises InputError that names source.

    Only addresses are checked; nothing is opened.
    """
    where = f"catalogue, {model}.source"
    listed = entry.source if isinstance(entry.source, tuple) else (entry.source,)
    subdir = entry.subdir or ""
    if ".." in Path(subdir).parts or subdir.startswith("/"):
        raise InputError(
            f"catalogue, {model}.subdir: {subdir!r} must be a folder inside the archive."
        )
    return [read_location(where, one, list(entry.sha256)) for one in listed]


def read_location(where: str, given: Address, known: list[str]) -> Location:
    """Check one item of `source`; `known` are the names of files with a known digest."""
    if isinstance(given, str):
        source = checked_source(where, given)
        if isinstance(source, FileSource):
            return Location(given, {source.file_name(given, known): given})
        return Location(given)
    if not given:
        raise InputError(f"{where}: an empty mapping names no file. Name one, or remove it.")
    for name, address in given.items():
        if not PLAIN_NAME.fullmatch(name):
            raise InputError(
                f"{where}: {name!r} is not a plain file name. Name a file without its folder."
            )
        if not isinstance(source_of(address), FileSource):
            raise InputError(f"{where}: {address!r} is not one of {file_schemes()}.")
        checked_source(where, address)
    text = ", ".join(f"{name}: {address}" for name, address in given.items())
    return Location(f"{{{text}}}", given)


def hint_for(address: str) -> str:
    """Return how to write an address that lacks its scheme, if it is clear which."""
    if address.startswith(("/", "./", "../", "~")):
        return f" Write path:{address} for a folder."
    if re.fullmatch(r"[\w.-]+/[\w.-]+", address):
        return f" Write hub:{address} for a model of the hub, path:{address} for a folder."
    return ""


def checked_source(where: str, address: str) -> Source:
    """Return the kind of source of a well-formed address."""
    source = source_of(address)
    if source is None:
        forms = ", ".join(one.form for one in all_sources())
        raise InputError(
            f"{where}: {address!r} is not one of: {forms}, or a mapping from file name to one of"
            f" {file_schemes()}.{hint_for(address)}"
        )
    try:
        source.check(address)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return source


def file_schemes() -> str:
    """Return the schemes that an address in a mapping can have."""
    return ", ".join(one.schemes[0] for one in all_sources() if isinstance(one, FileSource))
