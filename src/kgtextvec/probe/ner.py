"""Entities from word vectors: a mix of layers, three dense layers, a CRF over tags."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kgtextvec.probe.corpora import TaggedCorpus
from kgtextvec.probe.crf import Crf
from kgtextvec.probe.mentions import mentions_of
from kgtextvec.probe.tags import (
    Entity,
    legal_steps,
    move_entities,
    read_tags,
    split_tag,
    tag_set,
    write_tags,
)
from kgtextvec.probe.train import Mix, Training, cut_batches, seeded, train_probe
from kgtextvec.probe.vectors import WordVectors, padded

DENSE_SIZES = (512, 128, 32)


class NerProbe(nn.Module):
    """Word vectors (B, T, layers, dims) to scores of tags (B, T, K), and a CRF over these.

    `relu`: the scores of tags are cut at zero, as in the code of Jin et al. (2019).
    """

    def __init__(self, layers: int, dims: int, tags: Sequence[str], relu: bool = False) -> None:
        super().__init__()
        self.mix = Mix(layers)
        dense: list[nn.Module] = []
        for inputs, outputs in pairwise((dims, *DENSE_SIZES)):
            dense += [nn.Linear(inputs, outputs), nn.ReLU()]
        last = [nn.ReLU()] if relu else []
        self.dense = nn.Sequential(*dense, nn.Linear(DENSE_SIZES[-1], len(tags)), *last)
        self.crf = Crf(legal_steps(tags))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, layers, dims) -> (B, T, K)."""
        emissions: Tensor = self.dense(self.mix(x))
        return emissions


@dataclass(frozen=True)
class NerData:
    """Training, test and dev sentences, and the number of each among the vectors."""

    train: TaggedCorpus
    test: TaggedCorpus
    train_rows: NDArray[np.int64]
    test_rows: NDArray[np.int64]
    dev: TaggedCorpus | None = None
    dev_rows: NDArray[np.int64] | None = None


def run_ner(
    data: NerData,
    vectors: WordVectors,
    entities: list[list[Entity]],
    scheme: str,
    training: Training,
    seed: int,
) -> dict[str, Any]:
    """Train a probe on `entities` of the training sentences; score it on the test sentences.

    With dev sentences the step of the lowest loss on them counts. Entities of dev of types that
    training lacks are left out of that loss.
    """
    tags = tag_set(sorted({kind for found in entities for _, _, kind in found}), scheme)
    number = {tag: i for i, tag in enumerate(tags)}

    def as_numbers(words: Sequence[str], found: list[Entity]) -> Tensor:
        known = [one for one in found if f"B-{one[2]}" in number]
        return torch.tensor([number[tag] for tag in write_tags(known, len(words), scheme)])

    gold = [
        as_numbers(words, found)
        for words, found in zip(data.train.sentences, entities, strict=True)
    ]
    made = seeded(
        lambda: NerProbe(vectors.layers, vectors.dims, tags, training.jin2019),
        seed,
        training.device,
    )
    assert isinstance(made, NerProbe)  # noqa: S101 (for the type checker)
    model = made

    def loss_of(batch: NDArray[np.int64]) -> Tensor:
        x, lengths = padded(vectors.sentences(data.train_rows[batch]), training.device)
        wanted = nn.utils.rnn.pad_sequence([gold[i] for i in batch], batch_first=True)
        return model.crf.loss(model(x), wanted.to(training.device), lengths)

    on_dev: Callable[[], float] | None = None
    if data.dev is not None and data.dev_rows is not None:
        dev_rows = data.dev_rows
        of_dev = zip(data.dev.sentences, data.dev.entities, strict=True)
        wanted_on_dev = [as_numbers(words, found) for words, found in of_dev]

        @torch.no_grad()
        def minus_dev_loss() -> float:
            total = 0.0
            for batch in cut_batches(len(dev_rows), training.batch):
                x, lengths = padded(vectors.sentences(dev_rows[batch]), training.device)
                wanted = [wanted_on_dev[i] for i in batch]
                tags_of = nn.utils.rnn.pad_sequence(wanted, batch_first=True)
                loss = model.crf.loss(model(x), tags_of.to(training.device), lengths)
                total += float(loss) * len(batch)
            return -total / len(dev_rows)

        on_dev = minus_dev_loss

    trained = train_probe(model, loss_of, len(gold), training, seed, on_dev)
    predicted: list[list[Entity]] = []
    with torch.no_grad():
        for batch in cut_batches(len(data.test_rows), training.batch):
            x, lengths = padded(vectors.sentences(data.test_rows[batch]), training.device)
            for path in model.crf.best_paths(model(x), lengths):
                predicted.append(entities_of_tags([tags[i] for i in path]))
    return {
        "metrics": scores_on_test(data.test, predicted),
        "layer_weights": [round(float(w), 6) for w in model.mix.weights().detach()],
        "still_falling": trained.still_falling,
        "predicted": predicted,
        **trained.to_dict(),
    }


def entities_of_tags(tags: list[str]) -> list[Entity]:
    """Return the entities that legal tags spell."""
    return read_tags([split_tag(tag) or ("O", "") for tag in tags], ends=False)[0]


def scores_on_test(
    test: TaggedCorpus, predicted: list[list[Entity]]
) -> dict[str, dict[str, float]]:
    """Return the scores of complete entities, with those of BioCreative where it can count."""
    found = entity_scores(test.entities, predicted)
    if test.mentions is not None:
        spans = [
            mentions_of(words, entities)
            for words, entities in zip(test.sentences, predicted, strict=True)
        ]
        found["all"] |= test.mentions.scores(spans)
    return found


def entity_scores(
    gold: list[list[Entity]], predicted: list[list[Entity]]
) -> dict[str, dict[str, float]]:
    """Return precision, recall and F1 of complete entities: same words, same type.

    By type of entity, and under `all` over all types.
    """
    from nervaluate import Evaluator

    def as_dicts(found: list[list[Entity]]) -> list[list[dict[str, Any]]]:
        return [
            [{"label": kind, "start": start, "end": end - 1} for start, end, kind in one]
            for one in found
        ]

    kinds = sorted({kind for one in gold + predicted for _, _, kind in one})
    found = Evaluator(as_dicts(gold), as_dicts(predicted), tags=kinds, loader="dict").evaluate()
    by_type = {"all": found["overall"]["strict"]}
    by_type |= {kind: found["entities"][kind]["strict"] for kind in kinds}
    return {
        kind: {name: float(getattr(one, name)) for name in ("precision", "recall", "f1")}
        for kind, one in by_type.items()
    }


def shuffled_entities(tagged: TaggedCorpus, seed: int) -> list[list[Entity]]:
    """Draw new places for each sentence's entities."""
    rng = np.random.default_rng(seed)
    pairs = zip(tagged.sentences, tagged.entities, strict=True)
    return [move_entities(found, len(words), rng) for words, found in pairs]


def chance(data: NerData, seed: int) -> dict[str, dict[str, float]]:
    """Score the test sentences' entities put at random places: right in all but place."""
    return scores_on_test(data.test, shuffled_entities(data.test, seed))
