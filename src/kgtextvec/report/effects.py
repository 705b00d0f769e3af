"""What the texts of a table do to its vectors: names alone, few words, shared and cut texts."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kgtextvec.errors import InputError
from kgtextvec.parquet_files import read_parquet
from kgtextvec.text_shards import shards_of_texts

MOST_EXAMPLES = 3
TEXT_SHOWN = 140  # characters of a text
LEAST_WORDS = 3
ROW_COLUMNS = ["id", "label", "name", "text_sha256"]


def effects_on_vectors(
    rows: Path, shards: Path, truncated: Mapping[str, NDArray[np.bool_]]
) -> list[dict[str, Any]]:
    """Return what was found that weakens vectors, most rows first; JSON-able.

    `rows` is rows.parquet of a table and `shards` the folder of its distinct texts; `truncated`
    has, for each model, whether it cut the text of each row, (n_rows,). Each effect has `kind`,
    `count` (rows) and `examples`, a few of {id, label, name, text}. Kinds are `name_only`,
    `few_words`, `shared_text` and, with `model`, `truncated`. Raises InputError if a file is
    missing or damaged.
    """
    table = read_parquet(rows, ROW_COLUMNS)
    texts = pa.concat_tables(shards_of_texts(shards))
    digests = table["text_sha256"].to_pylist()
    place = {digest: number for number, digest in enumerate(texts["text_sha256"].to_pylist())}
    try:
        text_of_row = np.array([place[digest] for digest in digests], dtype=np.int64)
    except KeyError as error:
        raise InputError(
            f"{shards}: has no text {error}. Delete the table's texts and rerun."
        ) from None
    names = (str(name or "").encode() for name in table["name"].to_pylist())
    own_name = np.array(
        [hashlib.sha256(name).hexdigest() == one for name, one in zip(names, digests, strict=True)],
        dtype=np.bool_,
    )
    few = word_counts(texts["text"]) < LEAST_WORDS
    shared = np.bincount(text_of_row, minlength=len(place)) > 1
    found = [
        ("name_only", None, own_name),
        ("few_words", None, few[text_of_row] & ~own_name),
        ("shared_text", None, shared[text_of_row]),
        *(("truncated", model, cut) for model, cut in truncated.items()),
    ]
    effects = [
        {
            "kind": kind,
            "model": model,
            "count": int(chosen.sum()),
            "examples": example_rows(table, texts["text"], text_of_row, chosen, kind),
        }
        for kind, model, chosen in found
        if chosen.any()
    ]
    return sorted(effects, key=lambda one: -one["count"])


def word_counts(texts: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return the number of words of each text, (n,)."""
    words = pc.list_value_length(pc.utf8_split_whitespace(pc.utf8_trim_whitespace(texts)))
    return np.asarray(words.to_numpy(), dtype=np.int64)


def example_rows(
    table: pa.Table,
    texts: pa.ChunkedArray,
    text_of_row: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    kind: str,
) -> list[dict[str, str]]:
    """Return a few of the chosen rows with their texts; of shared texts, rows of one text first."""
    at = np.flatnonzero(chosen)
    if kind == "shared_text":
        at = at[np.argsort(text_of_row[at], kind="stable")]
    found = []
    for row in at[:MOST_EXAMPLES]:
        text = str(texts[int(text_of_row[row])].as_py())
        values = {name: str(table[name][int(row)].as_py() or "") for name in ROW_COLUMNS[:3]}
        shown = text if len(text) <= TEXT_SHOWN else f"{text[: TEXT_SHOWN - 1]}…"
        found.append(values | {"text": shown})
    return found


def truncated_rows(index: Path) -> NDArray[np.bool_]:
    """Return which rows of a space's index.parquet have a text that the model cut, (n_rows,)."""
    cut = read_parquet(index, ["truncated"])["truncated"]
    return np.asarray(pc.fill_null(cut, False).to_numpy(), dtype=np.bool_)
