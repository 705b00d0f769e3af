"""The vector store: vectors by content, in immutable parts, shared without locks.

A folder per fingerprint (what made the vectors), in it parts named by the sha256 of their own
bytes. A part is a safetensors file: `keys` (n, 32) uint8, the sha256 of each text, ascending;
`vectors` (n, dims) float32; `n_tokens`, `n_unknown` (n,) int32; `truncated` (n,) uint8. Parts
are written under a temporary name, flushed and renamed, so two writers and kill -9 do no harm,
and a name that doesn't fit its bytes tells of damage.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from kgtextvec.files import as_input_error, digest_of, parse_json, whole_file, write_json
from kgtextvec.progress import say

KEY_BYTES = 32
HEADER_LIMIT = 1 << 20


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


def keys_of(digests: list[str]) -> NDArray[np.uint8]:
    """Turn sha256 hex digests into keys, (n, 32) uint8."""
    return np.frombuffer(bytes.fromhex("".join(digests)), dtype=np.uint8).reshape(-1, KEY_BYTES)


def comparable(keys: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """View keys (n, 32) as byte strings, (n,), which numpy sorts and searches."""
    return np.ascontiguousarray(keys).view(f"S{KEY_BYTES}").reshape(-1)


class Store:
    """The vectors made by one fingerprint, below `root`."""

    def __init__(self, root: Path, fingerprint: dict[str, Any]) -> None:
        self.folder = root / digest_of(fingerprint)[:32]
        self.fingerprint = fingerprint

    def parts(self) -> list[Path]:
        """Return the part files, in the order of their names."""
        return sorted(self.folder.glob("*.safetensors"))

    def write(self, part: Part) -> Path:
        """Add a part; returns its path once it is on the disk.

        Raises InputError when the disk is full.
        """
        if not (self.folder / "about.json").exists():
            write_json(self.folder / "about.json", self.fingerprint)
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
        path = self.folder / f"{sha256(data).hexdigest()}.safetensors"
        with whole_file(path) as temporary:
            temporary.write_bytes(data)
        return path

    def find(self, keys: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.int64], Part]]:
        """Yield (rows, part): what the store holds of `keys` (n, 32), which must be ascending.

        Each row comes at most once. Every part used is checked against its name first; a damaged
        one is set aside under `damaged/` with a warning, as if its vectors had never been there.
        """
        wanted = comparable(keys)
        missing = np.ones(len(wanted), dtype=np.bool_)
        for path in self.parts():
            if not missing.any():
                return
            held = self.keys_in(path)
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
            with path.open("rb") as handle:
                (size,) = struct.unpack("<Q", handle.read(8))
                if size > HEADER_LIMIT:
                    raise ValueError("the header is too long")
                place = parse_json(handle.read(size))["keys"]
                start, end = place["data_offsets"]
                if place["dtype"] != "U8" or end - start != place["shape"][0] * KEY_BYTES:
                    raise ValueError("the keys have another form")
                handle.seek(8 + size + start)
                data = handle.read(end - start)
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
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        if sha256(data).hexdigest() != path.stem:
            self.set_aside(path, "its bytes do not fit the digest in its name")
            return None
        try:
            tensors = load(data)
            return Part(
                keys=tensors["keys"],
                vectors=tensors["vectors"],
                n_tokens=tensors["n_tokens"],
                truncated=tensors["truncated"].astype(np.bool_),
                n_unknown=tensors["n_unknown"],
            )
        except (SafetensorError, KeyError) as error:
            self.set_aside(path, str(error))
            return None

    def set_aside(self, path: Path, why: str) -> None:
        """Move a damaged part to `damaged/`, and say so."""
        aside = self.folder / "damaged" / path.name
        aside.parent.mkdir(exist_ok=True)
        try:
            path.replace(aside)
        except FileNotFoundError:
            return
        except OSError as error:
            raise as_input_error(error, path) from error
        say(f"WARNING: {path}: damaged ({why}), set aside to {aside}; computed again.")
