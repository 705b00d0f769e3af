"""Files that are either whole or absent: temp name, fsync, rename; digests; JSON."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from kgtextvec.errors import InputError

CHUNK = 1 << 20
# Levels of lists and mappings in a JSON text. Python's own limit varies with who calls.
DEEPEST_JSON = 100


def temporary_name(path: Path) -> Path:
    """Return a name beside `path` that no other process uses; it starts with a dot."""
    return path.with_name(f".{path.name[:80]}.{os.getpid()}-{uuid4().hex[:8]}.part")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name; on success fsync it and rename it to `path`, else remove it.

    Whatever happens (an exception, kill -9, a full disk), `path` holds the old content or the
    whole new one. Parent folders are made. Raises InputError when the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = temporary_name(path)
    try:
        yield part
        with part.open("rb+") as handle:
            os.fsync(handle.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise as_input_error(error, path) from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder; on success rename it to `path` (an old one is replaced)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = temporary_name(path)
    try:
        part.mkdir()
        yield part
        for file in part.rglob("*"):
            if file.is_file():
                with file.open("rb") as handle:
                    os.fsync(handle.fileno())
        if path.exists():
            old = temporary_name(path)
            path.rename(old)
            part.rename(path)
            shutil.rmtree(old)
        else:
            part.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise as_input_error(error, path) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def as_input_error(error: OSError, path: Path) -> Exception:
    """Turn what a user can mend (no space, a file-size limit, no permission) into InputError."""
    import errno

    advice = {
        errno.ENOSPC: "free some space, then run the same command again: it resumes",
        errno.EDQUOT: "free some of your quota, then run the same command again: it resumes",
        errno.EFBIG: "raise the file-size limit (ulimit -f), then run the same command again",
        errno.EACCES: "make the folder writable, or choose another one",
        errno.EROFS: "choose a folder on a file system that can be written",
    }
    if error.errno in advice:
        return InputError(f"{path}: {os.strerror(error.errno)}; {advice[error.errno]}.")
    return error


def need_space(sizes: dict[Path, int]) -> None:
    """Raise InputError when files of these sizes (bytes) don't fit where they are to lie.

    Paths need not exist yet; those on one file system are taken together. Another process may
    still fill the disk meanwhile: this only spares work that can't end well.
    """
    by_device: dict[int, tuple[Path, int]] = {}
    for path, size in sizes.items():
        there = existing_parent(path)
        first, before = by_device.get(there.stat().st_dev, (path, 0))
        by_device[there.stat().st_dev] = first, before + size
    for path, size in by_device.values():
        free = shutil.disk_usage(existing_parent(path)).free
        if size > free:
            raise InputError(
                f"{path}: needs {size / 1e9:,.3f} GB of disk, {free / 1e9:,.3f} GB are free; free"
                " some space, then run the same command again: it resumes."
            )


def existing_parent(path: Path) -> Path:
    """Return the path, or the nearest folder above it that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes as 64 hex digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def refuse_other_digest(path: Path, recorded: str | None, computed: str) -> None:
    """Raise InputError if a file's sha256 is another one than what a manifest records, if it does.

    A manifest written by hand need not record it.
    """
    if recorded is not None and recorded != computed:
        raise InputError(
            f"{path}: damaged or replaced: expected sha256 {recorded}, got {computed}. Delete it"
            " and rerun the step that made it."
        )


def digest_of(value: Any) -> str:
    """Return the sha256 of a JSON-able value in canonical form (sorted keys) as hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    with whole_file(path) as part:
        part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")


def read_json(path: Path, advice: str = "Delete it and rerun.") -> Any:
    """Read a JSON file. Raises InputError, which ends with `advice`, when it is damaged."""
    try:
        return parse_json(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: not there. Run the step that makes it first.") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}). {advice}") from None


def parse_json(text: str | bytes) -> Any:
    """Parse JSON from anyone. Raises ValueError for what is no JSON or nested too deeply."""
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [found] if isinstance(found, dict | list) else []
    for _ in range(DEEPEST_JSON):
        inner = [one.values() if isinstance(one, dict) else one for one in level]
        level = [child for one in inner for child in one if isinstance(child, dict | list)]
        if not level:
            return found
    raise ValueError("nested too deeply")


def file_or_none(word: str) -> Path | None:
    """Read a path; the word none (or nothing) means there is no such file."""
    return None if word.strip().lower() in {"", "none"} else Path(word)
