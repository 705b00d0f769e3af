"""Get a model's files from the first source that works, each checked against the lock file."""

import os
from pathlib import Path
from typing import Any

from kgtextvec.errors import InputError
from kgtextvec.files import digest_of, sha256_of, write_json
from kgtextvec.models.fetch import NoSpace, Request, fetch
from kgtextvec.models.gdrive import drive_address, read_drive_page
from kgtextvec.models.hub import fetch_hub
from kgtextvec.models.local import Files, from_cache, local_files, placed_by_hand, to_cache
from kgtextvec.models.lock import Locked, check, expected, lock_models, read_lock, record
from kgtextvec.models.sources import Entry, Source, file_path, scheme_of
from kgtextvec.progress import say


def download(entry: Entry, lock: Path, downloads: Path, offline: bool) -> dict[str, Any]:
    """Return the record of the model's files; fetch what is not there yet.

    Files placed by hand come first, then an earlier download (no request is made), then the
    sources in their order. One process at a time works on a model. Raises InputError with every
    source's fault when none works.
    """
    folder = downloads / entry.model
    folder.mkdir(parents=True, exist_ok=True)
    locked = read_lock(lock).get(entry.model, {})
    with lock_models(folder / ".lock", entry.model):
        for source in entry.sources:
            files = placed_by_hand(folder, source, entry.kind)
            if files:
                placed = Source(f"file:{folder}", "files")
                return accept(entry, placed, files, lock, locked)
            files = from_cache(cache_of(folder, source), entry.model)
            if files:
                return accept(entry, source, files, lock, locked)
        faults = []
        for source in entry.sources:
            try:
                if source.needs_net and (offline or is_offline()):
                    raise InputError(f"{source.text}: not downloaded yet, and the run is offline")
                cache = cache_of(folder, source)
                files = gather(source, entry, cache, known_sums(entry, locked))
                whole = accept(entry, source, files, lock, locked)
            except NoSpace:
                raise
            except InputError as error:
                say(f"{entry.model}: {error}")
                faults.append(str(error).rstrip("."))
                continue
            if source.needs_net:
                to_cache(cache, source, {file["name"]: file["sha256"] for file in whole["files"]})
            return whole
    raise InputError(f"{entry.model}: {'; '.join(faults)}. {by_hand(entry, folder)}".strip())


def gather(source: Source, entry: Entry, cache: Path, sums: dict[str, str]) -> Files:
    """Return {name: path} of a source's files, fetched where needed."""
    if not source.needs_net:
        return local_files(source, entry.kind)
    cache.mkdir(parents=True, exist_ok=True)
    if source.scheme == "hub":
        return {name: cache / name for name in fetch_hub(source, entry.kind, cache, sums)}
    files = {}
    for name, address in source.files:
        scheme, target = scheme_of(address), cache / name
        if scheme == "file":
            target = file_path(address)
        elif target.exists() and sha256_of(target) == sums.get(name):
            pass
        elif scheme == "gdrive":
            url = drive_address(address.partition(":")[2])
            fetch(Request(url, target, sums.get(name), on_page=read_drive_page))
        else:
            fetch(Request(address, target, sums.get(name)))
        files[name] = target
    return files


def accept(
    entry: Entry, source: Source, files: Files, lock: Path, locked: Locked
) -> dict[str, Any]:
    """Check the digests against catalogue and lock file, record new ones, return the record."""
    found = {}
    for name, path in files.items():
        try:
            found[name] = sha256_of(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
        known = entry.sha256.get(name)
        if known and known != found[name]:
            raise InputError(
                f"{path}: checksum mismatch: expected sha256 {known} (catalogue), got"
                f" {found[name]}. Delete the file and get the right one."
            )
    check(lock, entry.model, locked, source.text, found)
    record(lock, entry.model, source.text, source.revision, found)
    return {
        "model": entry.model,
        "source": source.text,
        "revision": source.revision,
        "files": [
            {
                "name": name,
                "path": str(path.absolute()),
                "sha256": found[name],
                "bytes": path.stat().st_size,
            }
            for name, path in files.items()
        ],
        "kind": entry.kind,
        "subdir": entry.subdir,
        # Known digests of files inside an archive, for the step that unpacks it.
        "inside": {name: sum_ for name, sum_ in entry.sha256.items() if name not in files},
    }


def known_sums(entry: Entry, locked: Locked) -> dict[str, str]:
    """Return every digest that is known before the download; the catalogue's count first."""
    sums = {name: str(expected(locked, name)) for name in locked}
    return {**sums, **entry.sha256}


def cache_of(folder: Path, source: Source) -> Path:
    """Return the source's own folder of the cache, so that no source takes another's files."""
    return folder / digest_of(source.text)[:12]


def is_offline() -> bool:
    """Tell whether KGTEXTVEC_OFFLINE or HF_HUB_OFFLINE forbids the network."""
    names = ("KGTEXTVEC_OFFLINE", "HF_HUB_OFFLINE")
    values = (os.environ.get(name, "").strip().lower() for name in names)
    return any(value not in ("", "0", "false", "no", "off") for value in values)


def by_hand(entry: Entry, folder: Path) -> str:
    """Say which files to put where, when a source on the net failed."""
    for source in entry.sources:
        if source.needs_net:
            named = ", ".join(name for name, _ in source.files)
            names = named or "config.json, the weights and the tokenizer's files"
            return f"Or get them by hand: put {names} into {folder.absolute()} and run again."
    return ""


def download_to(model_entry: Entry, lock: Path, downloads: Path, out: Path, offline: bool) -> None:
    """Do `download` and write its record to `out`."""
    whole = download(model_entry, lock, downloads, offline)
    write_json(out, whole)
    size = sum(file["bytes"] for file in whole["files"])
    say(f"{whole['model']}: {len(whole['files'])} files, {size:,} bytes, from {whole['source']}")
