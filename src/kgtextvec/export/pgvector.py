"""A space for PostgreSQL with pgvector: a file for COPY and the statements around it."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kgtextvec.errors import InputError
from kgtextvec.export.tsv import INDEX_ROWS, Form, Heads, bytes_of, write_lines
from kgtextvec.files import sha256_of, whole_file
from kgtextvec.space import Space

COLUMNS = ("node_id", "id", "label", "name")
MOST_DIMS = 16000  # of a vector in pgvector
MOST_INDEXED = 2000  # of a vector under an HNSW index
ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def write_pgvector(space: Space, folder: Path, form: str, name: str) -> dict[str, Any]:
    """Write {kind}.copy, text for COPY, and {kind}.sql, which makes the table and reads the file.

    All rows are there, duplicates included, under `row_id`. Vectors as float32 numbers in the
    shortest form, which the server parses back to the same bits.
    """
    if space.dims > MOST_DIMS:
        raise InputError(
            f"{space.folder}: has {space.dims} dims, pgvector takes {MOST_DIMS} at most. Export a"
            " reduced space."
        )
    path = folder / f"{space.kind}.copy"
    heads = copy_heads(space.index_path)
    write_lines(space.matrix, "", heads, path, threads=2, form=Form(",", "]"))
    with whole_file(folder / f"{space.kind}.sql") as part:
        part.write_text(statements(space), "utf-8")
    return {
        "file": path.name,
        "sql": f"{space.kind}.sql",
        "rows": space.rows,
        "sha256": sha256_of(path),
    }


def copy_heads(index: Path) -> Heads:
    """Yield what stands before the numbers in each row: its fields and a bracket."""
    first = 0
    for batch in pq.ParquetFile(index).iter_batches(INDEX_ROWS, columns=list(COLUMNS)):
        numbers = pa.array(np.arange(first, first + len(batch))).cast(pa.string())
        fields = [escaped(pc.fill_null(batch[name], "")) for name in COLUMNS]
        data, bounds = bytes_of(pc.binary_join_element_wise(numbers, *fields, "[", "\t"))
        yield first, data, bounds
        first += len(batch)


def escaped(field: pa.Array) -> pa.Array:
    """Escape strings (n,) as COPY's text form wants it."""
    for character, instead in ESCAPES.items():
        field = pc.replace_substring(field, character, instead)
    return field


def statements(space: Space) -> str:
    """Return the SQL that makes the table and an index, and psql's command to read the file."""
    table, dims = space.kind, space.dims
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
