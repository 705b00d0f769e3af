"""faiss: an exact index to search."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgtextvec.errors import InputError
from kgtextvec.export.forms import ExportForm, template_beside
from kgtextvec.files import whole_file
from kgtextvec.kinds import FACTS, IN_GRAPHS

if TYPE_CHECKING:
    from kgtextvec.space import Space


def write_faiss(space: "Space", folder: Path, model: str) -> dict[str, Any]:
    """Write {kind}.index, an exact index (IndexFlatL2) whose id i is row i, and {kind}.parquet.

    All rows are in it, duplicates included. Memory: the matrix, as the index is used in memory
    anyway. Raises InputError when faiss isn't installed.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from kgtextvec.checksums import xxh3_of
    from kgtextvec.export.trainers import finite_blocks

    try:
        import faiss
    except ImportError:
        raise InputError(
            "exports: faiss needs the package faiss-cpu. Install it (pip install faiss-cpu) where"
            " the engine runs, or leave faiss out of exports."
        ) from None
    index = faiss.IndexFlatL2(space.dims)
    for block in finite_blocks(space, np.arange(space.rows)):
        index.add(block)
    kind = space.kind.name
    path = folder / f"{kind}.index"
    with whole_file(path) as part:
        faiss.write_index(index, str(part))
    with whole_file(folder / f"{kind}.parquet") as part:
        columns = {name: space.column(name) for name in ("node_id", "label", "name")}
        pq.write_table(pa.table(columns), part, compression="zstd")
    return {
        "file": path.name,
        "nodes": f"{kind}.parquet",
        "rows": space.rows,
        "metric": "L2",
        "xxh3_128": xxh3_of(path),
    }


FORM = ExportForm(
    "faiss", template_beside(__file__), write_table=write_faiss, kinds=(*IN_GRAPHS, FACTS)
)
