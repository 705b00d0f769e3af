"""probe_model: probes on the vectors of words and on controls, seed by seed, to JSON."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from kgtextvec.errors import InputError
from kgtextvec.files import sha256_of
from kgtextvec.probe import PROBE_PACKAGES, RECIPE
from kgtextvec.progress import say
from kgtextvec.records import read_unedited, write_record
from kgtextvec.settings.base import settings_of
from kgtextvec.settings.models import Device
from kgtextvec.settings.training import CorpusScheme, ProbeTraining
from kgtextvec.versions import versions_of


def probe_model(
    probe: Annotated[Literal["ner", "nli"], "ner: entities; nli: inference"],
    *,
    model: Annotated[Path, "folder of a converted model"],
    vectors: Annotated[Path, "the .npy that cache-tokens wrote"],
    train: Annotated[Sequence[Path], "training corpus"] = (),
    dev: Annotated[Sequence[Path], "nli: the corpus that picks the epoch"] = (),
    test: Annotated[Sequence[Path], "test corpus"] = (),
    out: Annotated[Path, "results (JSON) to write"],
    reading: CorpusScheme = CorpusScheme(),
    training: ProbeTraining = ProbeTraining(),
    device: Device = Device(),
    threads: Annotated[int | None, "CPU threads (default: all cores)"] = None,
) -> None:
    """Train small models on word vectors and on controls, with every seed; write the scores.

    On a CPU equal inputs, seeds and threads give equal numbers. Raises InputError for what the
    user can correct.
    """
    from kgtextvec.device import choose_device, set_threads
    from kgtextvec.encoders.folder import RECORD
    from kgtextvec.gpu_lock import leased
    from kgtextvec.probe.inputs import Corpora
    from kgtextvec.probe.scores import card_scores

    corpora = Corpora.read(probe, {"train": train, "dev": dev, "test": test}, reading)
    cache = read_unedited(vectors.with_suffix(".json"))
    if cache["words_digest"] != corpora.sentences.digest:
        raise InputError(f"{vectors}: made from other corpora. Delete it and rerun.")
    name = read_unedited(model / RECORD)["model"]
    set_threads(threads)

    from kgtextvec.probe.methods import baseline_runs, train_and_score, word_vectors_for
    from kgtextvec.probe.train import Training

    seeds = training.seeds if isinstance(training.seeds, tuple) else range(training.seeds)
    controls = settings_of(ProbeTraining)["controls"].choices
    runs: list[dict[str, Any]] = []
    with leased(choose_device(device.device)) as place:
        trained = Training(training.epochs, training.batch_size, training.learning_rate, place)
        for method in ["vectors", *(one for one in controls if one in training.controls)]:
            for seed in seeds:
                start = time.monotonic()
                given = word_vectors_for(method, corpora.sentences, vectors, cache["dims"], seed)
                found = train_and_score(corpora, method, given, reading.scheme, trained, seed)
                runs.append({"method": method, "seed": seed, **found})
                figures = ", ".join(f"{k} {v:.4f}" for k, v in found["metrics"]["all"].items())
                say(f"{method}, seed {seed}: {figures} ({time.monotonic() - start:.0f} s)")
    runs += baseline_runs(corpora, seeds)
    write_record(
        out,
        {
            "model": name,
            "table": corpora.probe,
            "kind": "probe",
            "space": "tokens",
            "dims": cache["dims"],
            "rows": cache["words"],
            "scores": card_scores(corpora.probe, runs),
            "notes": corpora.notes(),
            "counts": corpora.counts(),
            "runs": runs,
            "settings": {
                "epochs": training.epochs,
                "batch_size": training.batch_size,
                "learning_rate": training.learning_rate,
                "seeds": list(seeds),
                "controls": training.controls,
                "scheme": reading.scheme if corpora.tagged else None,
                "labels": list(corpora.labels) if corpora.pairs else None,
                "files": {
                    part: [{"file": path.name, "sha256": sha256_of(path)} for path in paths]
                    for part, paths in corpora.files.items()
                },
            },
            "vectors": {key: value for key, value in cache.items() if key != "seconds"},
            "versions": versions_of(*PROBE_PACKAGES),
            "recipe": RECIPE["probe_model"],
        },
    )
