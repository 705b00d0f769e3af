"""Files that are either whole or absent: temp name, fsync, rename; digests; JSON."""

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from kgtextvec.errors import InputError

CHUNK = 1 << 20
DISK_ADVICE = {
    errno.ENOSPC: "free some space, then run the same command again: it resumes",
    errno.EDQUOT: "free some of your quota, then run the same command again: it resumes",
    errno.EFBIG: "raise the file-size limit (ulimit -f), then run the same command again",
    errno.EACCES: "make the folder writable, or choose another one",
    errno.EPERM: "make the folder writable, or choose another one",
    errno.EROFS: "choose a folder on a file system that can be written",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path, a part of it is a file",
    errno.EEXIST: "check the path, a file is where a folder must be",
    errno.EISDIR: "check the path, a folder is where a file must be",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EIO: "the disk or its connection fails; check it, then run the same command again",
    errno.ESTALE: "the file was replaced meanwhile; run the same command again",
}
# Their exceptions are of types of their own.
WRITING_LIBRARIES = ("safetensors", "safetensors_rust", "sqlite3", "pyarrow", "h5py", "faiss")
# Whether this system knows what a process may do after it changed its user.
EFFECTIVE = os.access in os.supports_effective_ids
# Levels of lists and mappings in a JSON text. Python's own limit varies with who calls.
DEEPEST_JSON = 100


@cache
def writer_tag() -> str:
    """Return what identifies this machine in temporary names: host and, on Linux, PID namespace.

    A container may have its host's name and process ids of its own.
    """
    tag = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40]
    try:
        return f"{tag}-{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return tag


def temporary_name(path: Path) -> Path:
    """Return a name next to `path` that no other process uses; it starts with a dot."""
    start = os.fsencode(path.name)[:80].decode("utf-8", "ignore")
    return path.with_name(f".{start}.{writer_tag()}.{os.getpid()}-{uuid4().hex[:8]}.part")


@cache
def remove_leftovers(folder: Path) -> None:
    """Remove what writers on this machine left in a folder when they were killed; once per run.

    A leftover has a name of temporary_name's, and no process of its number runs any more.
    """
    name = re.compile(rf"\..*\.{re.escape(writer_tag())}\.(\d+)-[0-9a-f]{{8}}\.part", re.DOTALL)
    with suppress(OSError):
        for path in list(folder.iterdir()):
            found = name.fullmatch(path.name)
            if found and not is_running(int(found.group(1))):
                remove_temporary(path)


def remove_temporary(path: Path) -> None:
    """Remove a temporary file or folder, if it is there and can be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def is_running(pid: int) -> bool:
    """Return whether a process of this machine has this number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


@contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """Yield a temporary name for `path` to be made; parent folders are made, leftovers removed.

    Afterwards nothing of that name is left. Raises InputError when the disk is full, a folder
    can't be written and the like, whichever library says so.
    """
    part = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent.absolute())
        yield part
    except Exception as error:
        shown = as_input_error(error, path)
        if shown is error:
            raise
        raise shown from error
    finally:
        remove_temporary(part)


@contextmanager
def scratch_folder(name: str, parent: Path | None = None) -> Iterator[Path]:
    """Yield a new folder for this process alone, in the system's temporary folder or `parent`.

    It is gone afterwards; what killed processes of ours left there goes now.
    """
    parent = parent or Path(tempfile.gettempdir())
    folder = temporary_name(parent / name)
    remove_leftovers(parent.absolute())
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        remove_temporary(folder)


@contextmanager
def whole_file(path: Path, record_digest: bool = False) -> Iterator[Path]:
    """Yield a temporary name; on success fsync it and rename it to `path`, else remove it.

    Whatever happens (an exception, kill -9, a full disk), `path` holds the old content or the
    whole new one, with the mode that the umask gives. Parent folders are made. `record_digest`
    writes the sha256 next to it, for files that no record describes. Raises InputError when the
    disk is full.
    """
    with temporary_beside(path) as part:
        yield part
        with part.open("rb+") as handle:
            os.fsync(handle.fileno())
        apply_umask(part)
        digest = sha256_of(part) if record_digest else ""
        part.replace(path)
        sync_folder(path.parent)
    if record_digest:
        with whole_file(digest_file(path)) as part:
            part.write_text(f"{digest}  {path.name}\n", "utf-8", "surrogateescape")


def digest_file(path: Path) -> Path:
    """Return the hidden file next to `path` that holds its sha256, as `sha256sum` writes it."""
    return path.with_name(f".{path.name}.sha256")


def check_recorded_digest(path: Path) -> None:
    """Raise InputError unless a file has the sha256 recorded next to it, if that was recorded."""
    with suppress(FileNotFoundError):
        recorded = digest_file(path).read_text("utf-8", "replace").partition(" ")[0]
        refuse_other_digest(path, recorded, sha256_of(path))


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder; on success rename it to `path` (an old one is replaced)."""
    with temporary_beside(path) as part:
        part.mkdir()
        yield part
        for file in part.rglob("*"):
            if file.is_file():
                with file.open("rb") as handle:
                    os.fsync(handle.fileno())
                apply_umask(file)
        if path.exists():
            old = temporary_name(path)
            path.rename(old)
            part.rename(path)
            shutil.rmtree(old)
        else:
            part.rename(path)
        sync_folder(path.parent)


def apply_umask(path: Path) -> None:
    """Give a file that a library made for its owner alone the mode that any new file here gets."""
    about = path.lstat()
    if stat.S_IMODE(about.st_mode) != 0o600 or about.st_nlink > 1:
        return
    example = temporary_name(path)
    try:
        example.touch()
        path.chmod(stat.S_IMODE(example.stat().st_mode))
    finally:
        example.unlink(missing_ok=True)


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


def as_input_error(error: Exception, path: Path) -> Exception:
    """Turn what a user can correct (no space, no permission …) into InputError of one line.

    `path` is what was written or read, unless the error names another file. Libraries that don't
    raise OSError are understood by their words. Any other error comes back as it is.
    """
    if isinstance(error, InputError):
        return error
    code = error_number(error)
    named = error.filename if isinstance(error, OSError) else None
    if isinstance(named, str | bytes | os.PathLike) and not os.fsdecode(named).endswith(".part"):
        path = Path(os.fsdecode(named))
    if code == errno.EACCES and (advice := advice_to_read(path)):
        return InputError(f"{path}: {os.strerror(code)}; {advice}.")
    if code in DISK_ADVICE:
        return InputError(f"{path}: {os.strerror(code)}; {DISK_ADVICE[code]}.")
    return error


def advice_to_read(path: Path) -> str:
    """Say what lets this user read a file or folder; "" if its permissions do."""
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except PermissionError:
        return "let this user enter the folders above it, or choose another path"
    except OSError:  # not there
        return ""
    if os.access(path, os.R_OK, effective_ids=EFFECTIVE):
        return ""
    return f"make the {'folder' if is_folder else 'file'} readable"


def error_number(error: Exception) -> int:
    """Return the number of the system's error that an exception stands for; 0 if it is none."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    library = type(error).__module__.partition(".")[0]
    if not isinstance(error, OSError | RuntimeError) and library not in WRITING_LIBRARIES:
        return 0
    words = str(error)
    found = re.search(r"(?:os error |Os \{ code: |errno = |\[[Ee]rrno )(\d+)", words)
    if found:
        return int(found.group(1))
    if re.search(
        r"\d+ requested and \d+ written|unexpected pos \d+ vs|database or disk is full", words
    ):
        return errno.ENOSPC
    if re.search(r"unable to open database|readonly database", words):
        return errno.EACCES
    return next((code for code in DISK_ADVICE if os.strerror(code) in words), 0)


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


def digests_in(folder: Path, known: Collection[str]) -> dict[str, str]:
    """Return {name: sha256} of the files in a folder, by name, without those in `known`."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return {name: sha256_of(folder / name) for name in names if name not in known}


def refuse_other_digest(
    path: Path, recorded: str | None, computed: str, algorithm: str = "sha256"
) -> None:
    """Raise InputError if a file's digest is another one than what a manifest records, if it does.

    A manifest written by hand need not record it.
    """
    if recorded is not None and recorded != computed:
        raise InputError(
            f"{path}: damaged or replaced: expected {algorithm} {recorded}, got {computed}."
            " Delete it and rerun the step that made it."
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
