"""Texts of a Python program to vectors, in memory: the store and the engine of embed_shard."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.device import choose_device
from kgtextvec.digests import digests_of_texts
from kgtextvec.embed.fingerprint import fingerprint_of, resolve, runs_on_mps, vector_dims
from kgtextvec.embed.shard import ShardJob
from kgtextvec.embed.shard_output import ShardOutput
from kgtextvec.embed.store import open_store
from kgtextvec.encoders.folder import read_model_folder
from kgtextvec.errors import InputError
from kgtextvec.settings.base import read_settings
from kgtextvec.settings.models import Embed, EncoderOptions, Mode

EMBED_KEYS = ("device", "precision", "long_text")


def embed_texts(
    texts: list[str], folder: Path, store: Path | str, options: dict[str, Any]
) -> NDArray[np.float32]:
    """Return the vectors of checked texts, (len(texts), dims) float32, in their order.

    `folder` is a converted model's; `options` are keys of Embed and EncoderOptions. Raises
    InputError when one does not suit the model.
    """
    record = read_model_folder(folder)
    if record["kind"] == "endpoint":
        raise InputError(
            f"{record['model']}: is an endpoint. Only the workflow can ask its server."
        )
    of_run = {key: value for key, value in options.items() if key in EMBED_KEYS}
    of_model = {key: value for key, value in options.items() if key not in EMBED_KEYS}
    embed = read_settings(Embed, of_run, "encode, ")
    encoder = read_settings(EncoderOptions, of_model, "encode, ")
    device = choose_device(embed.device, runs_on_mps(record))
    settings = resolve(record, encoder, embed, Mode(), device)
    keys, first, place = distinct_texts(texts)
    output = ShardOutput(np.empty((len(keys), vector_dims(record, settings)), np.float32))
    vectors = open_store(store, fingerprint_of(record, settings, encoder, embed, Mode()))
    job = ShardJob(folder, record, settings, vectors, keys, output)
    job.fill(
        lambda: [texts[row] for row in first.tolist()], record["model"], embed.part_seconds, None
    )
    return output.vectors[place]


def checked_texts(texts: Sequence[str]) -> list[str]:
    """Return the texts as a list. Raises InputError at the first that is no text, or empty."""
    if isinstance(texts, str):
        raise InputError("texts: is one string. Give a list of texts: [text].")
    listed = list(texts)
    for row, text in enumerate(listed):
        if not isinstance(text, str):
            raise InputError(
                f"texts[{row}]: is {type(text).__name__} ({text!r}), not a string. Fill or drop it."
            )
        if not text.strip():
            raise InputError(f"texts[{row}]: is empty. Fill it, or leave it out.")
    return listed


def distinct_texts(
    texts: list[str],
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Return (keys, first, place) of n texts, m of them distinct.

    keys (m, 32) uint8 are ascending; first (m,): the first row of each; place (n,): each text's
    place among the keys.
    """
    rows: dict[str, int] = {}
    which = [rows.setdefault(text, len(rows)) for text in texts]
    try:
        digests = digests_of_texts(text.encode() for text in rows)
    except UnicodeEncodeError as error:
        raise InputError(
            f"texts[{texts.index(error.object)}]: has a lone surrogate, which UTF-8 can't hold"
            f" ({error.reason}). Correct it."
        ) from None
    order = np.argsort(digests.view("S32").reshape(-1), kind="stable") if rows else np.arange(0)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    numbers = np.array(which, dtype=np.int64)
    first = np.full(len(rows), len(texts), np.int64)
    np.minimum.at(first, numbers, np.arange(len(texts)))
    return digests[order], first[order], rank[numbers]
