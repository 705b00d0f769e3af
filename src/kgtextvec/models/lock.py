"""models.lock.yaml: the digest of each file at its first download; later ones must agree."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypedDict

import yaml

from kgtextvec.errors import InputError
from kgtextvec.files import whole_file
from kgtextvec.locks import hold_lock, open_to_lock, run_without_lock

LOCK_HEADER = (
    "# Digests of the models' files, recorded at first use. A later difference is an error.\n"
    "# If a change is meant, delete the model's entry here and run again.\n"
)


class LockedFile(TypedDict):
    """What the lock file says about a file of a model."""

    sha256: str
    source: str
    revision: str | None


LockedFiles = dict[str, LockedFile]  # of one model, by file name


@contextmanager
def lock_models(path: Path, who: str) -> Iterator[None]:
    """Hold the lock of `path`, a file (made if absent) or a folder; `who` is named in messages.

    Where the file system has no locks, the log says so and the block runs without one.
    """
    with hold_lock(
        [partial(open_to_lock, path)],
        lambda: f"{who}: another process holds the lock, waiting",
        partial(run_without_lock, path),
    ):
        yield


def read_lock(path: Path) -> dict[str, LockedFiles]:
    """Return the locked files by model. Raises InputError for a damaged file."""
    if not path.exists():
        return {}
    try:
        values = yaml.safe_load(path.read_text("utf-8")) or {}
        for files in values.values():
            for locked in files.values():
                locked["sha256"].lower()
    except (
        yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError, KeyError, RecursionError
    ) as error:  # fmt: skip
        raise InputError(
            f"{path}: cannot be read ({' '.join(str(error).split())[:100]}). Take it from version"
            " control, or delete it to trust the next download."
        ) from None
    return dict(values)


def locked_commits(locked: LockedFiles) -> dict[str, str]:
    """Return the commit of each address that files of a model came from, where it has one."""
    return {file["source"]: str(file["revision"]) for file in locked.values()
            if file.get("source") and file.get("revision")}  # fmt: skip


def check_locked(
    path: Path, model: str, locked: LockedFiles, source: str, digests: dict[str, str]
) -> None:
    """Compare {file: sha256} with the lock file. Raises InputError on the first difference."""
    advice = f"If the change is meant, delete {model} from {path}, else restore the file."
    for name, digest in digests.items():
        if name in locked and locked[name]["sha256"] != digest:
            before = locked[name].get("source")
            origin = f" from {before}" if before != source else ""
            raise InputError(
                f"{model}, {name}: checksum mismatch: expected sha256 {locked[name]['sha256']}"
                f" (first download{origin}), got {digest}. {advice}"
            )
    for name, file in locked.items():
        if file.get("source") == source and name not in digests:
            raise InputError(f"{model}, {name}: was there at first use and is gone. {advice}")


def lock_digests(
    path: Path, model: str, source: str, revision: str | None, digests: dict[str, str]
) -> None:
    """Check the digests of a model's files and add new ones to the lock file.

    Safe among processes. Raises InputError if a file differs from the one at its first download.
    """
    new: LockedFiles = {
        name: {"sha256": digest, "source": source, "revision": revision}
        for name, digest in digests.items()
    }
    locked = read_lock(path).get(model, {})
    check_locked(path, model, locked, source, digests)
    if all(locked.get(name) == file for name, file in new.items()):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock_models(path.parent, path.name):
        models = read_lock(path)
        check_locked(path, model, models.get(model, {}), source, digests)
        models[model] = dict(sorted({**models.get(model, {}), **new}.items()))
        text = yaml.safe_dump(dict(sorted(models.items())), sort_keys=False, allow_unicode=True)
        with whole_file(path) as part:
            part.write_text(LOCK_HEADER + text, "utf-8")
