"""What a word costs: the cross-entropy over all of the vocabulary, or over a sample of it.

The sampled loss is TensorFlow's `sampled_softmax_loss` as bilm-tf calls it (Jean et al., 2015,
"On using very large target vocabulary"): candidates drawn log-uniformly over a vocabulary sorted
by count, without repetition; logits corrected by the log of how often a candidate is expected in
the sample; a candidate that is the target itself taken out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

EVALUATED = 1 << 24  # numbers of a piece of the logits when nothing is learned: 64 MB


def full_losses(outputs: Tensor, weights: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Return (n,) costs of `targets` (n,) given outputs (n, P), weights (V, P), bias (V,)."""
    return F.cross_entropy(outputs @ weights.t() + bias, targets, reduction="none")


@torch.no_grad()
def measured_losses(outputs: Tensor, weights: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Return what `full_losses` does, in pieces of the vocabulary, so that memory is bounded."""
    piece = max(EVALUATED // max(len(outputs), 1), 1)
    total = outputs.new_full((len(outputs),), -torch.inf)
    for start in range(0, len(weights), piece):
        logits = outputs @ weights[start : start + piece].t() + bias[start : start + piece]
        total = torch.logaddexp(total, logits.logsumexp(1))
    return total - ((outputs * weights[targets]).sum(1) + bias[targets])


@dataclass(frozen=True)
class Sample:
    """Candidates: their rows (S,), and the expected counts of theirs and of the targets'."""

    rows: NDArray[np.int64]
    expected: NDArray[np.float64]
    expected_targets: NDArray[np.float64]


def draw_sample(
    targets: NDArray[np.integer[Any]], count: int, vocabulary: int, chance: np.random.Generator
) -> Sample:
    """Draw `count` different rows log-uniformly from `vocabulary` rows.

    Row i is drawn with probability log((i + 2) / (i + 1)) / log(vocabulary + 1), again and again
    until `count` different ones are there; `tries` draws make row i expected
    1 - (1 - p_i) ** tries times.
    """
    drawn = np.empty(0, dtype=np.int64)
    while True:
        uniform = chance.random(2 * count)
        more = np.exp(uniform * np.log(vocabulary + 1)).astype(np.int64) - 1
        drawn = np.concatenate([drawn, more.clip(0, vocabulary - 1)])
        rows, first = np.unique(drawn, return_index=True)
        if len(rows) >= count:
            break
    order = np.argsort(first)[:count]
    tries = int(first[order[-1]]) + 1
    rows = rows[order]
    return Sample(
        rows,
        expected_counts(rows, tries, vocabulary),
        expected_counts(targets, tries, vocabulary),
    )


def expected_counts(
    rows: NDArray[np.integer[Any]], tries: int, vocabulary: int
) -> NDArray[np.float64]:
    """Return how often each row is expected among the different rows of `tries` draws."""
    share = np.log((rows + 2.0) / (rows + 1.0)) / np.log(vocabulary + 1.0)
    counts: NDArray[np.float64] = -np.expm1(tries * np.log1p(-share))
    return counts


def sampled_losses(
    outputs: Tensor,
    target_weights: Tensor,
    target_bias: Tensor,
    sample_weights: Tensor,
    sample_bias: Tensor,
    targets: NDArray[np.integer[Any]],
    sample: Sample,
) -> Tensor:
    """Return (n,) costs of the targets among the sample.

    `outputs` (n, P), the targets' weights (n, P) and bias (n,), the sample's (S, P) and (S,).
    """
    corrections = torch.from_numpy(np.log(sample.expected_targets)).to(outputs)
    of_target = (outputs * target_weights).sum(1) + target_bias
    of_target = of_target - corrections
    of_sample = outputs @ sample_weights.t() + sample_bias
    of_sample = of_sample - torch.from_numpy(np.log(sample.expected)).to(outputs)
    hits = torch.from_numpy(targets[:, None] == sample.rows[None, :]).to(outputs.device)
    of_sample = of_sample.masked_fill(hits, -torch.inf)
    logits = torch.cat([of_target[:, None], of_sample], 1)  # (n, 1 + S)
    return logits.logsumexp(1) - of_target
