"""PostgreSQL with pgvector: a file for COPY and the statements around it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgtextvec.errors import InputError
from kgtextvec.export.forms import ExportForm, template_beside
from kgtextvec.files import whole_file
from kgtextvec.kinds import FACTS, IN_GRAPHS

if TYPE_CHECKING:
    import pyarrow as pa

    from kgtextvec.export.tsv import LineStarts
    from kgtextvec.space import Space

COPIED_COLUMNS = ("node_id", "id", "label", "name")
MOST_DIMS = 16000  # of a vector in pgvector
MOST_INDEXED = 2000  # of a vector under an HNSW index
ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def write_pgvector(space: "Space", folder: Path, model: str) -> dict[str, Any]:
    """Write {kind}.copy, text for COPY, and {kind}.sql, which makes the table and reads the file.

    All rows are there, duplicates included, under `row_id`. Vectors as float32 numbers in the
    shortest form, which the server parses back to the same bits.
    """
    from kgtextvec.checksums import xxh3_of
    from kgtextvec.export.tsv import RowStyle, write_lines

    kind = space.kind.name
    if space.dims > MOST_DIMS:
        raise InputError(
            f"{space.folder}: has {space.dims} dims, pgvector takes {MOST_DIMS} at most. Export a"
            " reduced space."
        )
    path = folder / f"{kind}.copy"
    starts = starts_of_copy(space.index_path)
    style, check = RowStyle(",", "]"), space.check_of_vectors()
    write_lines(space.matrix, "", starts, path, threads=2, style=style, check=check)
    check.compare()
    with whole_file(folder / f"{kind}.sql") as part:
        part.write_text(sql_statements(space), "utf-8")
    return {
        "file": path.name,
        "sql": f"{kind}.sql",
        "rows": space.rows,
        "xxh3_128": xxh3_of(path),
    }


def starts_of_copy(index: Path) -> "LineStarts":
    """Yield what precedes the numbers in each row: its fields and a bracket."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from kgtextvec.export.tsv import INDEX_ROWS, string_bytes

    first = 0
    for batch in pq.ParquetFile(index).iter_batches(INDEX_ROWS, columns=list(COPIED_COLUMNS)):
        numbers = pa.array(np.arange(first, first + len(batch))).cast(pa.string())
        fields = [escaped(pc.fill_null(batch[name], "")) for name in COPIED_COLUMNS]
        data, bounds = string_bytes(pc.binary_join_element_wise(numbers, *fields, "[", "\t"))
        yield first, data, bounds
        first += len(batch)


def escaped(field: "pa.Array") -> "pa.Array":
    """Escape strings (n,) as COPY's text form wants it."""
    import pyarrow.compute as pc

    for character, instead in ESCAPES.items():
        field = pc.replace_substring(field, character, instead)
    return field


def sql_statements(space: "Space") -> str:
    """Return the SQL that makes the table and an index, and psql's command to read the file."""
    table, dims = space.kind.name, space.dims
    indexed = (
        f"CREATE INDEX ON {table} USING hnsw (embedding vector_cosine_ops);\n"
        if dims <= MOST_INDEXED
        else f"-- {dims} dims are too many for an HNSW index (at most {MOST_INDEXED}).\n"
    )
    return (
        "CREATE EXTENSION IF NOT EXISTS vector;\n"
        f"CREATE TABLE {table} (\n"
        "    row_id bigint PRIMARY KEY,\n"
        "    node_id text NOT NULL,\n"
        "    id text NOT NULL,\n"
        "    label text NOT NULL,\n"
        "    name text NOT NULL,\n"
        f"    embedding vector({dims}) NOT NULL\n"
        ");\n"
        f"\\copy {table} FROM '{table}.copy'\n"
        f"CREATE INDEX ON {table} (node_id);\n"
        f"{indexed}"
    )


FORM = ExportForm(
    "PostgreSQL with pgvector",
    template_beside(__file__),
    write_table=write_pgvector,
    kinds=(*IN_GRAPHS, FACTS),
)
