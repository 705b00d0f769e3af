"""Sources that need no network: a folder, an installed package, a file, what lies in the cache."""

import json
from importlib.util import find_spec
from pathlib import Path

from kgtextvec.errors import InputError
from kgtextvec.files import sha256_of, write_json
from kgtextvec.models.known import wanted
from kgtextvec.models.sources import Source, file_path

MARKER = ".whole.json"
Files = dict[str, Path]


def local_files(source: Source, kind: str) -> Files:
    """Return {name: path} of a path:, package: or file: source. Raises InputError if absent."""
    if source.scheme == "files":
        files = {name: file_path(address) for name, address in source.files}
        for path in files.values():
            if not path.is_file():
                raise InputError(f"{path}: no such file. Put it there, or mend the source.")
        return files
    if source.scheme == "package":
        folder = package_folder(source.address)
    else:
        folder = Path(source.address).expanduser()
    if not folder.is_dir():
        what = (
            "is a file, not a folder; name it with file:" if folder.exists() else "no such folder"
        )
        raise InputError(f"{folder}: {what}.")
    names = wanted((path.name for path in folder.iterdir() if path.is_file()), kind)
    if kind == "transformer" and "config.json" not in names:
        raise InputError(f"{folder}: holds no config.json, so it is not a model's folder.")
    if not names:
        raise InputError(f"{folder}: holds no file of a model (options.json, weights.hdf5).")
    return {name: folder / name for name in names}


def package_folder(address: str) -> Path:
    """Find the folder `package/inside` of an installed package without importing it."""
    package, _, inside = address.partition("/")
    if not package.isidentifier() or ".." in Path(inside).parts:
        raise InputError(f"package:{address}: must be <package>/<folder inside>.")
    found = find_spec(package)
    roots = list(found.submodule_search_locations or []) if found else []
    if not roots:
        raise InputError(
            f"package:{address}: Python package {package} is not installed. Install it:"
            f" pip install {package.replace('_', '-')}"
        )
    return Path(roots[0]) / inside


def placed_by_hand(folder: Path, source: Source, kind: str) -> Files:
    """Return what a user put into the model's folder of the cache, if that is all of the source.

    A hub's files are taken as placed when a config.json lies there.
    """
    if not folder.is_dir():
        return {}
    here = {path.name: path for path in folder.iterdir() if path.is_file()}
    if source.scheme == "files":
        names = [name for name, _ in source.files]
    elif source.scheme == "hub" and (kind == "elmo" or "config.json" in here):
        names = wanted(here, kind)
    else:
        names = []
    return {name: here[name] for name in names} if names and set(names) <= set(here) else {}


def from_cache(folder: Path, model: str) -> Files:
    """Return the files of an earlier download, proven by their digests; {} if there is none.

    Raises InputError when a file changed on the disk.
    """
    marker = folder / MARKER
    try:
        sums = json.loads(marker.read_text("utf-8"))["files"]
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


def to_cache(folder: Path, source: Source, sums: dict[str, str]) -> None:
    """Mark a download as whole, once its digests are accepted."""
    write_json(folder / MARKER, {"source": source.text, "files": sums})
