"""Inference from word vectors: bilinear relations of word pairs, their maximum, a linear layer."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kgtextvec.probe.corpora import PairCorpus
from kgtextvec.probe.train import Mix, Training, cut_batches, seeded, train_probe
from kgtextvec.probe.vectors import WordVectors, padded

RELATIONS = 16


class NliProbe(nn.Module):
    """Scores of labels (B, n_labels) from the words of two sentences.

    Relation k of words p and h is p' W_k h; a pair of sentences has of each relation the largest
    over all pairs of words; a linear layer reads these 16 numbers. `jin2019`: first weights and
    last layer as in the code of Jin et al. (2019): Xavier's normal of (16, dims, dims), no bias.
    """

    def __init__(self, layers: int, dims: int, n_labels: int, jin2019: bool = False) -> None:
        super().__init__()
        self.mix = Mix(layers)
        bound = dims**-0.5  # as torch's own Bilinear has it
        self.relations = nn.Parameter(torch.empty(RELATIONS, dims, dims).uniform_(-bound, bound))
        if jin2019:
            nn.init.xavier_normal_(self.relations)
        self.out = nn.Linear(RELATIONS, n_labels, bias=not jin2019)

    def forward(self, premise: tuple[Tensor, Tensor], hypothesis: tuple[Tensor, Tensor]) -> Tensor:
        """Two times (B, T, layers, dims) and lengths (B,) -> (B, n_labels)."""
        (x, n_x), (y, n_y) = premise, hypothesis
        p, h = self.mix(x), self.mix(y)  # (B, P, dims), (B, H, dims)
        outside = ~(inside(n_x, p)[:, :, None] & inside(n_y, h)[:, None, :])  # (B, P, H)
        largest = []
        for relation in self.relations:
            scores = (p @ relation) @ h.transpose(1, 2)  # (B, P, H)
            largest.append(scores.masked_fill(outside, -torch.inf).amax((1, 2)))
        logits: Tensor = self.out(torch.stack(largest, 1))
        return logits


def inside(lengths: Tensor, x: Tensor) -> Tensor:
    """Say where the words of padded sentences (B, T, …) are, (B, T)."""
    return torch.arange(x.shape[1], device=x.device) < lengths[:, None]


@dataclass(frozen=True)
class NliPart:
    """Pairs of one file: the numbers of premises and hypotheses among the vectors, and labels."""

    premises: NDArray[np.int64]
    hypotheses: NDArray[np.int64]
    labels: NDArray[np.int64]


def run_nli(
    train: NliPart,
    dev: NliPart | None,
    test: NliPart,
    vectors: WordVectors,
    labels: tuple[str, ...],
    training: Training,
    seed: int,
) -> dict[str, Any]:
    """Train a probe; score it on the test pairs, as it was when it was best on `dev`.

    The first of equal steps counts; without `dev` the last one does.
    """
    made = seeded(
        lambda: NliProbe(vectors.layers, vectors.dims, len(labels), training.jin2019),
        seed,
        training.device,
    )
    assert isinstance(made, NliProbe)  # noqa: S101 (for the type checker)
    model = made

    def logits(part: NliPart, batch: NDArray[np.int64]) -> Tensor:
        sides = [
            padded(vectors.sentences(rows[batch]), training.device)
            for rows in (part.premises, part.hypotheses)
        ]
        found: Tensor = model(*sides)
        return found

    def loss_of(batch: NDArray[np.int64]) -> Tensor:
        wanted = torch.from_numpy(train.labels[batch]).to(training.device)
        return nn.functional.cross_entropy(logits(train, batch), wanted)

    @torch.no_grad()
    def predict(part: NliPart) -> NDArray[np.int64]:
        parts = [
            logits(part, batch).argmax(1).cpu().numpy()
            for batch in cut_batches(len(part.labels), training.batch)
        ]
        return np.concatenate(parts)

    def dev_accuracy() -> float:
        return 0.0 if dev is None else float((predict(dev) == dev.labels).mean())

    trained = train_probe(
        model, loss_of, len(train.labels), training, seed, None if dev is None else dev_accuracy
    )
    predicted = predict(test)
    return {
        "metrics": label_scores(test.labels, predicted, labels),
        "layer_weights": [round(float(w), 6) for w in model.mix.weights().detach()],
        "still_falling": trained.still_falling,
        "predicted": predicted.tolist(),
        **trained.to_dict(),
    }


def label_scores(
    gold: NDArray[np.int64], predicted: NDArray[np.int64], labels: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """Return the accuracy of all pairs, and the recall of each label that occurs."""
    found = {"all": {"accuracy": float((gold == predicted).mean())}}
    for number, label in enumerate(labels):
        of_label = gold == number
        if of_label.any():
            found[label] = {"recall": float((predicted[of_label] == number).mean())}
    return found


def as_nli_part(pairs: PairCorpus, rows_of: Any) -> NliPart:
    """Turn pairs into numbers; `rows_of` gives the rows of sentences."""
    return NliPart(
        rows_of(pairs.premises),
        rows_of(pairs.hypotheses),
        np.array(pairs.labels, dtype=np.int64),
    )


def majority_label_scores(
    train: NliPart, test: NliPart, labels: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """Score the training pairs' commonest label given to all test pairs."""
    commonest = int(np.bincount(train.labels, minlength=len(labels)).argmax())
    return label_scores(test.labels, np.full_like(test.labels, commonest), labels)


def shuffled_labels(train: NliPart, seed: int) -> NliPart:
    """Assign the training labels to other pairs, at random."""
    labels = np.random.default_rng(seed).permutation(train.labels)
    return NliPart(train.premises, train.hypotheses, labels)
