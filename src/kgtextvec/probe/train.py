"""What both probes share: a mix of layers, and the training of a small model on it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True)
class Training:
    """How a probe is trained: passes over the data, examples a step, Adam's step size, device."""

    epochs: int = 10
    batch: int = 32
    learning_rate: float = 2e-3
    device: str = "cpu"


class Mix(nn.Module):
    """A weighted mean of layers, the weights learnt and summing to 1 (Peters et al., 2018)."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(layers))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, layers, dims) -> (B, T, dims)."""
        return torch.matmul(self.weights(), x)

    def weights(self) -> Tensor:
        """Return the layers' weights, (layers,)."""
        return torch.softmax(self.raw, 0)


def seeded(make: Callable[[], nn.Module], seed: int, device: str) -> nn.Module:
    """Make a model whose first weights depend on the seed alone, on any device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make().to(device)


def train_probe(
    model: nn.Module,
    loss_of: Callable[[NDArray[np.int64]], Tensor],
    n_examples: int,
    training: Training,
    seed: int,
    after_epoch: Callable[[], None] = lambda: None,
) -> list[float]:
    """Train with Adam in batches drawn by the seed; return the mean loss of each epoch.

    `loss_of` takes the numbers of a batch's examples.
    """
    adam = torch.optim.Adam(model.parameters(), lr=training.learning_rate)
    rng = np.random.default_rng(seed)
    losses = []
    for _ in range(training.epochs):
        order = rng.permutation(n_examples)
        total = 0.0
        for start in range(0, n_examples, training.batch):
            batch = order[start : start + training.batch]
            adam.zero_grad()
            loss = loss_of(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            total += float(loss.detach()) * len(batch)
        losses.append(total / n_examples)
        after_epoch()
    return losses


def cut_batches(n_examples: int, size: int) -> list[NDArray[np.int64]]:
    """Cut the numbers of all examples into batches, in order."""
    return [np.arange(a, min(a + size, n_examples)) for a in range(0, n_examples, size)]
