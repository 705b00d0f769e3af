"""embed_shard: the texts of a shard to vectors, from the store where it has them."""

import argparse
import os
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kgtextvec.device import choose_device, choose_precision
from kgtextvec.embed.claim import claimed
from kgtextvec.embed.quick import quick_imports
from kgtextvec.embed.settings import (
    MODEL_KEYS,
    RECIPE,
    chosen_layers,
    dims_of,
    fingerprint_of,
    limit_tokens,
    stored_dims,
)
from kgtextvec.embed.shelf import Shelf
from kgtextvec.embed.store import Store, keys_of
from kgtextvec.embed.stored import stored
from kgtextvec.encoders import Among, load_encoder
from kgtextvec.encoders.folder import read_model_folder
from kgtextvec.files import need_space, sha256_of, whole_file, write_json
from kgtextvec.lease import leased
from kgtextvec.progress import say

PART_SECONDS = 20.0
TEXT_BYTES = 41  # beside its vector: key, two counts, a flag


def embed_shard_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `embed-shard`."""
    parser.add_argument("texts", type=Path, help="shard of texts (Parquet: text_sha256, text)")
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--store", type=Path, required=True, help="vector store's folder")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help=".npy to write; .parquet and .json of the same name are written beside it",
    )
    parser.add_argument("--pooling", default="mean")
    parser.add_argument("--max-tokens", type=int, help="default: as many as the model takes")
    parser.add_argument("--long-text", choices=["truncate", "window"], default="truncate")
    parser.add_argument(
        "--precision", default="auto", choices=["auto", "float32", "bfloat16", "float16"]
    )
    parser.add_argument(
        "--batch-tokens", type=number_or_auto, help="tokens a batch; auto (default): by device"
    )
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu")
    parser.add_argument("--mode", choices=["correct", "faithful"], default="correct")
    parser.add_argument("--layers", default="average", help="ELMo: average, top, token, n, concat")
    parser.add_argument("--initial-state", default="warm", choices=["warm", "zeros"], help="ELMo")
    parser.add_argument("--tokens", default="treebank_hyphen", help="ELMo: how text becomes words")
    parser.add_argument("--threads", type=int, help="CPU threads; default: all cores")
    parser.add_argument(
        "--part-seconds",
        type=float,
        default=PART_SECONDS,
        help="store what is finished at least this often",
    )


def embed_shard(
    texts: Path,
    model: Path,
    store: Path,
    out: Path,
    pooling: str = "mean",
    max_tokens: int | None = None,
    long_text: str = "truncate",
    precision: str = "auto",
    batch_tokens: int | None = None,
    device: str = "auto",
    mode: str = "correct",
    layers: str = "average",
    initial_state: str = "warm",
    tokens: str = "treebank_hyphen",
    threads: int | None = None,
    part_seconds: float = PART_SECONDS,
) -> None:
    """Write vectors (n_texts, dims) float32 in the shard's order, and what is known of each.

    Texts that the store has are not computed again; finished ones go to the store in parts, so a
    killed job loses at most the part in hand. Raises InputError for what the user can mend, and
    Stopped after SIGTERM, with the finished part stored.
    """
    about = read_model_folder(model)
    # Neither pq.read_table nor pa.array: both import pandas, which takes longer than the file.
    shard = pq.ParquetFile(texts).read()
    keys = keys_of(shard["text_sha256"].to_pylist())
    device = choose_device(device)
    settings = {
        "device": device,
        "precision": choose_precision(precision, device, about["kind"] == "transformer"),
        "pooling": pooling,
        "max_tokens": limit_tokens(max_tokens, about),
        "long_text": long_text,
        "special_tokens": "control" if mode == "faithful" else "literal",
        "lower_case": about.get("default_lower_case") if mode == "faithful" else None,
        "batch_tokens": batch_tokens,
        "layers": layers,
        "initial_state": initial_state,
        "tokens": tokens,
    }
    vectors_at = Store(store, fingerprint_of(about, settings))
    dims = dims_of(about, settings)
    start = time.monotonic()
    n_texts = len(keys)
    todo = np.zeros(0, dtype=np.int64)
    with whole_file(out) as part:
        shelf = Shelf(part, n_texts, dims)
        take_stored(shelf, vectors_at, keys, about, settings)
        if shelf.missing.any():
            with claimed(vectors_at.folder, sha256(keys.tobytes()).hexdigest()[:32]) as waited:
                if waited:
                    take_stored(shelf, vectors_at, keys, about, settings)
                todo = np.flatnonzero(shelf.missing)
                say(f"{texts}: {n_texts:,} texts, {n_texts - len(todo):,} from the store")
                if len(todo):
                    set_threads(threads)
                    all_texts = shard["text"].to_pylist()
                    chosen = [all_texts[row] for row in todo.tolist()]
                    fill(shelf, chosen, keys, vectors_at, model, about, settings, part_seconds)
        else:
            say(f"{texts}: {n_texts:,} texts, all from the store")
        shelf.close()
    shelf.write_tokens(out.with_suffix(".parquet"))
    write_json(
        out.with_suffix(".json"),
        {
            "model": {"name": about["model"], **{key: about.get(key) for key in MODEL_KEYS}},
            "texts": n_texts,
            "dims": dims,
            "mode": mode,
            **{key: settings[key] for key in ("precision", "pooling", "max_tokens", "long_text")},
            "device": device,
            "texts_embedded": len(todo),
            "texts_from_store": n_texts - len(todo),
            "tokens_embedded": int(shelf.n_tokens[todo].sum()),
            "seconds": round(time.monotonic() - start, 3),
            "fingerprint": vectors_at.folder.name,
            "text_keys_digest": sha256(keys.tobytes()).hexdigest(),
            "vectors_sha256": sha256_of(out),
            "recipe": RECIPE,
        },
    )


def fill(
    shelf: Shelf,
    texts: list[str],
    keys: NDArray[np.uint8],
    store: Store,
    model: Path,
    about: dict[str, Any],
    settings: dict[str, Any],
    part_seconds: float,
) -> None:
    """Compute what is missing on the shelf: its `texts`; `keys` (n, 32) are those of all texts."""
    todo = np.flatnonzero(shelf.missing)
    need_space({store.folder.parent: len(todo) * (4 * stored_dims(about) + TEXT_BYTES)})
    with leased(settings["device"]) as place:
        with quick_imports(about["kind"]):
            encoder = load_encoder(model, about, settings | {"device": place, "layers": "concat"})
        finished = encoder.encode(texts, Among(todo, shelf.n_tokens.copy()))
        for encoded in stored(finished, keys[todo], store, part_seconds):
            vectors = chosen_layers(encoded.vectors, about, settings)
            shelf.put(todo[encoded.rows], encoded, vectors)
        del encoder, finished  # the next to lease the GPU finds its memory free


def take_stored(
    shelf: Shelf,
    store: Store,
    keys: NDArray[np.uint8],
    about: dict[str, Any],
    settings: dict[str, Any],
) -> None:
    """Put what the store has of the missing texts on the shelf; `keys` (n, 32) are all texts'."""
    missing = np.flatnonzero(shelf.missing)
    for rows, found in store.find(keys[missing]):
        if found.vectors.shape[1] == stored_dims(about):
            shelf.put(missing[rows], found, chosen_layers(found.vectors, about, settings))


def number_or_auto(word: str) -> int | None:
    """Read a number; `auto` is None."""
    return None if word == "auto" else int(word)


def set_threads(threads: int | None) -> None:
    """Let torch and the tokenizer use that many CPU threads."""
    import torch

    if threads:
        torch.set_num_threads(threads)
        os.environ.setdefault("RAYON_NUM_THREADS", str(threads))
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
