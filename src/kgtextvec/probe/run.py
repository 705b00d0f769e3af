"""probe_model: probes on the vectors of words and on controls, seed by seed, to JSON."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from kgtextvec.errors import InputError
from kgtextvec.files import sha256_of
from kgtextvec.probe import PROBE_PACKAGES, RECIPE
from kgtextvec.progress import say
from kgtextvec.records import read_unedited, write_record
from kgtextvec.settings.base import settings_of
from kgtextvec.settings.models import Device
from kgtextvec.settings.training import CorpusScheme, ProbeTraining
from kgtextvec.versions import versions_of

if TYPE_CHECKING:
    from kgtextvec.probe.inputs import Corpora

CHECKS_OF_JIN2019 = {"ner": 200, "nli": 50}  # steps between looks at dev in the paper's code


def probe_model(
    probe: Annotated[Literal["ner", "nli"], "ner: entities; nli: inference"],
    *,
    model: Annotated[Path, "folder of a converted model"],
    vectors: Annotated[Path, "the .npy that cache-tokens wrote"],
    train: Annotated[Sequence[Path], "training corpus"] = (),
    dev: Annotated[Sequence[Path], "the corpus that picks the step"] = (),
    test: Annotated[Sequence[Path], "test corpus"] = (),
    out: Annotated[Path, "results (JSON) to write; PROBE.predictions.jsonl.gz goes next to it"],
    reading: CorpusScheme = CorpusScheme(),
    training: ProbeTraining = ProbeTraining(),
    device: Device = Device(),
    threads: Annotated[int | None, "CPU threads (default: all cores)"] = None,
) -> None:
    """Train small models on word vectors and on controls, with every seed; write the scores.

    On a CPU equal inputs, seeds and threads give equal numbers. Raises InputError for what the
    user can correct.
    """
    from kgtextvec.checksums import VectorsCheck
    from kgtextvec.device import choose_device, set_threads
    from kgtextvec.encoders.folder import RECORD
    from kgtextvec.gpu_lock import leased
    from kgtextvec.probe.inputs import Corpora
    from kgtextvec.probe.scores import card_scores
    from kgtextvec.source_files import SourceFiles

    sources = SourceFiles([*train, *dev, *test])
    corpora = Corpora.read(probe, {"train": train, "dev": dev, "test": test}, reading)
    recorded = sources.record()
    cache = read_unedited(vectors.with_suffix(".json"))
    if cache["words_digest"] != corpora.sentences.digest:
        raise InputError(f"{vectors}: made from other corpora. Delete it and rerun.")
    check = VectorsCheck(vectors, cache)
    check.read_file()
    check.compare()
    name = read_unedited(model / RECORD)["model"]
    set_threads(threads)

    from kgtextvec.probe.methods import (
        baseline_runs,
        train_and_score,
        training_sentences,
        word_vectors_for,
    )
    from kgtextvec.probe.predictions import write_predictions
    from kgtextvec.probe.train import Training

    seeds = training.seeds if isinstance(training.seeds, tuple) else range(training.seeds)
    controls = settings_of(ProbeTraining)["controls"].choices
    runs: list[dict[str, Any]] = []
    jin2019 = training.protocol == "jin2019"
    scheme = "bioes" if jin2019 else reading.scheme
    learned = None if jin2019 else training_sentences(corpora)
    check_every = training.check_every or (CHECKS_OF_JIN2019[probe] if jin2019 else None)
    with leased(choose_device(device.device)) as place:
        trained = Training(
            epochs=training.epochs,
            batch=training.batch_size,
            learning_rate=training.learning_rate,
            device=place,
            least_steps=training.least_steps,
            check_every=check_every,
            jin2019=jin2019,
        )
        for method in ["vectors", *(one for one in controls if one in training.controls)]:
            for seed in seeds:
                start = time.monotonic()
                given = word_vectors_for(
                    method, corpora.sentences, vectors, cache["dims"], seed, learned
                )
                found = train_and_score(corpora, method, given, scheme, trained, seed)
                runs.append({"method": method, "seed": seed, **found})
                figures = ", ".join(f"{k} {v:.4f}" for k, v in found["metrics"]["all"].items())
                say(f"{method}, seed {seed}: {figures} ({time.monotonic() - start:.0f} s)")
    notes = [*corpora.notes(), *training_notes(runs, right_answers(corpora))]
    write_predictions(out.with_name(f"{probe}.predictions.jsonl.gz"), corpora, runs, scheme)
    runs += baseline_runs(corpora, seeds)
    for note in notes:
        say(f"note: {note}")
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
            "notes": notes,
            "counts": corpora.counts(),
            "runs": runs,
            "settings": {
                "epochs": training.epochs,
                "least_steps": training.least_steps,
                "check_every": check_every,
                "protocol": training.protocol,
                "standardised": not jin2019,
                "batch_size": training.batch_size,
                "learning_rate": training.learning_rate,
                "seeds": list(seeds),
                "controls": training.controls,
                "scheme": scheme if corpora.tagged else None,
                "labels": list(corpora.labels) if corpora.pairs else None,
                "files": {
                    part: [{"file": path.name, "sha256": sha256_of(path)} for path in paths]
                    for part, paths in corpora.files.items()
                },
            },
            "sources": recorded,
            "vectors": {key: value for key, value in cache.items() if key != "seconds"},
            "versions": versions_of(*PROBE_PACKAGES),
            "recipe": RECIPE["probe_model"],
        },
    )


def right_answers(corpora: "Corpora") -> Sequence[Any]:
    """Return the entities or the label of each test item."""
    return corpora.tagged["test"].entities if corpora.tagged else corpora.pairs["test"].labels


def training_notes(runs: Sequence[dict[str, Any]], right: Sequence[Any]) -> list[str]:
    """Say where a training was too short to tell, or its probe predicts nothing or one label.

    `right` are the right answers.
    """
    notes = []
    several = len({repr(one) for one in right}) > 1
    for method in dict.fromkeys(run["method"] for run in runs):
        mine = [run for run in runs if run["method"] == method]
        falling = sum(run["still_falling"] for run in mine)
        if falling:
            notes.append(
                f"{method}: the loss still fell by 5 % in the last epoch with {falling} of"
                f" {len(mine)} seeds; raise probe.epochs, or name a dev corpus"
            )
        alike = sum(len({repr(one) for one in run["predicted"]}) < 2 for run in mine)
        if alike and several:
            notes.append(
                f"{method}: all test items get the same prediction with {alike} of {len(mine)}"
                " seeds: the probe has learned nothing, which says little of the vectors"
            )
    return notes
