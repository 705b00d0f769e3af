"""Earlier downloads: each location has its own folder of the cache, marked once it is complete."""

from pathlib import Path

from kgtextvec.errors import InputError
from kgtextvec.files import digest_of, parse_json, sha256_of, write_json
from kgtextvec.models.entry import Location
from kgtextvec.models.sources import Files

MARKER = ".whole.json"


def cache_of(folder: Path, location: Location) -> Path:
    """Return a location's folder, so that no location takes the files of another."""
    return folder / digest_of(location.pinned or location.text)[:12]


def from_cache(folder: Path, model: str) -> Files:
    """Return the files of an earlier download, their digests checked; {} if there is none.

    Raises InputError when a file changed on the disk.
    """
    marker = folder / MARKER
    try:
        marked = parse_json(marker.read_text("utf-8"))
        sums = marked["files"]
        # The first version left a model's recipe (modules.json) on the server.
        if "config.json" in sums and not marked.get("with_recipe"):
            return {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    files = {name: folder / name for name in sums}
    if not all(path.is_file() for path in files.values()):
        return {}
    for name, path in files.items():
        got = sha256_of(path)
        if got != sums[name]:
            raise InputError(
                f"{path}: checksum mismatch: expected sha256 {sums[name]} (as it was downloaded for"
                f" {model}), got {got}. Delete this file and run again to download it anew."
            )
    return files


def mark_complete(folder: Path, location: Location, digests: dict[str, str]) -> None:
    """Mark a download as complete, once its digests are accepted."""
    write_json(folder / MARKER, {"source": location.text, "files": digests, "with_recipe": True})
