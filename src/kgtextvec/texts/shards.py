"""Rows and distinct texts on their way to disk: spilled in order of reading, written sorted.

Texts are dealt by their sha256 to RANGES equal ranges in one spill file; each range is then
sorted on its own, so that memory holds one range and not all texts.
"""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kgtextvec.digests import TableDigest
from kgtextvec.kinds import KINDS
from kgtextvec.records import ShardTexts
from kgtextvec.texts.quality import in_order
from kgtextvec.texts.table import UsableRows

RANGES = 64
GROUP = 1 << 16
GROUP_BYTES = 64 << 20
PARQUET = {"compression": "zstd", "compression_level": 1, "write_statistics": False}
REPEATED = ("label", "resource", "source_type", "target_type")
TEXTS = pa.schema([("text_sha256", pa.string()), ("text", pa.string())])


def shard_name(shard: int, shards: int) -> str:
    """Return `003-of-032`: zero-based, at least three digits, as wide as the number of shards."""
    width = max(3, len(str(shards)))
    return f"{shard:0{width}d}-of-{shards:0{width}d}"


def shard_of(digests: NDArray[np.uint8], shards: int) -> NDArray[np.int64]:
    """Return the shard of each sha256, (n, 32): floor(its first 8 bytes x shards / 2^64)."""
    first = np.ascontiguousarray(digests[:, :8]).view(">u8").astype(np.uint64).reshape(-1)
    high, low = first >> np.uint64(32), first & np.uint64(0xFFFFFFFF)
    n = np.uint64(shards)
    return ((high * n + ((low * n) >> np.uint64(32))) >> np.uint64(32)).astype(np.int64)


def hex_strings(digests: NDArray[np.uint8]) -> Any:
    """Return sha256 digests, (n, 32), as an Arrow array of n strings of 64 hex digits."""
    letters = np.ascontiguousarray(digests).tobytes().hex().encode()
    offsets = np.arange(len(digests) + 1, dtype=np.int32) * 64
    return pa.StringArray.from_buffers(len(digests), pa.py_buffer(offsets), pa.py_buffer(letters))


class Spill:
    """What was read, on disk: rows as they came, texts in batches by range of their sha256."""

    def __init__(self, folder: Path) -> None:
        """Begin in an existing folder, which the caller removes in the end."""
        self.folder = folder
        self.rows: Any = None
        self.text_schema = pa.schema([("sha", pa.binary(32)), ("text", pa.string())])
        self.texts = pa.ipc.new_file(str(folder / "texts.arrow"), self.text_schema)
        self.batches: list[list[int]] = [[] for _ in range(RANGES)]
        self.count = 0

    def add(self, rows: UsableRows) -> None:
        """Put a block of rows aside."""
        strings = [pa.array(values, pa.string()) for values in rows.columns.values()]
        batch = pa.record_batch([pa.array(rows.lines), *strings], names=["line", *rows.columns])
        if self.rows is None:
            self.rows = pa.ipc.new_file(str(self.folder / "rows.arrow"), batch.schema)
        self.rows.write_batch(batch)
        ranges = shard_of(rows.digests, RANGES).astype(np.uint8)
        order = np.argsort(ranges, kind="stable")
        digests = rows.digests[order]
        shas = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(32), len(digests), [None, pa.py_buffer(np.ascontiguousarray(digests))]
        )
        texts = pa.array(rows.texts, pa.string()).take(pa.array(order))
        dealt = pa.record_batch([shas, texts], schema=self.text_schema)
        bounds = np.searchsorted(ranges[order], np.arange(RANGES + 1))
        for number in range(RANGES):
            size = int(bounds[number + 1] - bounds[number])
            if size:
                self.texts.write_batch(dealt.slice(int(bounds[number]), size))
                self.batches[number].append(self.count)
                self.count += 1

    def close(self) -> None:
        """End writing; reading may begin."""
        self.texts.close()
        if self.rows is not None:
            self.rows.close()

    def row_batches(self) -> Iterator[Any]:
        """Yield the rows' record batches as they came."""
        if self.rows is None:
            return
        with pa.OSFile(str(self.folder / "rows.arrow")) as source:
            reader = pa.ipc.open_file(source)
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)

    def distinct_texts(self) -> Iterator[tuple[NDArray[np.uint8], Any]]:
        """Yield (digests (n, 32), n texts) of each range in turn, sorted, each text once."""
        with pa.OSFile(str(self.folder / "texts.arrow")) as source:
            reader = pa.ipc.open_file(source)
            for numbers in self.batches:
                if not numbers:
                    continue
                table = pa.Table.from_batches([reader.get_batch(number) for number in numbers])
                digests = np.concatenate([bytes_of(one) for one in table["sha"].chunks])
                order, first = in_order(digests)
                order = order[first]
                yield digests[order], table["text"].take(pa.array(order)).combine_chunks()


def bytes_of(shas: Any) -> NDArray[np.uint8]:
    """Return an Arrow array of 32-byte values as (n, 32) uint8."""
    data = np.frombuffer(shas.buffers()[1], dtype=np.uint8).reshape(-1, 32)
    return data[shas.offset : shas.offset + len(shas)]


def write_shards(spill: Spill, folder: Path, shards: int) -> dict[str, ShardTexts]:
    """Write every shard's Parquet file; return {shard: {texts, digest}}.

    A shard's digest is the sha256 over the raw sha256 of its texts in order. The bytes of a file
    depend on its texts alone.
    """
    written: dict[str, ShardTexts] = {}
    parts = spill.distinct_texts()
    end = np.zeros((0, 32), dtype=np.uint8), pa.array([], pa.string())
    digests, texts = next(parts, end)
    for shard in range(shards):
        name = shard_name(shard, shards)
        digest, count = sha256(), 0
        with ShardFile(folder / f"{name}.parquet") as file:
            while len(digests):
                size = int(np.searchsorted(shard_of(digests, shards), shard, side="right"))
                digest.update(np.ascontiguousarray(digests[:size]).data)
                count += size
                file.add(digests[:size], texts.slice(0, size))
                if size < len(digests):
                    digests, texts = digests[size:], texts.slice(size)
                    break
                digests, texts = next(parts, end)
        written[name] = {"texts": count, "digest": digest.hexdigest()}
    return written


class ShardFile:
    """A shard's Parquet file; row groups are cut by what was added, whoever adds it."""

    def __init__(self, path: Path) -> None:
        """Open the file for writing."""
        self.writer = pq.ParquetWriter(path, TEXTS, use_dictionary=False, **PARQUET)
        self.waiting: list[Any] = []
        self.rows = self.bytes = 0

    def __enter__(self) -> "ShardFile":
        return self

    def __exit__(self, *failure: object) -> None:
        if failure[0] is None:
            self.flush()
        self.writer.close()

    def add(self, digests: NDArray[np.uint8], texts: Any) -> None:
        """Append sorted texts; a row group is written when enough of them wait."""
        if not len(digests):
            return
        self.waiting.append(pa.table([hex_strings(digests), texts], schema=TEXTS))
        self.rows += len(digests)
        self.bytes += texts.nbytes
        if self.rows >= GROUP or self.bytes >= GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits as one row group."""
        if self.waiting:
            self.writer.write_table(pa.concat_tables(self.waiting).combine_chunks())
        self.waiting, self.rows, self.bytes = [], 0, 0


def write_rows(
    spill: Spill,
    path: Path,
    digests: NDArray[np.uint8],
    index: NDArray[np.int64],
    kind: str,
) -> str:
    """Write rows.parquet; return the digest over its content (not over the file's bytes).

    `digests` (n, 32) and `index` (n,) are those of the rows' texts.
    """
    schema = row_schema(kind)
    digest = TableDigest(schema.names)
    done = 0
    few = [name for name in REPEATED if name in schema.names]
    with pq.ParquetWriter(path, schema, use_dictionary=few, **PARQUET) as writer:
        for batch in spill.row_batches():
            size = len(batch)
            block = slice(done, done + size)
            added = {
                "row": pa.array(np.arange(done, done + size)),
                "text_index": pa.array(index[block]),
                "text_sha256": hex_strings(digests[block]),
            }
            columns = [
                added[field.name] if field.name in added else batch.column(field.name)
                for field in schema
            ]
            digest.add(pa.record_batch(columns, schema=schema))
            writer.write_table(pa.table(columns, schema=schema))
            done += size
    return digest.hexdigest()


def row_schema(kind: str) -> Any:
    """Return the columns of rows.parquet for a kind of table."""
    names = ["id", "label", "name", "resource"]
    return pa.schema(
        [("row", pa.int64()), ("line", pa.int64())]
        + [(name, pa.string()) for name in names]
        + [("text_index", pa.int64()), ("text_sha256", pa.string())]
        + [(name, pa.string()) for name in KINDS[kind].more_columns]
    )
