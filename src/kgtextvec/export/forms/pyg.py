"""PyTorch Geometric: a safetensors file with one tensor per label of nodes.

The form of safetensors: the length of a JSON header (8 bytes, little-endian), the header (name of a
tensor: dtype, shape, the place of its bytes), the bytes. It is written here row by row, since the
library wants all tensors in memory.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgtextvec.export.forms import ExportForm, IdOrder, TrainerFiles, template_beside
from kgtextvec.export.pyg_order import json_of_groups, read_pyg
from kgtextvec.files import whole_file

if TYPE_CHECKING:
    import pyarrow as pa

    from kgtextvec.space import Rows, Space


def write_pyg(space: "Space", folder: Path, model: str) -> dict[str, Any]:
    """Write {kind}.safetensors, a tensor (nodes of the label, dims) for each label, sorted.

    A kind without labels is one tensor. {kind}.parquet holds the node of each row:
    label, row in its tensor, node_id, name. Of rows with one node id the first is taken.
    """
    import numpy as np
    import pyarrow.parquet as pq

    from kgtextvec.checksums import HashedFile
    from kgtextvec.export.tensors import header_of
    from kgtextvec.export.trainers import finite_blocks

    rows, kind = space.first_rows(), space.kind
    groups = by_label(space, rows) if kind.has_labels else {kind.name: rows}
    vectors = folder / f"{kind.name}.safetensors"
    with whole_file(vectors) as part, part.open("wb") as file:
        hashed = HashedFile(file)
        hashed.write(header_of({label: (len(rows), space.dims) for label, rows in groups.items()}))
        for block in finite_blocks(space, np.concatenate([rows[:0], *groups.values()])):
            hashed.write(block.tobytes())
    nodes = nodes_of(space, groups)
    with whole_file(folder / f"{kind.name}.parquet") as part:
        pq.write_table(nodes, part, compression="zstd")
    return {
        "file": vectors.name,
        "nodes": f"{kind.name}.parquet",
        "rows": nodes.num_rows,
        "tensors": {label: len(rows) for label, rows in groups.items()},
        "xxh3_128": hashed.xxh3,
    }


def by_label(space: "Space", rows: "Rows") -> dict[str, "Rows"]:
    """Return the rows of each label, labels sorted, rows in the table's order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    labels = pc.dictionary_encode(space.column("label").take(pa.array(rows)))
    codes = labels.indices.to_numpy()
    names = labels.dictionary.to_pylist()
    return {
        names[code]: rows[codes == code]
        for code in sorted(range(len(names)), key=names.__getitem__)
    }


def nodes_of(space: "Space", groups: dict[str, "Rows"]) -> "pa.Table":
    """Return label, row, node_id and name of all rows of all tensors."""
    import pyarrow as pa

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


FORM = ExportForm(
    "PyTorch Geometric",
    template_beside(__file__),
    write_table=write_pyg,
    id_orders={
        "pyg": IdOrder(
            read_pyg,
            TrainerFiles("{many}.safetensors", "{many}.json", json_of_groups, tensors=True),
        )
    },
)
