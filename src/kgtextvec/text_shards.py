"""The distinct texts of a table, in the shards that read-texts (or mask-texts) wrote."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from kgtextvec.digests import checked_text_keys
from kgtextvec.errors import InputError
from kgtextvec.parquet_files import read_parquet


def shards_of_texts(folder: Path, wanted: pa.Array | None = None) -> Iterator[pa.Table]:
    """Yield each shard's `text_sha256` and `text`, compared with each other, `wanted` or all.

    `folder`: the shards, or the folder of the table, which has them in `shards`. `wanted` are
    sha256 as hex digits. Raises InputError when there is no shard, or a damaged one.
    """
    if (folder / "rows.parquet").is_file() and (folder / "shards").is_dir():
        folder /= "shards"
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise InputError(
            f"{folder}: no shards of texts (*.parquet) in it. Run read-texts first, or give a"
            " table's shards folder."
        )
    for file in files:
        shard = read_parquet(file, ["text_sha256", "text"])
        if wanted is not None:
            shard = shard.filter(pc.is_in(shard["text_sha256"], value_set=wanted))
        checked_text_keys(file, shard)
        yield shard
