"""A catalogue entry and its sources: read them, refuse what is not meant."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from kgtextvec.errors import InputError
from kgtextvec.models.known import PLAIN_NAME
from kgtextvec.registry import POOLINGS

KINDS = ("transformer", "elmo")
FORMS = (
    "hub:owner/name@<40 hex digits>, https://…tar.gz, gdrive:<id>, file:<path>, path:<folder>,"
    " package:<package>/<folder>, or a mapping from file name to one of https, gdrive, file"
)
ARCHIVE = re.compile(r".*\.(tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz))", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """One place a model can come from.

    scheme is hub, path, package or files; `files` are (name, address) pairs with an address that
    starts with https:, http:, gdrive: or file:. `text` is how the lock file names the source.
    """

    text: str
    scheme: str
    address: str = ""
    revision: str | None = None
    files: tuple[tuple[str, str], ...] = ()

    @property
    def needs_net(self) -> bool:
        """Whether the network is needed."""
        local = all(address.startswith("file:") for _, address in self.files)
        return self.scheme == "hub" or (self.scheme == "files" and not local)


@dataclass(frozen=True)
class Entry:
    """What the catalogue says of a model, checked."""

    model: str
    kind: str
    sources: tuple[Source, ...]
    sha256: dict[str, str] = field(default_factory=dict)
    subdir: str | None = None
    pooling: str = "mean"
    max_tokens: int | None = None
    dims: int | None = None
    do_lower_case: bool | None = None
    license: str | None = None
    citation: str | None = None


def read_entry(model: str, text: str, sources: bool = True) -> Entry:
    """Read a catalogue entry given as JSON; `sources`: whether it must name some.

    Raises InputError that names the key.
    """
    where = f"catalogue, {model}"
    try:
        values = json.loads(text)
    except ValueError as error:
        raise InputError(f"{where}: --entry is not valid JSON ({error}).") from None
    if not isinstance(values, dict):
        raise InputError(f"{where}: the entry must be a mapping with the key source.")
    check_name(model)
    kind = one_of(where, "kind", values.get("kind") or "transformer", KINDS)
    sums = values.get("sha256") or {}
    if not isinstance(sums, dict) or not all(is_sha256(value) for value in sums.values()):
        raise InputError(f"{where}.sha256: must map file names to sha256 of 64 hex digits.")
    sums = {str(name): value.lower() for name, value in sums.items()}
    given = values.get("source")
    listed = given if isinstance(given, list) else [given] if given else []
    if sources and not listed:
        raise InputError(f"{where}.source: missing. Give one or several of: {FORMS}.")
    subdir = values.get("subdir")
    if subdir is not None and (".." in Path(str(subdir)).parts or str(subdir).startswith("/")):
        raise InputError(f"{where}.subdir: {subdir!r} must be a folder inside the archive.")
    return Entry(
        model=model,
        kind=kind,
        sources=tuple(read_source(where, source, list(sums)) for source in listed),
        sha256=sums,
        subdir=str(subdir).strip("/") if subdir else None,
        pooling=one_of(where, "pooling", values.get("pooling") or "mean", POOLINGS.names()),
        max_tokens=number(where, "max_tokens", values.get("max_tokens")),
        dims=number(where, "dims", values.get("dims")),
        do_lower_case=truth(where, "do_lower_case", values.get("do_lower_case")),
        license=as_text(values.get("license")),
        citation=as_text(values.get("citation")),
    )


def read_source(where: str, given: Any, names: list[str]) -> Source:
    """Read one source; `names` are the files whose checksum is known (they name a Drive file)."""
    if isinstance(given, dict) and given:
        files = []
        for name, address in given.items():
            if not PLAIN_NAME.fullmatch(str(name)):
                raise InputError(f"{where}.source: {name!r} is not a plain file name.")
            if not isinstance(address, str) or scheme_of(address) not in (
                "https",
                "http",
                "gdrive",
                "file",
            ):
                raise InputError(f"{where}.source: {address!r} is not https, gdrive or file.")
            check_drive(where, address)
            files.append((str(name), address))
        text = "{" + ", ".join(f"{name}: {address}" for name, address in files) + "}"
        return Source(text, "files", files=tuple(files))
    if not isinstance(given, str):
        raise InputError(f"{where}.source: {given!r} is not one of: {FORMS}.")
    scheme, rest = scheme_of(given), given.partition(":")[2]
    if scheme == "hub":
        found = re.fullmatch(r"([\w.-]+(?:/[\w.-]+)?)(?:@(.*))?", rest)
        if not found or not re.fullmatch(r"[0-9a-f]{40}", found.group(2) or ""):
            raise InputError(
                f"{where}.source: {given!r} needs a pinned revision,"
                " hub:owner/name@<the commit's 40 hex digits>; a branch may change under you."
            )
        return Source(given, "hub", found.group(1), found.group(2))
    if scheme in ("path", "package") and rest:
        return Source(given, scheme, rest)
    if scheme == "gdrive":
        check_drive(where, given)
        return Source(given, "files", files=((names[0] if len(names) == 1 else rest, given),))
    if scheme in ("https", "http", "file") and rest:
        path = urlsplit(given).path if scheme != "file" else rest
        name = unquote(path.rstrip("/").rpartition("/")[2])
        if not PLAIN_NAME.fullmatch(name):
            name = "model.tar.gz" if scheme == "file" and ARCHIVE.fullmatch(name) else name
        if not PLAIN_NAME.fullmatch(name):
            raise InputError(f"{where}.source: {given!r} does not end in a plain file name.")
        return Source(given, "files", files=((name, given),))
    raise InputError(f"{where}.source: {given!r} is not one of: {FORMS}.")


def scheme_of(source: str) -> str:
    """Return what stands before the first colon."""
    return source.partition(":")[0].lower() if ":" in source else ""


def file_path(address: str) -> Path:
    """Return the path of a file: address (file:name, file:/name or file:///name)."""
    rest = address.partition(":")[2]
    return Path("/" + rest.lstrip("/") if rest.startswith("//") else rest).expanduser()


def check_drive(where: str, address: str) -> None:
    """Refuse what cannot be a Drive id, such as a whole link."""
    if scheme_of(address) == "gdrive" and not re.fullmatch(r"gdrive:[\w-]{10,100}", address):
        raise InputError(
            f"{where}.source: {address!r} must be gdrive: and the id alone, the letters between"
            " /d/ and /view of the link."
        )


def check_name(model: str) -> None:
    """Refuse model names that cannot be a folder beside texts and exports."""
    if not PLAIN_NAME.fullmatch(model) or model in ("texts", "exports"):
        raise InputError(
            f"catalogue, {model!r}: a model's name is a folder's: letters, digits, . _ + -, and not"
            " texts or exports. Rename it."
        )


def is_sha256(value: Any) -> bool:
    """Tell whether this is a sha256 in hex."""
    return isinstance(value, str) and bool(re.fullmatch(r"[0-9a-fA-F]{64}", value))


def one_of(where: str, key: str, value: Any, allowed: Sequence[str]) -> str:
    """Return the value if it is allowed."""
    if value not in allowed:
        hint = (
            " The pooler is often missing from the weights, then random: take cls in its place."
            if value == "pooler"
            else ""
        )
        raise InputError(f"{where}.{key}: {value!r} is not one of {', '.join(allowed)}.{hint}")
    return str(value)


def number(where: str, key: str, value: Any) -> int | None:
    """Return a positive whole number or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{where}.{key}: {value!r} is not a positive whole number.")
    return value


def truth(where: str, key: str, value: Any) -> bool | None:
    """Return true, false or None."""
    if value is not None and not isinstance(value, bool):
        raise InputError(f"{where}.{key}: {value!r} is not true or false.")
    return value


def as_text(value: Any) -> str | None:
    """Return a text for the record, None for nothing."""
    return None if value is None else str(value)
