"""Parquet files of ours, read with their errors in one line and their checksums compared."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from kgtextvec.errors import InputError


@contextmanager
def parquet_errors(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises for an absent, cut or damaged file into InputError."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: not there. Run the step that makes it first.") from None
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError, MemoryError) as error:
        why = str(error).strip().partition("\n")[0]
        raise InputError(
            f"{path}: not a Parquet file, or a damaged one ({why}). Delete it and rerun the step"
            " that made it."
        ) from None


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file; pages with a checksum are compared with it when they are read."""
    with parquet_errors(path):
        return pq.ParquetFile(path, page_checksum_verification=True)


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read columns of a Parquet file, all if None. Raises InputError when it is damaged.

    Neither pq.read_table nor pa.array: both import pandas, which takes longer than a small file.
    """
    with open_parquet(path) as file:
        lacking = sorted(set(columns or ()) - set(file.schema_arrow.names))
        if lacking:
            raise InputError(
                f"{path}: has no column {lacking[0]!r}. Delete it and rerun the step that made it."
            )
        with parquet_errors(path):
            return file.read(columns and list(columns))


def parquet_batches(path: Path, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield a Parquet file's rows in batches of up to `rows`.

    Raises InputError at damage, strings that aren't UTF-8 included.
    """
    with open_parquet(path) as file:
        batches = file.iter_batches(rows)
        while True:
            with parquet_errors(path):
                batch = next(batches, None)
                if batch is None:
                    return
                batch.validate(full=True)
            yield batch
