"""models.lock.yaml: the digest of each file at its first download; later ones must agree."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from kgtextvec.errors import InputError
from kgtextvec.files import whole_file
from kgtextvec.progress import say

HEAD = (
    "# Digests of the models' files, recorded at first use. A later difference is an error.\n"
    "# If a change is meant, delete the model's entry here and run again.\n"
)
Locked = dict[str, dict[str, Any]]  # file: {sha256, source, revision}


@contextmanager
def alone(path: Path, who: str) -> Iterator[None]:
    """Hold an exclusive lock on `path`, a file (made if absent) or a folder.

    The system releases it when the process ends, however it ends. Where the file system knows no
    locks, says so and goes on.
    """
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    handle = os.open(path, flags, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{who}: another process is at it, waiting")
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            say(f"{who}: {path.parent} knows no file locks ({error.strerror}), going on without")
        yield
    finally:
        os.close(handle)


def read_lock(path: Path) -> dict[str, Locked]:
    """Return {model: {file: {sha256, source, revision}}}. Raises InputError for a damaged file."""
    if not path.exists():
        return {}
    try:
        values = yaml.safe_load(path.read_text("utf-8")) or {}
        for files in values.values():
            for record in files.values():
                record["sha256"].lower()
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: cannot be read ({' '.join(str(error).split())[:100]}). Take it from version"
            " control, or delete it to trust the next download."
        ) from None
    return dict(values)


def expected(locked: Locked, name: str) -> str | None:
    """Return the sha256 that a file of the model must have, None at first use."""
    return str(locked[name]["sha256"]) if name in locked else None


def check(path: Path, model: str, locked: Locked, source: str, found: dict[str, str]) -> None:
    """Compare {file: sha256} with the record. Raises InputError on the first difference."""
    meant = f"If the change is meant, delete {model} from {path}, else restore the file."
    for name, digest in found.items():
        known = expected(locked, name)
        if known is not None and known != digest:
            was = locked[name].get("source")
            before = f" from {was}" if was != source else ""
            raise InputError(
                f"{model}, {name}: checksum mismatch: expected sha256 {known} (first"
                f" download{before}), got {digest}. {meant}"
            )
    for name, record in locked.items():
        if record.get("source") == source and name not in found:
            raise InputError(f"{model}, {name}: was there at first use and is gone. {meant}")


def record(
    path: Path, model: str, source: str, revision: str | None, found: dict[str, str]
) -> None:
    """Add what is new of a model to the record; safe among processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = {
        name: {"sha256": digest, "source": source, "revision": revision}
        for name, digest in found.items()
    }
    if all(read_lock(path).get(model, {}).get(name) == value for name, value in new.items()):
        return
    with alone(path.parent, path.name):
        whole = read_lock(path)
        check(path, model, whole.get(model, {}), source, found)
        whole[model] = dict(sorted({**whole.get(model, {}), **new}.items()))
        text = yaml.safe_dump(dict(sorted(whole.items())), sort_keys=False, allow_unicode=True)
        with whole_file(path) as part:
            part.write_text(HEAD + text, "utf-8")
