"""Get a model's files from the first location that works, each checked against the lock file."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from kgtextvec.encoders.choices import choose
from kgtextvec.errors import InputError
from kgtextvec.files import sha256_of
from kgtextvec.models.adapter import ADAPTER_CONFIG
from kgtextvec.models.cache import cache_of, from_cache, mark_complete
from kgtextvec.models.entry import Location, locations_of, read_entry
from kgtextvec.models.fetch_errors import NoSpace
from kgtextvec.models.known import is_model
from kgtextvec.models.lock import lock_digests, lock_models, locked_commits, read_lock
from kgtextvec.models.recipe import read_recipe
from kgtextvec.models.sources import Destination, Files
from kgtextvec.progress import say
from kgtextvec.records import DownloadRecord, write_record
from kgtextvec.server_address import is_offline
from kgtextvec.settings.base import settings_of
from kgtextvec.settings.models import EncoderOptions, Model


def download_model(
    model: Annotated[str, "name in the catalogue"],
    *,
    entry: Annotated[str, "the catalogue entry, as JSON"],
    lock: Annotated[Path, "models.lock.yaml: digests at first download"],
    downloads: Annotated[Path, "cache; survives reruns"],
    out: Annotated[Path, "record of the files, JSON"],
    encoding: EncoderOptions = EncoderOptions(),
    offline: Annotated[bool, "use what was downloaded before, ask no server"] = False,
) -> None:
    """Fetch a model's files to the cache and write their record.

    Files placed by hand come first, then an earlier download (no request is made), then the
    sources in their order. One process at a time works on a model. Raises InputError when no
    source works, or when a file differs from that of the first download. `encoding` is for the
    log, which says how a text will become a vector, and who chose that.
    """
    settings = read_entry(model, entry, Model)
    found = find_files(model, settings, lock, downloads, offline)
    write_record(out, found)
    size = sum(file["bytes"] for file in found["files"])
    say(f"{model}: {len(found['files'])} files, {size:,} bytes, from {found['source']}")
    files = {file["name"]: Path(file["path"]) for file in found["files"]}
    # An adapter may leave its recipe to the model that it belongs to: convert-model reads both.
    if settings.kind == "transformer" and is_model(files) and ADAPTER_CONFIG not in files:
        asked = {key: getattr(encoding, key) for key in settings_of(EncoderOptions)}
        say(f"{model}: {choose(read_recipe(files), asked).summary()}")


def find_files(
    model: str, entry: Model, lock: Path, downloads: Path, offline: bool
) -> DownloadRecord:
    """Return the record of the model's files; fetch those that are missing.

    Raises InputError with every location's fault when none works.
    """
    folder = downloads / model
    locked = read_lock(lock).get(model, {})
    commits = locked_commits(locked)
    locations = [one.pin(commits) for one in locations_of(model, entry)]
    folder.mkdir(parents=True, exist_ok=True)
    known = {name: file["sha256"] for name, file in locked.items()} | entry.sha256
    with lock_models(folder / ".lock", model):
        for location in locations:
            files = location.files_placed_by_hand(folder, entry.kind)
            if files:
                return accept_files(model, entry, Location(f"file:{folder}"), files, lock)
            files = from_cache(cache_of(folder, location), model) if location.pinned else {}
            if files:
                return accept_files(model, entry, location, files, lock)
        faults = []
        for listed in locations:
            try:
                if listed.needs_net and (
                    offline or is_offline("KGTEXTVEC_OFFLINE", "HF_HUB_OFFLINE")
                ):
                    raise InputError(f"{listed.text}: not downloaded yet, and the run is offline")
                location = listed.resolve(folder)
                if location != listed:
                    say(f"{model}: {location.text} is commit {location.revision}; {lock} keeps it")
                to = Destination(entry.kind, cache_of(folder, location), known)
                files = from_cache(to.cache, model) if location != listed else {}
                files = files or location.get_files(to)
                found = accept_files(model, entry, location, files, lock)
            except NoSpace:
                raise
            except InputError as error:
                say(f"{model}: {error}")
                faults.append(str(error).rstrip("."))
                continue
            if location.needs_net:
                digests = {file["name"]: file["sha256"] for file in found["files"]}
                mark_complete(to.cache, location, digests)
            return found
    raise InputError(f"{model}: {'; '.join(faults)}. {advice_by_hand(locations, folder)}".strip())


def accept_files(
    model: str, entry: Model, location: Location, files: Files, lock: Path
) -> DownloadRecord:
    """Check the digests against catalogue and lock file, record new ones, return the record.

    Of an ELMo's checkpoints only the latest is taken. Raises InputError for a file that differs,
    and, before a byte of its weights is read, for an ELMo of a kind that isn't supported.
    """
    if entry.kind == "elmo":
        from kgtextvec.encoders.elmo.bilm_folder import files_in_use

        files = files_in_use(files)
    found = {}
    for name, path in files.items():
        try:
            found[name] = sha256_of(path)
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}). Make it readable."
            ) from None
        known = entry.sha256.get(name)
        if known and known != found[name]:
            raise InputError(
                f"{path}: checksum mismatch: expected sha256 {known} (catalogue), got"
                f" {found[name]}. Delete the file and get the right one."
            )
    lock_digests(lock, model, location.text, location.revision, found)
    return {
        "model": model,
        "source": location.text,
        "revision": location.revision,
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
        "subdir": entry.subdir.strip("/") if entry.subdir else None,
        # Known digests of files inside an archive, for the step that unpacks it.
        "inside": {name: digest for name, digest in entry.sha256.items() if name not in files},
    }


def advice_by_hand(locations: Iterable[Location], folder: Path) -> str:
    """Return which files to put where, when a source on the net failed."""
    for location in locations:
        if location.needs_net:
            names = (
                ", ".join(location.files) or "config.json, the weights and the tokenizer's files"
            )
            return f"Or get them by hand: put {names} into {folder.absolute()} and run again."
    return ""
