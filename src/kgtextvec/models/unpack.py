"""Take a model out of an untrusted archive, or copy its plain files.

Only regular files with names that a model has are written, each under a number of our own until
the archive has been read to its last checksum; no link, device or folder of the archive is ever
made.
"""

import bz2
import gzip
import hashlib
import lzma
import shutil
import zlib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Any

from kgtextvec.errors import InputError
from kgtextvec.files import link_or_copy, sha256_of, whole_folder
from kgtextvec.models.known import MODULE, is_known, is_part, parent_name, wanted
from kgtextvec.models.tar import DamagedArchive, Member, TarStream
from kgtextvec.models.weight_forms import refuse_other_forms
from kgtextvec.progress import Progress, say
from kgtextvec.records import DownloadedFile, DownloadRecord, read_record

STREAM_ERRORS = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


@dataclass(frozen=True)
class Limits:
    """What an archive may hold; bytes."""

    members: int = 10_000
    total: int = 64 << 30
    ratio: int = 100  # unpacked to packed, once `unjudged` bytes are out
    unjudged: int = 64 << 20


class PackedStream:
    """The archive's bytes, hashed as they are read."""

    def __init__(self, handle: IO[bytes], progress: Progress) -> None:
        self.handle, self.progress = handle, progress
        self.hash = hashlib.sha256()
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        """Read the next bytes."""
        data = self.handle.read(size)
        self.hash.update(data)
        self.count += len(data)
        self.progress.add(len(data))
        return data

    def seekable(self) -> bool:
        """Return False: the archive is read once, from start to end."""
        return False

    def close(self) -> None:
        """Leave the file to its owner."""


def unpack_model(
    downloaded: Annotated[Path, "record that download-model wrote"],
    *,
    out: Annotated[Path, "folder to make"],
    subdir: Annotated[str | None, "folder inside the archive that holds the model"] = None,
) -> None:
    """Turn what download-model got into a plain folder: archives safely, files as copies.

    Raises InputError for an archive that is damaged, hostile, too large, or that does not hold
    exactly one model (`subdir` picks one); then the folder `out` is not made.
    """
    record = read_record(downloaded, DownloadRecord)
    files, kind = record["files"], record["kind"]
    subdir = subdir or record.get("subdir")
    first = Path(files[0]["path"])
    if not first.is_file():
        raise InputError(f"{first}: not there any more. Run download-model again.")
    with whole_folder(out) as folder:
        if len(files) == 1 and kind != "words" and archive_form(first):
            unpack_archive(first, folder, kind, subdir, files[0]["sha256"])
            check_digests_inside(folder, record.get("inside") or {}, first)
        elif len(files) == 1 and kind == "transformer":
            refuse_other_forms(str(first), [files[0]["name"]])
            raise InputError(
                f"{first}: is not a tar archive (.tar, .tar.gz, .tar.xz or .tar.bz2). Unpack it and"
                " name the folder with path:, or give the right address."
            )
        else:
            is_users = record["source"].startswith(("path:", "package:"))
            copy_files(files, folder, linked=not is_users)
    say(f"{record['model']}: {len(list(out.iterdir()))} files in {out}")


def archive_form(path: Path) -> str | None:
    """Return from its first bytes how a tar is packed: gz, bz2, xz, plain; None if it is no tar."""
    with path.open("rb") as handle:
        head = handle.read(512)
    for form, sign in (("gz", b"\x1f\x8b"), ("bz2", b"BZh"), ("xz", b"\xfd7zXZ\0")):
        if head.startswith(sign):
            return form
    named = path.name.lower().endswith((".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2"))
    zipped = head.startswith((b"PK", b"\x28\xb5\x2f\xfd"))
    return "plain" if head[257:262] == b"ustar" or (named and not zipped) else None


def unpack_archive(
    path: Path,
    folder: Path,
    kind: str = "transformer",
    subdir: str | None = None,
    sha256: str | None = None,
    limits: Limits | None = None,
) -> None:
    """Put the one model of a tar archive into `folder`, which exists and is empty."""
    limits = limits or Limits()
    staging = folder / ".staging"
    staging.mkdir()
    placed: dict[str, Path] = {}
    names: set[str] = set()
    with (
        path.open("rb") as handle,
        Progress(path.name, path.stat().st_size, "bytes") as progress,
    ):
        packed = PackedStream(handle, progress)
        try:
            with closing(open_stream(packed, archive_form(path))) as stream:
                bounded = BoundedStream(stream, packed, path, limits)
                names = stage_files(bounded, path, staging, placed, kind, limits)
            while packed.read(1 << 20):
                pass
        except STREAM_ERRORS as error:
            raise damaged_stream(path, error) from error
        except OSError as error:
            # bz2 reports a bad stream by an OSError that has no number.
            if error.errno is None:
                raise damaged_stream(path, error) from error
            raise
    if sha256 and packed.hash.hexdigest() != sha256:
        raise InputError(
            f"{path}: damaged since its download: checksum mismatch: expected sha256 {sha256}, got"
            f" {packed.hash.hexdigest()}. Delete it and run download-model again."
        )
    if kind == "transformer":
        refuse_other_forms(str(path), sorted(names))
    home = folder_of_model(path, placed, kind, subdir)
    inside = f"{home}/" if home else ""
    if kind == "transformer":
        own = sorted(name.removeprefix(inside) for name in names if name.startswith(inside))
        refuse_other_forms(f"{path}, {home}" if home else str(path), own)
    here = {name.removeprefix(inside): at for name, at in placed.items() if name.startswith(inside)}
    for name in wanted(here, kind):
        (folder / name).parent.mkdir(exist_ok=True)
        here[name].rename(folder / name)
    shutil.rmtree(staging)


def open_stream(packed: PackedStream, form: str | None) -> Any:
    """Return a reader of the unpacked bytes; each checks its stream's own checksums."""
    if form == "gz":
        return gzip.GzipFile(fileobj=packed, mode="rb")  # type: ignore[call-overload]
    if form == "bz2":
        return bz2.BZ2File(packed)  # type: ignore[call-overload]
    if form == "xz":
        return lzma.LZMAFile(packed)  # type: ignore[arg-type]
    return packed


class BoundedStream:
    """Unpacked bytes, stopped when there are more than the packed ones can honestly hold."""

    def __init__(self, stream: Any, packed: PackedStream, path: Path, limits: Limits) -> None:
        self.stream, self.packed, self.path, self.limits = stream, packed, path, limits
        self.count = 0

    def read(self, size: int) -> bytes:
        """Read the next bytes. Raises InputError over the limits."""
        data: bytes = self.stream.read(size)
        self.count += len(data)
        if self.count > self.limits.total + (64 << 20):
            raise InputError(
                f"{self.path}: unpacks to more than {self.limits.total} bytes. If you trust it,"
                " unpack it and use path:."
            )
        if self.count > max(self.limits.unjudged, self.limits.ratio * self.packed.count):
            raise InputError(
                f"{self.path}: unpacks to more than {self.limits.ratio} times its size, as a"
                " decompression bomb does. If you trust it, unpack it and use path:."
            )
        return data


def stage_files(
    source: BoundedStream,
    path: Path,
    staging: Path,
    placed: dict[str, Path],
    kind: str,
    limits: Limits,
) -> set[str]:
    """Write the model files of the archive to numbered files; fill {member's name: file}.

    Returns the names of all files of the archive.
    """
    tar = TarStream(source.read, str(path))
    seen: set[str] = set()
    total = 0
    for count, member in enumerate(tar.members(), 1):
        if count > limits.members:
            raise InputError(
                f"{path}: holds more than {limits.members} entries. If you trust it, unpack it and"
                " use path:."
            )
        name = checked_name(path, member)
        total += member.size
        free = shutil.disk_usage(staging).free
        if total > limits.total or member.size > free:
            raise InputError(
                f"{path}: {name} announces {member.size} bytes; {limits.total} are allowed in all"
                f" and {free} are free on the disk. If you trust it, free some space,"
                " or unpack it and use path:."
            )
        if member.kind != "file":
            continue
        if name in seen:
            raise InputError(
                f"{path}: holds {name} twice. Which one is meant is not known: unpack it and use"
                " path:."
            )
        seen.add(name)
        if not is_known(PurePosixPath(name).name, kind):
            continue
        placed[name] = staging / str(count)
        with placed[name].open("xb") as handle:
            while data := tar.read(1 << 20):
                handle.write(data)
    # What follows the end mark is padding. Reading it makes the packed stream check itself.
    while data := source.read(1 << 20):
        if data.strip(b"\0"):
            raise DamagedArchive(f"{path}: damaged, something follows the end mark.")
    return seen


def checked_name(path: Path, member: Member) -> str:
    """Return the member's name in plain form; refuse one that would lead out of the folder."""
    name = member.name
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\\" in name or not name.isprintable():
        raise InputError(
            f"{path}: refused entry name {name!r}. The archive is not a model's: correct the"
            " source."
        )
    return "/".join(parts)


def folder_of_model(path: Path, placed: dict[str, Path], kind: str, subdir: str | None) -> str:
    """Return the one folder of the archive that holds a model ("" for its top)."""
    sign = "config.json" if kind == "transformer" else "options.json"
    signs = {sign, "modules.json", "adapter_config.json"} if kind == "transformer" else {sign}
    homes = {parent_name(name) for name in placed if name.rpartition("/")[2] in signs}
    if kind == "elmo" and not homes:
        homes = {parent_name(name) for name in placed if name.endswith(sign)}
    homes = {home for home in homes if not MODULE.fullmatch(PurePosixPath(home).name)}
    if subdir is not None:
        asked = subdir.strip("/")
        homes = {home for home in homes if home == asked or home.endswith(f"/{asked}")}
    inside = f" in {subdir}" if subdir else ""
    if not homes:
        raise InputError(f"{path}: holds no {sign}{inside}, so no model. Correct the source.")
    if len(homes) > 1:
        listed = ", ".join(sorted(home or "." for home in homes)[:10])
        raise InputError(f"{path}: holds {len(homes)} models ({listed}). Name one with subdir.")
    return homes.pop()


def damaged_stream(path: Path, error: BaseException) -> DamagedArchive:
    """Return the error of an archive whose own checks fail."""
    what = str(error) or type(error).__name__
    return DamagedArchive(
        f"{path}: damaged or cut short ({what}). Delete it and download it again."
    )


def check_digests_inside(folder: Path, sums: dict[str, str], archive: Path) -> None:
    """Compare files of an archive with the digests that the catalogue has."""
    for name, known in sums.items():
        path = folder / name
        got = sha256_of(path) if path.is_file() else "no such file"
        if got != known:
            raise InputError(
                f"{archive}, {name}: checksum mismatch: expected sha256 {known} (catalogue), got"
                f" {got}. Correct the catalogue, or get the right archive."
            )


def copy_files(files: list[DownloadedFile], folder: Path, linked: bool) -> None:
    """Put plain files into `folder`, as links to the cache where the disk allows.

    A user's own files are copied, so that later edits change nothing here.
    """
    for file in files:
        source, target = Path(file["path"]), folder / file["name"]
        inside = parent_name(file["name"])
        if PurePosixPath(file["name"]).name != file["name"] and not is_part(inside):
            raise InputError(f"{file['name']}: refused entry name. Rename the file.")
        target.parent.mkdir(exist_ok=True)
        try:
            (link_or_copy if linked else shutil.copyfile)(source, target)
        except FileNotFoundError:
            raise InputError(f"{source}: not there any more. Run download-model.") from None
        if sha256_of(target) != file["sha256"]:
            raise InputError(
                f"{source}: changed since download-model: checksum mismatch. Run it again."
            )
