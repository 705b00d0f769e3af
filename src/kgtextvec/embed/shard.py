"""embed_shard: the texts of a shard to vectors, from the store where it has them."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.checksums import xxh3_of
from kgtextvec.device import choose_device, set_threads
from kgtextvec.digests import checked_text_keys
from kgtextvec.embed import EMBED_RECIPE
from kgtextvec.embed.fingerprint import (
    choices_in_manifest,
    chosen_layers,
    fingerprint_of,
    resolve,
    runs_on_mps,
    stored_dims,
    vector_dims,
)
from kgtextvec.embed.shard_output import ShardOutput, shard_on_disk
from kgtextvec.embed.store import Store, open_store
from kgtextvec.embed.store_writer import store_as_finished
from kgtextvec.encoders import EncoderSettings, ResumeContext, load_encoder
from kgtextvec.encoders.folder import read_model_folder
from kgtextvec.fast_imports import quick_imports
from kgtextvec.files import parse_json, sha256_of, whole_file
from kgtextvec.gpu_lock import leased
from kgtextvec.parquet_files import read_parquet
from kgtextvec.progress import plural, say
from kgtextvec.records import ModelRecord, ShardRecord, model_in_manifest, write_record
from kgtextvec.settings.base import changed, read_settings
from kgtextvec.settings.models import Access, Embed, EncoderOptions, Mode

TEXT_BYTES = 41  # besides its vector: key, two counts, a flag


def embed_shard(
    texts: Annotated[Path, "shard of texts (Parquet: text_sha256, text)"],
    *,
    model: Annotated[Path, "folder of a converted model"],
    store: Annotated[str, "the vector store: a folder, or s3://bucket/prefix"],
    out: Annotated[Path, ".npy to write; .parquet and .json of the same name are written too"],
    options: EncoderOptions = EncoderOptions(),
    embed: Embed = Embed(),
    mode: Mode = Mode(),
    access: Annotated[str, "an endpoint's api_key_env and requests, as JSON"] = "{}",
    threads: Annotated[int | None, "CPU threads (default: all cores)"] = None,
) -> None:
    """Turn the texts of a shard into vectors.

    Writes vectors (n_texts, dims) float32 in the shard's order, and what is known of each text.
    Texts that are in the store are not computed again; finished ones are stored in parts, so that
    a killed job loses one part at most. A text's key is computed from the text: a shard that
    records another one is refused. Raises InputError for what the user can correct, and Stopped
    after SIGTERM, with the finished part stored.
    """
    record, shard, keys = read_checked(model, texts)
    is_endpoint = record["kind"] == "endpoint"
    device = "server" if is_endpoint else choose_device(embed.device, runs_on_mps(record))
    settings = resolve(record, options, embed, mode, device)
    if is_endpoint:
        settings = replace(settings, access=read_settings(Access, parse_json(access), "--access "))
    vectors = open_store(store, fingerprint_of(record, settings, options, embed, mode))
    start = time.monotonic()
    n_texts = len(keys)
    with whole_file(out) as part:
        output = ShardOutput(shard_on_disk(part, n_texts, vector_dims(record, settings)))
        job = ShardJob(model, record, settings, vectors, keys, output)
        todo = job.fill(shard["text"].to_pylist, str(texts), embed.part_seconds, threads)
        n_embedded, tokens = len(todo), int(output.n_tokens[todo].sum())
        output.close()
    output.write_tokens(out.with_suffix(".parquet"))
    about: ShardRecord = {
        "model": model_in_manifest(record),
        "texts": n_texts,
        "dims": vector_dims(record, settings),
        "mode": mode.mode,
        "precision": settings.precision,
        "pooling": settings.pooling,
        "max_tokens": settings.max_tokens,
        "long_text": settings.long_text,
        "choices": choices_in_manifest(record, options, mode),
        "settings": changed(options, embed, mode, acts="vectors", kind=record["kind"]),
        "device": settings.device,
        "texts_embedded": n_embedded,
        "texts_from_store": n_texts - n_embedded,
        "tokens_embedded": tokens,
        "seconds": round(time.monotonic() - start, 3),
        "fingerprint": vectors.name,
        "text_keys_digest": job.digest_of_keys,
        "vectors_xxh3": xxh3_of(out),
        "tokens_sha256": sha256_of(out.with_suffix(".parquet")),
        "recipe": EMBED_RECIPE[record["kind"]],
    }
    write_record(out.with_suffix(".json"), about)


def read_checked(model: Path, texts: Path) -> tuple[ModelRecord, Any, NDArray[np.uint8]]:
    """Return a model's record, a shard of texts and their keys (n_texts, 32), all of them checked.

    The files of the model are hashed while the texts are read: a large model takes seconds.
    """
    thread = ThreadPoolExecutor(1, "checksum")
    try:
        record = thread.submit(read_model_folder, model)
        shard = read_parquet(texts)
        keys = checked_text_keys(texts, shard)
        return record.result(), shard, keys
    finally:
        thread.shutdown(wait=False)  # what is wrong with the texts is said at once


@dataclass
class ShardJob:
    """The texts of a shard with keys (n_texts, 32), on their way from the store or the model."""

    model: Path
    record: ModelRecord
    settings: EncoderSettings
    store: Store
    keys: NDArray[np.uint8]
    output: ShardOutput

    @property
    def digest_of_keys(self) -> str:
        """The sha256 over all keys, in their order."""
        return sha256(self.keys.tobytes()).hexdigest()

    def fill(
        self, texts: Callable[[], list[str]], name: str, part_seconds: float, threads: int | None
    ) -> NDArray[np.int64]:
        """Fill the output, from the store and by the model; returns the rows that were computed.

        `texts` is called for the texts only if some must be computed; `name` is for messages.
        """
        self.take_stored()
        n_texts = len(self.keys)
        if not self.output.missing.any():
            say(f"{name}: {plural(n_texts, 'text')}, all from the store")
            return np.empty(0, np.int64)
        with self.store.locked(self.digest_of_keys[:32]) as waited:
            if waited:
                self.take_stored()
            todo = np.flatnonzero(self.output.missing)
            say(f"{name}: {plural(n_texts, 'text')}, {n_texts - len(todo):,} from the store")
            if len(todo):
                if self.record["kind"] != "endpoint":
                    set_threads(threads)
                self.compute(texts(), part_seconds)
        return todo

    def take_stored(self) -> None:
        """Copy the vectors of missing texts that the store has."""
        missing = np.flatnonzero(self.output.missing)
        for rows, found in self.store.find(self.keys[missing]):
            if found.vectors.shape[1] == stored_dims(self.record, self.settings):
                self.output.put(missing[rows], found, self.in_layers(found.vectors))

    def compute(self, texts: list[str], part_seconds: float) -> None:
        """Compute the missing ones of all `texts`, and store them as they are finished."""
        todo = np.flatnonzero(self.output.missing)
        size = len(todo) * (4 * stored_dims(self.record, self.settings) + TEXT_BYTES)
        self.store.need_space(size)
        with ExitStack() as leases:
            with quick_imports(self.record["kind"]):
                settings = self.settings
                if self.record["kind"] == "elmo":
                    settings = replace(settings, layers="concat")
                encoder = load_encoder(
                    self.model,
                    self.record,
                    settings,
                    lambda device: leases.enter_context(leased(device)),
                )
            if self.record["kind"] == "endpoint":
                from kgtextvec.embed.server_check import check_server, turn_at_server

                leases.enter_context(turn_at_server(self.store))
                check_server(encoder, self.store)
            resume = ResumeContext(todo, self.output.n_tokens.copy())
            finished = encoder.encode([texts[row] for row in todo.tolist()], resume)
            for one in store_as_finished(finished, self.keys[todo], self.store, part_seconds):
                self.output.put(todo[one.rows], one, self.in_layers(one.vectors))
            del encoder, finished  # the next to lease the GPU finds its memory free

    def in_layers(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the chosen layers from vectors as they are stored."""
        return chosen_layers(vectors, self.record, self.settings.layers)
