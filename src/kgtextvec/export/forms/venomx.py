"""venomx: vectors by id in Parquet, and beside them how they were made, in its vocabulary."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgtextvec.export.forms import ExportForm, template_beside
from kgtextvec.files import whole_file
from kgtextvec.progress import Progress

if TYPE_CHECKING:
    from kgtextvec.space import Space


def write_venomx(space: "Space", folder: Path, model: str) -> dict[str, Any]:
    """Write {kind}.parquet (`id`, `values`: list<float32>) and {kind}.yaml, its venomx Index.

    The id is the node id; of rows with one id the first is taken. Raises InputError at NaN or Inf.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from kgtextvec.checksums import xxh3_of
    from kgtextvec.export.trainers import finite_blocks

    rows = space.first_rows()
    ids = space.column("node_id").take(pa.array(rows))
    path = folder / f"{space.kind.name}.parquet"
    schema = pa.schema([("id", pa.string()), ("values", pa.list_(pa.float32()))])
    at = 0
    with (
        whole_file(path) as part,
        pq.ParquetWriter(part, schema, compression={"id": "zstd"}, use_dictionary=False) as writer,
        Progress("export", len(rows), unit="rows") as progress,
    ):
        for block in finite_blocks(space, rows):
            numbers = pa.array(block.reshape(-1))
            vectors = pa.FixedSizeListArray.from_arrays(numbers, space.dims)
            some = ids.slice(at, len(block)).cast(pa.string())
            some = some.combine_chunks() if isinstance(some, pa.ChunkedArray) else some
            writer.write_batch(pa.record_batch([some, vectors.cast(schema.field(1).type)], schema))
            at += len(block)
            progress.add(len(block))
    about = write_about(space, folder / f"{space.kind.name}.yaml")
    return {
        "file": path.name,
        "about": about.name,
        "rows": len(rows),
        "xxh3_128": xxh3_of(path),
    }


def write_about(space: "Space", path: Path) -> Path:
    """Write what venomx calls an Index, without its vectors; returns its path."""
    import yaml

    from kgtextvec.checksums import vectors_id

    made = space.manifest
    model = made["model"]
    how = {
        "pooling": made.get("pooling"),
        "precision": made.get("precision"),
        "max_tokens": made.get("max_tokens"),
        "weights_sha256": model.get("weights_sha256"),
        "space": made["space"],
    }
    index = {
        "id": vectors_id(made),
        "dataset": {
            "name": made["table"],
            "version": made.get("texts_digest"),
            "metadata": [f"rows: {made['rows']}"],
        },
        "embeddings_dimensions": space.dims,
        "embedding_model": {
            "name": model["name"],
            "source": model.get("source"),
            "version": model.get("revision"),
            "metadata": [f"{key}: {value}" for key, value in how.items() if value is not None],
        },
        "embedding_input_method": {"fields": str(made["text"]).split(",")},
    }
    with whole_file(path) as part:
        part.write_text(yaml.safe_dump(index, sort_keys=False, allow_unicode=True), "utf-8")
    return path


FORM = ExportForm(
    "venomx, which says in a common vocabulary how embeddings were made",
    template_beside(__file__),
    write_table=write_venomx,
)
