"""Parquet: one file with the index's columns and the vectors."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from kgtextvec.export.forms import ExportForm
from kgtextvec.files import whole_file
from kgtextvec.progress import Progress

if TYPE_CHECKING:
    from kgtextvec.space import Space

# Numbers in a row group: 32 MB, so that a reader can take a part without the rest.
NUMBERS_IN_GROUP = 1 << 23


def write_parquet(space: "Space", out: Path, threads: int) -> None:
    """Write the index's columns and `embedding`, a fixed-size list<float32>, or nothing.

    The manifest goes into the schema's metadata under the key kgtextvec. Strings are compressed;
    vectors aren't, since that gains a tenth of the size and costs a multiple of the time. Memory:
    about 150 MB, whatever the number of rows. Raises InputError at NaN or Inf, and when the
    vectors aren't those that the manifest describes.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from kgtextvec.matrices import blocks, refuse_non_finite, rows_per_block

    matrix = space.matrix
    rows = rows_per_block(matrix.dims, NUMBERS_IN_GROUP)
    source = pq.ParquetFile(space.index_path)
    names = source.schema_arrow.names
    vector = pa.field("embedding", pa.list_(pa.float32(), matrix.dims), nullable=False)
    schema = source.schema_arrow.append(vector).with_metadata(
        {"kgtextvec": json.dumps(space.manifest, ensure_ascii=False)}
    )
    batches = source.iter_batches(rows)
    check = space.check_of_vectors()
    with (
        whole_file(out) as part,
        pq.ParquetWriter(
            part,
            schema,
            compression={"embedding.list.element": "none"} | dict.fromkeys(names, "zstd"),
            use_dictionary=names,
            write_statistics=names,
        ) as writer,
        Progress("export-table", matrix.rows, unit="rows") as progress,
    ):
        for first, block in blocks(matrix, rows, check):
            if not np.isfinite(block).all():
                refuse_non_finite(matrix, first, block)
            columns = next(batches).columns
            numbers = pa.array(block.reshape(-1))
            vectors = pa.FixedSizeListArray.from_arrays(numbers, matrix.dims)
            writer.write_batch(pa.record_batch([*columns, vectors], schema=schema))
            progress.add(len(block))
        check.compare()


FORM = ExportForm("Parquet", write_space=write_parquet)
