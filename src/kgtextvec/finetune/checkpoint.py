"""Snapshots of training: complete or absent, each with a digest, the last two kept.

A snapshot is a folder of two files: `tensors.bin`, the numbers one after the other, little-endian,
and `state.json`, with each tensor's place, what else training needs to continue, and the
sha256 of both. Random numbers need no state: they follow from the seed and the step.
"""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.errors import InputError
from kgtextvec.files import digest_of, need_space, parse_json, sha256_of, whole_folder, write_json
from kgtextvec.progress import say

KEPT = 2
PIECE = 1 << 22  # numbers that are copied at once
STATE, TENSORS = "state.json", "tensors.bin"
SNAPSHOT_FORM = 1


@dataclass(frozen=True)
class Snapshot:
    """An opened snapshot: `about` is what was stored with the tensors."""

    folder: Path
    about: dict[str, Any]
    index: dict[str, tuple[int, str, tuple[int, ...]]]
    sha256: str

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The tensors' shapes by name."""
        return {name: shape for name, (_, _, shape) in self.index.items()}

    def check(self) -> None:
        """Raise InputError unless the numbers are those that were written."""
        if sha256_of(self.folder / TENSORS) != self.sha256:
            raise InputError(
                f"{self.folder / TENSORS}: damaged, its checksum differs. Delete the folder"
                f" {self.folder} and run again."
            )

    def tensor(self, name: str) -> NDArray[Any]:
        """Return one tensor, mapped; what is written to it stays in memory."""
        offset, dtype, shape = self.index[name]
        if not int(np.prod(shape)):
            return np.zeros(shape, dtype)
        return np.memmap(self.folder / TENSORS, dtype, mode="c", offset=offset, shape=shape)


def write_snapshot(folder: Path, tensors: dict[str, Any], about: dict[str, Any]) -> None:
    """Write torch tensors and a JSON-able record to `folder`, completely or not at all.

    RowNumbers are copied piece by piece, whatever device they are on.
    """
    need_space({folder: sum(value.numel() * value.element_size() for value in tensors.values())})
    with whole_folder(folder) as part:
        digest = hashlib.sha256()
        index: dict[str, Any] = {}
        at = 0
        with (part / TENSORS).open("wb") as file:
            for name, tensor in tensors.items():
                index[name] = [at, None, list(tensor.shape)]
                for piece in pieces(tensor):
                    index[name][1] = piece.dtype.str
                    content = piece.tobytes()
                    digest.update(content)
                    at += file.write(content)
        record = {
            "form": SNAPSHOT_FORM,
            "about": about,
            "tensors": index,
            "sha256": digest.hexdigest(),
        }
        write_json(part / STATE, record | {"digest": digest_of(record)})


def pieces(tensor: Any) -> Iterator[NDArray[Any]]:
    """Yield a tensor's numbers in order, some at a time, at least one (maybe empty) piece."""
    flat = tensor.detach().reshape(-1)
    for start in range(0, max(len(flat), 1), PIECE):
        yield flat[start : start + PIECE].cpu().numpy()


def read_snapshot(folder: Path) -> Snapshot:
    """Open a snapshot; its numbers are not looked at yet, but must all be there.

    Raises InputError when it is incomplete.
    """
    try:
        record = parse_json((folder / STATE).read_text("utf-8"))
        digest = record.pop("digest")
        if digest_of(record) != digest:
            raise ValueError("its checksum differs")
        index = {name: (at, kind, tuple(shape)) for name, (at, kind, shape) in
                 record["tensors"].items()}  # fmt: skip
        size = sum(
            int(np.prod(shape)) * np.dtype(kind).itemsize for _, kind, shape in index.values()
        )
        if (folder / TENSORS).stat().st_size != size:
            raise ValueError(f"{TENSORS} is cut")
        return Snapshot(folder, record["about"], index, record["sha256"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder}: not a complete snapshot of training ({error}). Delete it and run again."
        ) from None


def snapshots(work: Path) -> list[Path]:
    """Return the snapshots of a work folder, the newest first."""
    return sorted(work.glob("step-*"), reverse=True)


def save(work: Path, step: int, tensors: dict[str, Any], about: dict[str, Any]) -> Path:
    """Write the snapshot of a step, then drop all but the last KEPT. Return its folder."""
    folder = work / f"step-{step:010d}"
    write_snapshot(folder, tensors, about)
    for old in snapshots(work)[KEPT:]:
        shutil.rmtree(old)
    return folder


def newest(work: Path, steps: int) -> Snapshot | None:
    """Return the newest complete snapshot of at most `steps` steps, or None; log damaged ones."""
    for folder in snapshots(work):
        try:
            snapshot = read_snapshot(folder)
            snapshot.check()
        except InputError as error:
            say(f"passed over: {error}")
        else:
            if snapshot.about["steps"] <= steps:
                return snapshot
    return None
