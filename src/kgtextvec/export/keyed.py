"""Vectors to look up and to search: word2vec's binary form, and an index of faiss."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kgtextvec.errors import InputError
from kgtextvec.export.trainers import taken
from kgtextvec.files import sha256_of, whole_file
from kgtextvec.progress import Progress
from kgtextvec.space import Space

BLANK = re.compile(r"\s")


def write_word2vec(space: Space, folder: Path, form: str, name: str) -> dict[str, Any]:
    """Write {kind}.bin, word2vec's binary form: the key is the node id.

    A key ends at a blank there: blanks in ids become %20 and the like, and are counted. Of rows
    with one node id the first is taken.
    """
    rows = space.first_rows()
    ids = space.column("node_id").take(pa.array(rows)).to_pylist()
    keys = [BLANK.sub(percent, key) if BLANK.search(key) else key for key in ids]
    if len(set(keys)) != len(keys):
        raise InputError(f"{space.folder}: two ids differ in nothing but a blank and %20.")
    path = folder / f"{space.kind}.bin"
    at = 0
    with (
        whole_file(path) as part,
        part.open("wb") as file,
        Progress("export", len(rows), unit="rows") as progress,
    ):
        file.write(f"{len(rows)} {space.dims}\n".encode())
        for block in taken(space, rows):
            refuse(space, block)
            packed = block.reshape(len(block), -1).view(np.uint8)
            file.write(
                b"".join(
                    key.encode() + b" " + vector.tobytes() + b"\n"
                    for key, vector in zip(keys[at : at + len(block)], packed, strict=True)
                )
            )
            at += len(block)
            progress.add(len(block))
    changed = sum(key != one for key, one in zip(keys, ids, strict=True))
    return {
        "file": path.name,
        "rows": len(rows),
        "keys_with_blanks": changed,
        "sha256": sha256_of(path),
    }


def percent(found: re.Match[str]) -> str:
    """Write a blank as %20 and the like."""
    return "".join(f"%{byte:02X}" for byte in found[0].encode())


def write_faiss(space: Space, folder: Path, form: str, name: str) -> dict[str, Any]:
    """Write {kind}.index, an exact index (IndexFlatL2) whose id i is row i, and {kind}.parquet.

    All rows are in it, duplicates included. Memory: the whole matrix, as the index is used in
    memory anyway. Raises InputError when faiss isn't installed.
    """
    try:
        import faiss
    except ImportError:
        raise InputError(
            "exports: faiss needs the package faiss-cpu. Install it (pip install faiss-cpu) where"
            " the engine runs, or leave faiss out of exports."
        ) from None
    index = faiss.IndexFlatL2(space.dims)
    for block in taken(space, np.arange(space.rows)):
        refuse(space, block)
        index.add(block)
    path = folder / f"{space.kind}.index"
    with whole_file(path) as part:
        faiss.write_index(index, str(part))
    with whole_file(folder / f"{space.kind}.parquet") as part:
        columns = {name: space.column(name) for name in ("node_id", "label", "name")}
        pq.write_table(pa.table(columns), part, compression="zstd")
    return {
        "file": path.name,
        "nodes": f"{space.kind}.parquet",
        "rows": space.rows,
        "metric": "L2",
        "sha256": sha256_of(path),
    }


def refuse(space: Space, block: "np.ndarray[Any, Any]") -> None:
    """Raise InputError at NaN or Inf."""
    if not np.isfinite(block).all():
        raise InputError(
            f"{space.matrix.path}: holds NaN or Inf. Delete the file and rerun the step that made"
            " it."
        )
