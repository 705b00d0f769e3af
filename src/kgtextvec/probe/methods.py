"""The methods of a probe: on the model's vectors, on the controls, and without any vectors."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.probe.inputs import Corpora, Sentences
from kgtextvec.probe.ner import NerData, chance, run_ner, shuffled_entities
from kgtextvec.probe.nli import as_nli_part, majority_label_scores, run_nli, shuffled_labels
from kgtextvec.probe.train import Training
from kgtextvec.probe.vectors import (
    RandomVectors,
    StandardVectors,
    StoredVectors,
    WordVectors,
)


def word_vectors_for(
    method: str,
    sentences: Sentences,
    path: Path,
    dims: int,
    seed: int,
    learned: NDArray[np.int64] | None = None,
) -> WordVectors:
    """Return the vectors that a method reads; standardised by the sentences `learned`, if given."""
    found: WordVectors = (
        RandomVectors(sentences, dims, seed)
        if method == "random"
        else StoredVectors(path, sentences.offsets, only_token=method == "token_layer")
    )
    return found if learned is None else StandardVectors(found, learned)


def training_sentences(corpora: Corpora) -> NDArray[np.int64]:
    """Return the numbers of the distinct sentences of the training corpus, ascending."""
    rows = corpora.sentences.rows
    if corpora.tagged:
        return np.unique(rows(corpora.tagged["train"].sentences))
    pairs = corpora.pairs["train"]
    return np.unique(np.concatenate([rows(pairs.premises), rows(pairs.hypotheses)]))


def train_and_score(
    corpora: Corpora,
    method: str,
    given: WordVectors,
    scheme: str,
    training: Training,
    seed: int,
) -> dict[str, Any]:
    """Train and score one probe with one seed."""
    shuffle = method == "shuffled_labels"
    if corpora.tagged:
        data = ner_data(corpora)
        entities = shuffled_entities(data.train, seed) if shuffle else data.train.entities
        return run_ner(data, given, entities, scheme, training, seed)
    parts = {part: as_nli_part(one, corpora.sentences.rows) for part, one in corpora.pairs.items()}
    train = shuffled_labels(parts["train"], seed) if shuffle else parts["train"]
    return run_nli(train, parts.get("dev"), parts["test"], given, corpora.labels, training, seed)


def ner_data(corpora: Corpora) -> NerData:
    """Return the sentences of both parts with their numbers."""
    train, test, dev = (corpora.tagged.get(part) for part in ("train", "test", "dev"))
    assert train is not None and test is not None  # noqa: S101 (Corpora.read checks it)
    rows = corpora.sentences.rows
    return NerData(
        *(train, test, rows(train.sentences), rows(test.sentences)),
        *((dev, rows(dev.sentences)) if dev else ()),
    )


def baseline_runs(corpora: Corpora, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield the scores without any vectors: entities placed at random, the commonest label."""
    if corpora.tagged:
        data = ner_data(corpora)
        for seed in seeds:
            yield {"method": "chance", "seed": seed, "metrics": chance(data, seed)}
        return
    parts = {part: as_nli_part(one, corpora.sentences.rows) for part, one in corpora.pairs.items()}
    found = majority_label_scores(parts["train"], parts["test"], corpora.labels)
    yield {"method": "majority", "seed": None, "metrics": found}
