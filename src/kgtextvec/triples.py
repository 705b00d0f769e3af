"""A file of triples: head, relation and tail."""

import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv as csv

from kgtextvec.errors import InputError

HEADER = (
    {"head", "h", "subject", "source", "head_id", "source_id"},
    {"relation", "r", "predicate", "relation_type", "rel", "edge_type"},
    {"tail", "t", "object", "target", "tail_id", "target_id"},
)


def read_columns(path: Path) -> pa.Table:
    """Read the columns head, relation, tail as strings; a first line that names them is left out.

    The file may be packed (.gz, .zst, .bz2, .xz). Raises InputError when it is absent or not of
    three columns.
    """
    columns = ["head", "relation", "tail"]
    bad: list[tuple[int | None, int]] = []

    def refuse(row: Any) -> str:
        bad.append((row.number, row.actual_columns))
        return "error"

    try:
        with open_packed(path) as stream:
            table = csv.read_csv(
                stream,
                csv.ReadOptions(column_names=columns, use_threads=False),
                csv.ParseOptions(delimiter="\t", quote_char=False, invalid_row_handler=refuse),
                csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string())),
            )
    except FileNotFoundError:
        raise InputError(f"{path}: not there. Correct evaluate.triples in the config.") from None
    except (pa.ArrowInvalid, OSError, lzma.LZMAError, EOFError) as error:
        where = f", line {bad[0][0]}" if bad and bad[0][0] else ""
        what = f"has {bad[0][1]} columns" if bad else f"not readable ({error})"
        raise InputError(
            f"{path}{where}: {what}. Give head, relation and tail with tabs between, in UTF-8."
        ) from None
    if table.num_rows and is_header([str(table[name][0]) for name in columns]):
        table = table.slice(1)
    return table


def is_header(fields: Sequence[str]) -> bool:
    """Return whether three fields are names of columns."""
    named = [field.strip().lower() for field in fields]
    return all(name in names for name, names in zip(named, HEADER, strict=True))


def open_packed(path: Path) -> IO[Any] | Any:
    """Open a file that may be packed (.gz, .zst, .bz2, .xz)."""
    if path.suffix == ".xz":
        return lzma.open(path)
    return pa.input_stream(str(path), compression="detect")
