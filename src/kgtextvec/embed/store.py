"""The vector store: vectors by content, in immutable parts, shared without locks.

A folder per fingerprint (what made the vectors), in it parts named by the sha256 of their own
bytes. A part is a safetensors file: `keys` (n, 32) uint8, the sha256 of each text, ascending;
`vectors` (n, dims) float32; `n_tokens`, `n_unknown` (n,) int32; `truncated` (n,) uint8. Parts
are written under a temporary name, flushed and renamed, so two writers and kill -9 do no harm,
and a name that doesn't match its bytes means damage.
"""

import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from kgtextvec.embed.shard_lock import lock_shard
from kgtextvec.files import (
    as_input_error,
    digest_of,
    need_space,
    parse_json,
    whole_file,
    write_json,
)
from kgtextvec.progress import say

KEY_BYTES = 32
HEADER_LIMIT = 1 << 20
# Of each tensor of a part: its type and number of axes.
PART_FORM: dict[str, tuple[str, int]] = {
    "keys": ("u1", 2),
    "vectors": ("f4", 2),
    "n_tokens": ("i4", 1),
    "n_unknown": ("i4", 1),
    "truncated": ("u1", 1),
}


@dataclass(frozen=True)
class Part:
    """Vectors with their keys, as `Encoded` has them; n texts."""

    keys: NDArray[np.uint8]
    vectors: NDArray[np.float32]
    n_tokens: NDArray[np.int32]
    truncated: NDArray[np.bool_]
    n_unknown: NDArray[np.int32]

    def take(self, chosen: NDArray[np.bool_]) -> "Part":
        """Return the texts that are chosen, (n,), in their order."""
        return Part(
            keys=self.keys[chosen],
            vectors=self.vectors[chosen],
            n_tokens=self.n_tokens[chosen],
            truncated=self.truncated[chosen],
            n_unknown=self.n_unknown[chosen],
        )


def refuse_other_form(tensors: dict[str, NDArray[Any]]) -> None:
    """Raise ValueError unless the tensors of a part have its types, and as many texts each."""
    n_texts = len(tensors["keys"])
    for name, (dtype, axes) in PART_FORM.items():
        found = tensors[name]
        if (found.dtype, found.ndim, len(found)) != (np.dtype(dtype), axes, n_texts):
            raise ValueError(f"{name} is {found.dtype} {found.shape}")
    if tensors["keys"].shape[1] != KEY_BYTES:
        raise ValueError(f"keys have {tensors['keys'].shape[1]} bytes")


def keys_of(digests: list[str]) -> NDArray[np.uint8]:
    """Turn sha256 hex digests into keys, (n, 32) uint8."""
    return np.frombuffer(bytes.fromhex("".join(digests)), dtype=np.uint8).reshape(-1, KEY_BYTES)


def comparable(keys: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """View keys (n, 32) as byte strings, (n,), which numpy sorts and searches."""
    return np.ascontiguousarray(keys).view(f"S{KEY_BYTES}").reshape(-1)


class Store:
    """The vectors made by one fingerprint, below `root`."""

    def __init__(self, root: Path, fingerprint: dict[str, Any]) -> None:
        self.name = digest_of(fingerprint)[:32]
        self.folder = root / self.name
        self.fingerprint = fingerprint

    # Where the parts are. A store in a bucket (embed/bucket.py) does these in another way.

    def parts(self) -> list[Path]:
        """Return the part files, in the order of their names."""
        return sorted(self.folder.glob("*.safetensors"))

    def read_bytes(self, path: Path, start: int = 0, end: int | None = None) -> bytes:
        """Return a part's bytes from `start` to `end`. Raises FileNotFoundError if it has gone."""
        with path.open("rb") as handle:
            handle.seek(start)
            return handle.read() if end is None else handle.read(end - start)

    def put(self, name: str, data: bytes) -> Path:
        """Write a part, whole or not at all; returns its path. The first one says what made it."""
        if not (self.folder / "about.json").exists():
            write_json(self.folder / "about.json", self.fingerprint)
        path = self.folder / name
        with whole_file(path) as temporary:
            temporary.write_bytes(data)
        return path

    def move_aside(self, path: Path) -> str:
        """Move a part to `damaged/`; returns where it is, "" if another process was faster."""
        aside = self.folder / "damaged" / path.name
        aside.parent.mkdir(exist_ok=True)
        try:
            path.replace(aside)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise as_input_error(error, path) from error
        return str(aside)

    def size_of(self, path: Path) -> int:
        """Return a part's bytes."""
        return path.stat().st_size

    def count_damaged(self) -> int:
        """Return how many parts are set aside."""
        return len(list(self.folder.glob("damaged/*")))

    def locked(self, name: str) -> AbstractContextManager[bool]:
        """Hold the lock `name`; the block gets whether another job held it before."""
        return lock_shard(self.folder, name)

    def need_space(self, size: int) -> None:
        """Raise InputError when the disk hasn't this many bytes free."""
        need_space({self.folder.parent: size})

    def keys_of_parts(self, paths: list[Path]) -> Iterator[tuple[Path, NDArray[np.uint8] | None]]:
        """Yield each part with its keys, as `keys_in` returns them."""
        for path in paths:
            yield path, self.keys_in(path)

    # What is the same everywhere.

    def write(self, part: Part) -> Path:
        """Add a part; returns its path once it is stored.

        Raises InputError when the disk is full.
        """
        order = np.argsort(comparable(part.keys), kind="stable")
        data = save(
            {
                "keys": part.keys[order],
                "vectors": np.ascontiguousarray(part.vectors[order], dtype=np.float32),
                "n_tokens": part.n_tokens[order].astype(np.int32),
                "n_unknown": part.n_unknown[order].astype(np.int32),
                "truncated": part.truncated[order].astype(np.uint8),
            }
        )
        return self.put(f"{sha256(data).hexdigest()}.safetensors", data)

    def find(self, keys: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.int64], Part]]:
        """Yield (rows, part): what the store holds of `keys` (n, 32), which must be ascending.

        Each row comes at most once. Every part used is checked against its name first; a damaged
        one is set aside under `damaged/` with a warning, as if its vectors had never been there.
        """
        wanted = comparable(keys)
        missing = np.ones(len(wanted), dtype=np.bool_)
        if not missing.any():
            return
        for path, held in self.keys_of_parts(self.parts()):
            if not missing.any():
                return
            if held is None or not len(held):
                continue
            places = np.searchsorted(wanted, comparable(held))
            places = np.minimum(places, len(wanted) - 1)
            hit = (wanted[places] == comparable(held)) & missing[places]
            if not hit.any():
                continue
            whole = self.read(path)
            if whole is None:
                continue
            rows = places[hit].astype(np.int64)
            missing[rows] = False
            yield rows, whole.take(hit)

    def keys_in(self, path: Path) -> NDArray[np.uint8] | None:
        """Read a part's keys alone; None (and set aside) when its header is damaged."""
        try:
            (size,) = struct.unpack("<Q", self.read_bytes(path, 0, 8))
            if size > HEADER_LIMIT:
                raise ValueError("the header is too long")
            place = parse_json(self.read_bytes(path, 8, 8 + size))["keys"]
            start, end = place["data_offsets"]
            if place["dtype"] != "U8" or end - start != place["shape"][0] * KEY_BYTES:
                raise ValueError("the keys have another form")
            data = self.read_bytes(path, 8 + size + start, 8 + size + end)
            if len(data) != end - start:
                raise ValueError("the file is cut short")
        except FileNotFoundError:  # another process has set it aside, or pruned it
            return None
        except (ValueError, KeyError, TypeError, struct.error) as error:
            self.set_aside(path, str(error))
            return None
        return np.frombuffer(data, dtype=np.uint8).reshape(-1, KEY_BYTES)

    def read(self, path: Path) -> Part | None:
        """Read a whole part and check its digest; None (and set aside) when it is damaged."""
        try:
            data = self.read_bytes(path)
        except FileNotFoundError:
            return None
        if sha256(data).hexdigest() != path.stem:
            self.set_aside(path, "its bytes do not fit the digest in its name")
            return None
        try:
            tensors = load(data)
            refuse_other_form(tensors)
            return Part(
                keys=tensors["keys"],
                vectors=tensors["vectors"],
                n_tokens=tensors["n_tokens"],
                truncated=tensors["truncated"].astype(np.bool_),
                n_unknown=tensors["n_unknown"],
            )
        except (SafetensorError, KeyError, ValueError) as error:
            self.set_aside(path, str(error))
            return None

    def set_aside(self, path: Path, why: str) -> None:
        """Move a damaged part to `damaged/`, and say so."""
        aside = self.move_aside(path)
        if aside:
            say(f"WARNING: {path}: damaged ({why}), set aside to {aside}; computed again.")


def open_store(where: Path | str, fingerprint: dict[str, Any]) -> Store:
    """Return the vectors of a fingerprint in a folder, or in a bucket (s3://bucket/prefix)."""
    if "://" in str(where):
        from kgtextvec.embed.bucket import BucketStore

        return BucketStore(str(where), fingerprint)
    return Store(Path(where), fingerprint)
