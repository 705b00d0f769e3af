"""cache_tokens: the vectors of all words of a probe's corpora, to disk."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from kgtextvec.checksums import xxh3_of
from kgtextvec.files import whole_file
from kgtextvec.probe import PROBE_PACKAGES, RECIPE
from kgtextvec.progress import say
from kgtextvec.records import write_record
from kgtextvec.settings.models import TokenOptions
from kgtextvec.settings.training import CorpusReading, TokenCache
from kgtextvec.versions import versions_of


def cache_tokens(
    probe: Annotated[Literal["ner", "nli"], "ner: entities; nli: inference"],
    *,
    model: Annotated[Path, "folder of a converted model"],
    train: Annotated[Sequence[Path], "training corpus"] = (),
    dev: Annotated[Sequence[Path], "nli: the corpus that picks the epoch"] = (),
    test: Annotated[Sequence[Path], "test corpus"] = (),
    out: Annotated[Path, ".npy to write; .json of the same name is written too"],
    reading: CorpusReading = CorpusReading(),
    options: TokenOptions = TokenOptions(),
    cache: TokenCache = TokenCache(),
    threads: Annotated[int | None, "CPU threads (default: all cores)"] = None,
) -> None:
    """Turn all words of a probe's corpora into vectors (n_words, layers, dims).

    A NER corpus is a CoNLL file, or BC2GM's sentences and GENE.eval; an inference corpus is a file
    of JSON lines. All are read and checked before the model loads. Raises InputError for what the
    user can correct.
    """
    from kgtextvec.device import choose_device, choose_precision, set_threads
    from kgtextvec.encoders import EncoderSettings
    from kgtextvec.encoders.folder import limit_tokens, read_model_folder
    from kgtextvec.gpu_lock import leased
    from kgtextvec.probe.inputs import Corpora

    corpora = Corpora.read(probe, {"train": train, "dev": dev, "test": test}, reading)
    record = read_model_folder(model)
    device = choose_device(cache.device)
    settings = EncoderSettings(
        device=device,
        precision=choose_precision(cache.precision, device),
        max_tokens=limit_tokens(options.max_tokens, record),
        initial_state=options.initial_state,
    )
    set_threads(threads)

    from kgtextvec.encoders.layers import load_reader
    from kgtextvec.probe.vectors import write_vectors

    start = time.monotonic()
    with whole_file(out) as part, leased(device) as place:
        reader = load_reader(model, record, replace(settings, device=place))
        write_vectors(part, corpora.sentences, reader, cache.stored)
    say(
        f"{reader.counts['windowed']:,} sentences read in windows, since they are longer than"
        f" {settings.max_tokens} tokens; {reader.counts['without_piece']:,} words without a"
        " piece, whose vectors are zero"
        if any(reader.counts.values())
        else "every word has its vector, no sentence was cut"
    )
    keys = ("model", "kind", "source", "revision", "weights_sha256", "tokenizer_sha256")
    is_elmo, is_transformer = (record["kind"] == kind for kind in ("elmo", "transformer"))
    write_record(
        out.with_suffix(".json"),
        {
            "model": {key: record.get(key) for key in keys},
            "probe": corpora.probe,
            "sentences": len(corpora.sentences.all),
            "words": int(corpora.sentences.offsets[-1]),
            "layers": reader.layers,
            "dims": reader.dims,
            "precision": reader.precision,
            "stored": cache.stored,
            "max_tokens": settings.max_tokens if is_transformer else None,
            "initial_state": options.initial_state if is_elmo else None,
            "counts": reader.counts,
            "words_digest": corpora.sentences.digest,
            "vectors_xxh3": xxh3_of(out),
            "seconds": round(time.monotonic() - start, 3),
            "versions": versions_of(*PROBE_PACKAGES),
            "recipe": RECIPE["cache_tokens"],
        },
    )
