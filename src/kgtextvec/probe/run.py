"""The two verbs: vectors of all words to disk; probes on these, controls with them, to JSON."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kgtextvec.device import choose_device, choose_precision, set_threads
from kgtextvec.encoders import EncoderSettings
from kgtextvec.encoders.folder import RECORD, limit_tokens, read_model_folder
from kgtextvec.encoders.layers import load_reader
from kgtextvec.errors import InputError
from kgtextvec.files import read_json, sha256_of, whole_file, write_json
from kgtextvec.gpu_lock import leased
from kgtextvec.probe import CONTROLS
from kgtextvec.probe.corpora import LABELS, Pairs, Tagged, read_pairs, read_tagged
from kgtextvec.probe.ner import NerData, chance, run_ner, shuffled_entities
from kgtextvec.probe.nli import as_nli_part, majority_label_scores, run_nli, shuffled_labels
from kgtextvec.probe.scores import card_scores
from kgtextvec.probe.train import Training
from kgtextvec.probe.vectors import (
    RandomVectors,
    Sentences,
    StoredVectors,
    WordVectors,
    write_vectors,
)
from kgtextvec.progress import say
from kgtextvec.versions import versions_of

PROBE_RECIPE = 1
PROBE_PACKAGES = ("numpy", "torch", "transformers", "nervaluate")
CORPUS_PARTS = ("train", "dev", "test")


@dataclass(frozen=True)
class Corpora:
    """A probe's corpora, read and checked: by part, and their distinct sentences."""

    probe: str
    files: dict[str, list[Path]]
    tagged: dict[str, Tagged]
    pairs: dict[str, Pairs]
    labels: tuple[str, ...]
    sentences: Sentences

    @classmethod
    def read(
        cls,
        probe: str,
        train: list[Path],
        dev: list[Path],
        test: list[Path],
        bad_tags: str,
        labels: str,
    ) -> "Corpora":
        """Read all files. Raises InputError at the first fault."""
        if probe == "ner" and dev:
            raise InputError("probe.ner.dev: nothing is chosen by it. Leave it out.")
        files = {
            part: paths
            for part, paths in zip(CORPUS_PARTS, (train, dev, test), strict=True)
            if paths
        }
        for part in ("train", "test"):
            if part not in files:
                raise InputError(f"probe.{probe}: no file to {part}. Name probe.{probe}.{part}.")
        names = tuple(name.strip() for name in labels.split(",") if name.strip()) or LABELS
        tagged: dict[str, Tagged] = {}
        pairs: dict[str, Pairs] = {}
        for part, paths in files.items():
            if probe == "ner":
                tagged[part] = read_tagged(paths, bad_tags == "repair")
                say(f"{part}: {describe_corpus(tagged[part])}")
                if not tagged[part].kinds:
                    raise InputError(f"{paths[-1]}: holds no entity. Name a file that has some.")
            else:
                pairs[part] = read_pairs(paths, names)
                say(f"{part}: {len(pairs[part].labels):,} pairs")
        sentences = [words for one in tagged.values() for words in one.sentences]
        for one in pairs.values():
            sentences += one.premises + one.hypotheses
        return cls(probe, files, tagged, pairs, names, Sentences(sentences))


def describe_corpus(tagged: Tagged) -> str:
    """Say what a corpus of entities holds, in one line."""
    n_words = sum(map(len, tagged.sentences))
    n_entities = sum(map(len, tagged.entities))
    repairs = [f"{n:,} {what.replace('_', ' ')}" for what, n in tagged.counts.items() if n]
    return ", ".join(
        [
            f"{len(tagged.sentences):,} sentences, {n_words:,} words, {n_entities:,} entities",
            *repairs,
        ]
    )


def write_cache(
    corpora: Corpora,
    model: Path,
    wanted: dict[str, Any],
    device: str,
    threads: int | None,
    out: Path,
) -> None:
    """Write the vectors of all words to `out`, and what they are to the .json of the same name."""
    about = read_model_folder(model)
    device = choose_device(device)
    settings = EncoderSettings(
        device=device,
        precision=choose_precision(wanted["precision"], device),
        max_tokens=limit_tokens(wanted["max_tokens"], about),
        initial_state=wanted["initial_state"],
    )
    set_threads(threads)
    start = time.monotonic()
    with whole_file(out) as part, leased(device) as place:
        reader = load_reader(model, about, replace(settings, device=place))
        write_vectors(part, corpora.sentences, reader, wanted["stored"])
    say(
        f"{reader.counts['windowed']:,} sentences read in windows, since they are longer than"
        f" {settings.max_tokens} tokens; {reader.counts['without_piece']:,} words without a"
        " piece, whose vectors are zero"
        if any(reader.counts.values())
        else "every word has its vector, no sentence was cut"
    )
    keys = ("model", "kind", "source", "revision", "weights_sha256", "tokenizer_sha256")
    write_json(
        out.with_suffix(".json"),
        {
            "model": {key: about.get(key) for key in keys},
            "probe": corpora.probe,
            "sentences": len(corpora.sentences.all),
            "words": int(corpora.sentences.offsets[-1]),
            "layers": reader.layers,
            "dims": reader.dims,
            "precision": reader.precision,
            "stored": wanted["stored"],
            "max_tokens": None if about["kind"] == "elmo" else settings.max_tokens,
            "initial_state": wanted["initial_state"] if about["kind"] == "elmo" else None,
            "counts": reader.counts,
            "words_digest": corpora.sentences.digest,
            "vectors_sha256": sha256_of(out),
            "seconds": round(time.monotonic() - start, 3),
            "versions": versions_of(*PROBE_PACKAGES),
            "recipe": PROBE_RECIPE,
        },
    )


def numbers(words: str, what: str) -> list[int]:
    """Read whole numbers, at least 0, with commas between. Raises InputError."""
    try:
        found = [int(word) for word in words.split(",") if word.strip()]
    except ValueError:
        found = []
    if not found or min(found) < 0 or len(set(found)) < len(found):
        raise InputError(f"{what}: {words!r} is no list of different numbers from 0 on.")
    return found


def write_probe_results(
    corpora: Corpora,
    model: Path,
    vectors: Path,
    wanted: dict[str, Any],
    device: str,
    threads: int | None,
    out: Path,
) -> None:
    """Run every method with every seed, and write what came out to `out`."""
    seeds = numbers(wanted["seeds"], "probe.seeds")
    controls = [name for name in wanted["controls"].split(",") if name]
    if unknown := set(controls) - set(CONTROLS):
        raise InputError(f"probe.controls: {unknown.pop()!r} is none of {', '.join(CONTROLS)}.")
    cache = read_json(vectors.with_suffix(".json"))
    if cache["words_digest"] != corpora.sentences.digest:
        raise InputError(f"{vectors}: made from other corpora. Delete it and rerun.")
    name = read_json(model / RECORD)["model"]
    set_threads(threads)
    runs: list[dict[str, Any]] = []
    with leased(choose_device(device)) as place:
        training = Training(wanted["epochs"], wanted["batch_size"], wanted["learning_rate"], place)
        for method in ["vectors", *(one for one in CONTROLS if one in controls)]:
            for seed in seeds:
                start = time.monotonic()
                given = vectors_of(method, corpora.sentences, vectors, cache["dims"], seed)
                found = run_once(corpora, method, given, wanted["scheme"], training, seed)
                runs.append({"method": method, "seed": seed, **found})
                figures = ", ".join(f"{k} {v:.4f}" for k, v in found["metrics"]["all"].items())
                say(f"{method}, seed {seed}: {figures} ({time.monotonic() - start:.0f} s)")
    runs += baseline_runs(corpora, seeds)
    write_json(
        out,
        {
            "model": name,
            "table": corpora.probe,
            "kind": "probe",
            "space": "tokens",
            "dims": cache["dims"],
            "rows": cache["words"],
            "scores": card_scores(corpora.probe, runs),
            "notes": notes_of(corpora),
            "counts": counts_of(corpora),
            "runs": runs,
            "settings": {
                **{key: wanted[key] for key in ("epochs", "batch_size", "learning_rate")},
                "seeds": seeds,
                "controls": controls,
                "scheme": wanted["scheme"] if corpora.tagged else None,
                "labels": list(corpora.labels) if corpora.pairs else None,
                "files": {
                    part: [{"file": path.name, "sha256": sha256_of(path)} for path in paths]
                    for part, paths in corpora.files.items()
                },
            },
            "vectors": {key: value for key, value in cache.items() if key != "seconds"},
            "versions": versions_of(*PROBE_PACKAGES),
            "recipe": PROBE_RECIPE,
        },
    )


def vectors_of(method: str, sentences: Sentences, path: Path, dims: int, seed: int) -> WordVectors:
    """Return the vectors that a method reads."""
    if method == "random":
        return RandomVectors(sentences, dims, seed)
    return StoredVectors(path, sentences.offsets, only_token=method == "token_layer")


def run_once(
    corpora: Corpora,
    method: str,
    given: WordVectors,
    scheme: str,
    training: Training,
    seed: int,
) -> dict[str, Any]:
    """Train and score one probe."""
    mixed_up = method == "shuffled_labels"
    if corpora.tagged:
        data = ner_data(corpora)
        entities = shuffled_entities(data.train, seed) if mixed_up else data.train.entities
        return run_ner(data, given, entities, scheme, training, seed)
    parts = {part: as_nli_part(one, corpora.sentences.rows) for part, one in corpora.pairs.items()}
    train = shuffled_labels(parts["train"], seed) if mixed_up else parts["train"]
    return run_nli(train, parts.get("dev"), parts["test"], given, corpora.labels, training, seed)


def ner_data(corpora: Corpora) -> NerData:
    """Return the sentences of both parts with their numbers."""
    train, test = corpora.tagged["train"], corpora.tagged["test"]
    rows = corpora.sentences.rows
    return NerData(train, test, rows(train.sentences), rows(test.sentences))


def baseline_runs(corpora: Corpora, seeds: list[int]) -> Iterator[dict[str, Any]]:
    """Yield what is reached without any vector: entities placed at random, the commonest label."""
    if corpora.tagged:
        data = ner_data(corpora)
        for seed in seeds:
            yield {"method": "chance", "seed": seed, "metrics": chance(data, seed)}
        return
    parts = {part: as_nli_part(one, corpora.sentences.rows) for part, one in corpora.pairs.items()}
    found = majority_label_scores(parts["train"], parts["test"], corpora.labels)
    yield {"method": "majority", "seed": None, "metrics": found}


def notes_of(corpora: Corpora) -> list[str]:
    """Say what makes scores look better than they are: test sentences that were learnt from."""
    found: dict[str, list[Any]] = {part: one.sentences for part, one in corpora.tagged.items()}
    for part, one in corpora.pairs.items():
        found[part] = list(zip(one.premises, one.hypotheses, strict=True))
    learnt = set(found["train"])
    seen = sum(one in learnt for one in found["test"])
    what = "sentences" if corpora.tagged else "pairs"
    note = f"{seen:,} of {len(found['test']):,} test {what} are in the training corpus too"
    return [note] if seen else []


def counts_of(corpora: Corpora) -> dict[str, Any]:
    """Return how much there was of everything, by part."""
    found: dict[str, Any] = {}
    for part, one in corpora.tagged.items():
        found[part] = {
            "sentences": len(one.sentences),
            "words": sum(map(len, one.sentences)),
            "entities": sum(map(len, one.entities)),
            **one.counts,
        }
    for part, pairs in corpora.pairs.items():
        labels = np.bincount(pairs.labels, minlength=len(corpora.labels)).tolist()
        by_label = dict(zip(corpora.labels, labels, strict=True))
        found[part] = {"pairs": len(pairs.labels), "labels": by_label}
    return found
