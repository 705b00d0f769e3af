"""A space for PyTorch Geometric: a safetensors file with one tensor per label of nodes.

The form of safetensors: the length of a JSON header (8 bytes, little-endian), the header (name of a
tensor: dtype, shape, where its bytes lie), the bytes. It is written here row by row, since the
library wants all tensors in memory.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kgtextvec.errors import InputError
from kgtextvec.export.trainers import taken
from kgtextvec.files import sha256_of, whole_file
from kgtextvec.space import Rows, Space


def write_pyg(space: Space, folder: Path, form: str, name: str) -> dict[str, Any]:
    """Write {kind}.safetensors, a tensor (nodes of the label, dims) for each label, sorted.

    Relation types are one tensor, `relation_types`. {kind}.parquet tells the node of each row:
    label, row in its tensor, node_id, name. Of rows with one node id the first is taken.
    """
    rows = space.first_rows()
    groups = by_label(space, rows) if space.kind == "entities" else {"relation_types": rows}
    vectors = folder / f"{space.kind}.safetensors"
    with whole_file(vectors) as part, part.open("wb") as file:
        file.write(header_of({label: (len(rows), space.dims) for label, rows in groups.items()}))
        for label, rows in groups.items():
            for block in taken(space, rows):
                if not np.isfinite(block).all():
                    raise InputError(
                        f"{space.matrix.path}: holds NaN or Inf, in the vectors of {label}. Delete"
                        " the file and rerun the step that made it."
                    )
                file.write(block.reshape(-1).view(np.uint8).data)
    nodes = nodes_of(space, groups)
    with whole_file(folder / f"{space.kind}.parquet") as part:
        pq.write_table(nodes, part, compression="zstd")
    return {
        "file": vectors.name,
        "nodes": f"{space.kind}.parquet",
        "rows": nodes.num_rows,
        "tensors": {label: len(rows) for label, rows in groups.items()},
        "sha256": sha256_of(vectors),
    }


def by_label(space: Space, rows: Rows) -> dict[str, Rows]:
    """Return the rows of each label, labels sorted, rows in the table's order."""
    labels = pc.dictionary_encode(space.column("label").take(pa.array(rows)))
    codes = labels.indices.to_numpy()
    names = labels.dictionary.to_pylist()
    return {
        names[code]: rows[codes == code]
        for code in sorted(range(len(names)), key=names.__getitem__)
    }


def header_of(shapes: dict[str, tuple[int, int]]) -> bytes:
    """Return what stands before the bytes of float32 tensors."""
    header, at = {}, 0
    for name, shape in shapes.items():
        size = shape[0] * shape[1] * 4
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def nodes_of(space: Space, groups: dict[str, Rows]) -> pa.Table:
    """Return label, row, node_id and name of all rows of all tensors."""
    labels = [label for label, rows in groups.items() for _ in range(len(rows))]
    places = [row for rows in groups.values() for row in range(len(rows))]
    rows = pa.array([row for rows in groups.values() for row in rows.tolist()], pa.int64())
    return pa.table(
        {
            "label": pa.array(labels, pa.string()),
            "row": pa.array(places, pa.int64()),
            "node_id": space.column("node_id").take(rows),
            "name": space.column("name").take(rows),
        }
    )
