"""gather_shards: the vectors of all shards in the order of the table's rows."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kgtextvec.checksums import VectorsCheck, compared_meanwhile
from kgtextvec.digests import TableDigest
from kgtextvec.embed import RECIPE
from kgtextvec.errors import InputError
from kgtextvec.files import refuse_other_digest, sha256_of, whole_file
from kgtextvec.matrices import MatrixWriter, open_matrix
from kgtextvec.parquet_files import parquet_batches, read_parquet
from kgtextvec.progress import plural
from kgtextvec.records import (
    ShardRecord,
    TextsManifest,
    embedded_with,
    read_record,
    write_record,
)
from kgtextvec.registry import KIND_NAMES
from kgtextvec.versions import versions_of

ROWS = 16384
PACKAGES = ("numpy", "torch", "transformers", "tokenizers", "safetensors", "pyarrow")


def gather_shards(
    shards: Annotated[list[Path], "the shards' .npy files"],
    *,
    texts: Annotated[Path, "results/texts/{table}"],
    out_dir: Annotated[Path, "the space's folder"],
) -> None:
    """Put the vectors of all shards in the order of the table, as the space `full`.

    Writes embeddings.npy (n_rows, dims) float32, index.parquet and manifest.json.

    Row i is row i of the table, duplicates included. Every shard is checked by its number of
    texts, the digest of their keys and the digests of its files; rows.parquet by the digest of its
    content. Raises InputError when a shard is missing, damaged, or made of other texts or with
    other settings than its siblings, and when rows.parquet is damaged.
    """
    table = read_record(texts / "manifest.json", TextsManifest)
    pieces = [Shard(path) for path in sorted(shards, key=lambda path: path.stem)]
    check_shards(pieces, table)
    first = pieces[0].about
    dims = first["dims"]
    bounds = np.cumsum([0] + [piece.about["texts"] for piece in pieces])
    rows = CheckedRows(texts / "rows.parquet", table)
    n_rows, form = table["rows"], table.get("node_id")
    counts = {"truncated": 0, "tokens": 0, "unknown_tokens": 0}
    with (
        whole_file(out_dir / "embeddings.npy") as vectors_part,
        whole_file(out_dir / "index.parquet") as index_part,
        vectors_part.open("wb") as vectors_file,
        compared_meanwhile([piece.check for piece in pieces]),
    ):
        writer_of_vectors = MatrixWriter(vectors_file, n_rows, dims)
        index_digest: TableDigest | None = None
        writer: pq.ParquetWriter | None = None
        buffer = Found(min(n_rows, ROWS), dims)
        for batch in rows.batches():
            place = batch["text_index"].to_numpy(zero_copy_only=False)
            found = buffer.first(len(place))
            take(pieces, bounds, place, found)
            writer_of_vectors.add(found.vectors)
            index = index_of(pa.Table.from_batches([batch]), table["kind"], form, found)
            index_digest = index_digest or TableDigest(index.column_names)
            for part in index.to_batches():
                index_digest.add(part)
            writer = writer or pq.ParquetWriter(index_part, index.schema, compression="zstd")
            writer.write_table(index)
            counts["truncated"] += int(found.truncated.sum())
            counts["tokens"] += int(found.n_tokens.sum())
            counts["unknown_tokens"] += int(found.n_unknown.sum())
        if writer is None or index_digest is None:
            empty = index_of(read_parquet(rows.path), table["kind"], form, buffer.first(0))
            index_digest = TableDigest(empty.column_names)
            writer = pq.ParquetWriter(index_part, empty.schema, compression="zstd")
        writer.close()
        index_sha256 = sha256_of(index_part)
    manifest = {
        "model": first["model"],
        "table": table["table"],
        "kind": table["kind"],
        "space": "full",
        "text": table["text"],
        **({"node_id": form} if form else {}),
        **embedded_with(first),
        "rows": n_rows,
        "texts": table["texts"],
        "dims": dims,
        "counts": {
            "rows": n_rows,
            "distinct_texts": table["texts"],
            "texts_embedded": sum(piece.about["texts_embedded"] for piece in pieces),
            "texts_from_store": sum(piece.about["texts_from_store"] for piece in pieces),
            "tokens_embedded": sum(piece.about["tokens_embedded"] for piece in pieces),
            **counts,
        },
        "devices": sorted({piece.about["device"] for piece in pieces}),
        "seconds": round(sum(piece.about["seconds"] for piece in pieces), 3),
        "shards": len(pieces),
        "texts_digest": table["digest"],
        "vectors_xxh3": writer_of_vectors.xxh3,
        "index_digest": index_digest.hexdigest(),
        "index_sha256": index_sha256,
        "recipe": {"embed_shard": first["recipe"], "gather_shards": RECIPE["gather_shards"]},
        "versions": versions_of(*PACKAGES),
        "command": " ".join(["kgtextvec", *sys.argv[1:]]),
    }
    write_record(out_dir / "manifest.json", manifest)


class CheckedRows:
    """The rows of rows.parquet, compared with the manifest of the table's texts."""

    def __init__(self, path: Path, table: TextsManifest) -> None:
        self.path, self.table = path, table

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in batches of up to ROWS.

        Raises InputError at a row that refers to no text, and after the last batch if the content
        isn't the one that the manifest describes.
        """
        if "rows_sha256" in self.table:
            refuse_other_digest(self.path, self.table["rows_sha256"], sha256_of(self.path))
        done, digest = 0, None
        for batch in parquet_batches(self.path, ROWS):
            if digest is None:
                digest = TableDigest(self.names_of(batch.schema))
            digest.add(batch)
            done += len(batch)
            place = batch["text_index"].to_numpy(zero_copy_only=False)
            if len(place) and not 0 <= place.min() <= place.max() < self.table["texts"]:
                raise self.damaged(f"a row refers to none of the {self.table['texts']} texts")
            if done <= self.table["rows"]:
                yield batch
        if done != self.table["rows"]:
            raise self.damaged(f"has {done} rows, manifest.json has {self.table['rows']}")
        if digest and digest.hexdigest() != self.table["digest"]:
            raise self.damaged("its rows aren't those of manifest.json")

    def names_of(self, schema: pa.Schema) -> list[str]:
        """Return the columns' names. Raises InputError when one is missing or of another type."""
        for name in ("id", "label", "name", "text_index", "text_sha256"):
            if name not in schema.names:
                raise self.damaged(f"has no column {name!r}")
        for field in schema:
            if field.type not in (pa.int64(), pa.string()):
                raise self.damaged(f"its column {field.name!r} is of type {field.type}")
        names: list[str] = schema.names
        return names

    def damaged(self, why: str) -> InputError:
        """Return the error that says what is wrong with the file."""
        return InputError(f"{self.path}: damaged or replaced: {why}. Rerun read-texts.")


class Shard:
    """A shard's vectors (memory-mapped), tokens and what is known of how they were made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.about = read_record(path.with_suffix(".json"), ShardRecord)
        self.check = VectorsCheck(path, self.about)
        dims = open_matrix(path).dims  # refuses a damaged header
        self.vectors: NDArray[np.float32] = np.load(path, mmap_mode="r")
        tokens_file = path.with_suffix(".parquet")
        tokens = read_parquet(tokens_file, ["n_tokens", "truncated", "n_unknown"])
        if "tokens_sha256" in self.about:
            refuse_other_digest(tokens_file, self.about["tokens_sha256"], sha256_of(tokens_file))
        self.n_tokens = tokens["n_tokens"].to_numpy()
        self.truncated = tokens["truncated"].to_numpy()
        self.n_unknown = tokens["n_unknown"].to_numpy()
        counts = {len(self.vectors), len(self.n_tokens), int(self.about["texts"])}
        if len(counts) != 1 or dims != self.about["dims"]:
            raise InputError(
                f"{path}: its files disagree on the number of texts or dims. Rerun embed-shard."
            )


def check_shards(pieces: list[Shard], table: TextsManifest) -> None:
    """Raise InputError unless the shards are those of the table, made in one and the same way."""
    expected, got = sorted(table["shards"]), [piece.path.stem for piece in pieces]
    if expected != got:
        missing = sorted(set(expected) - set(got)) or sorted(set(got) - set(expected))
        raise InputError(
            f"{pieces[0].path.parent}: {plural(len(got), 'shard')}, {len(expected)} expected; the"
            f" first that doesn't match is {missing[0]}. Name the files as the shards of the texts,"
            " or rerun the workflow."
        )
    first = pieces[0]
    for piece in pieces:
        want = table["shards"][piece.path.stem]
        if (want["texts"], want["digest"]) != (
            piece.about["texts"],
            piece.about["text_keys_digest"],
        ):
            raise InputError(
                f"{piece.path}: made of other texts than the table's. Rerun embed-shard."
            )
        if piece.about["fingerprint"] != first.about["fingerprint"]:
            raise InputError(
                f"{piece.path}: made with another model or other settings than {first.path}"
                f" ({piece.about['precision']} and {first.about['precision']}). Set"
                " embed.precision instead of auto where shards run on different devices."
            )


class Found:
    """Vectors and token counts of some rows, to be filled by `take`, and again."""

    def __init__(self, n_rows: int, dims: int) -> None:
        self.vectors = np.empty((n_rows, dims), dtype=np.float32)
        self.n_tokens = np.empty(n_rows, dtype=np.int32)
        self.truncated = np.empty(n_rows, dtype=np.bool_)
        self.n_unknown = np.empty(n_rows, dtype=np.int32)

    def first(self, n_rows: int) -> "Found":
        """Return the first rows, which share this one's memory."""
        part = Found.__new__(Found)
        part.__dict__ = {name: values[:n_rows] for name, values in vars(self).items()}
        return part


def take(
    pieces: list[Shard], bounds: NDArray[np.int64], place: NDArray[np.int64], found: Found
) -> None:
    """Take the vectors of texts by their place (n_rows,) among all distinct texts."""
    owner = np.searchsorted(bounds, place, side="right") - 1
    for number in np.unique(owner):
        here = np.flatnonzero(owner == number)
        inside = place[here] - bounds[number]
        piece = pieces[number]
        if len(here) == len(place):  # "clip" copies each row once; no place is outside
            np.take(piece.vectors, inside, axis=0, out=found.vectors, mode="clip")
        else:
            found.vectors[here] = piece.vectors[inside]
        found.n_tokens[here] = piece.n_tokens[inside]
        found.truncated[here] = piece.truncated[inside]
        found.n_unknown[here] = piece.n_unknown[inside]


def index_of(rows: pa.Table, kind: str, form: str | None, found: Found) -> pa.Table:
    """Return the index's columns for rows of rows.parquet; `form` is that of node ids."""
    index = rows.drop_columns(
        [name for name in ("text_index", "line") if name in rows.schema.names]
    )
    form = form or KIND_NAMES[kind].id_forms[0]
    names = {"id", "label", form}.intersection(index.column_names)
    columns = {name: index[name].to_pylist() for name in names}
    node_ids = KIND_NAMES[kind].node_ids(columns, form)
    index = index.append_column("node_id", pa.array(node_ids, pa.string()))
    index = index.append_column("n_tokens", pa.array(found.n_tokens))
    return index.append_column("truncated", pa.array(found.truncated))
