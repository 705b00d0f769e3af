"""models.lock.yaml: the digest of each file at its first download; later ones must agree."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from kgtextvec.errors import InputError
from kgtextvec.files import whole_file
from kgtextvec.locks import hold_lock, open_to_lock, run_without_lock

HEAD = (
    "# Digests of the models' files, recorded at first use. A later difference is an error.\n"
    "# If a change is meant, delete the model's entry here and run again.\n"
)
Locked = dict[str, dict[str, Any]]  # file: {sha256, source, revision}


@contextmanager
def lock_models(path: Path, who: str) -> Iterator[None]:
    """Hold the lock of `path`, a file (made if absent) or a folder; `who` stands in messages.

    Where the file system has no locks, the log says so and the block runs without one.
    """
    with hold_lock(
        [partial(open_to_lock, path)],
        lambda: f"{who}: another process is at it, waiting",
        partial(run_without_lock, path),
    ):
        yield


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
    with lock_models(path.parent, path.name):
        whole = read_lock(path)
        check(path, model, whole.get(model, {}), source, found)
        whole[model] = dict(sorted({**whole.get(model, {}), **new}.items()))
        text = yaml.safe_dump(dict(sorted(whole.items())), sort_keys=False, allow_unicode=True)
        with whole_file(path) as part:
            part.write_text(HEAD + text, "utf-8")
