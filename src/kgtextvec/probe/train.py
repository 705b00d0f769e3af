"""What both probes share: a mix of layers, and the training of a small model on it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True)
class Training:
    """How a probe is trained: passes over the data, examples a step, Adam's step size, device.

    `least_steps`: more passes are made until there are so many; `check_every`: steps between looks
    at dev, None for an epoch; `jin2019`: as in the paper's own code.
    """

    epochs: int = 10
    batch: int = 32
    learning_rate: float = 2e-3
    device: str = "cpu"
    least_steps: int = 0
    check_every: int | None = None
    jin2019: bool = False


@dataclass(frozen=True)
class TrainedProbe:
    """How a training went: the mean loss of each epoch, steps, looks at dev, the step that counts.

    `checks` are (step, what was found on dev).
    """

    losses: list[float]
    steps: int
    checks: list[tuple[int, float]]
    best_step: int

    def to_dict(self) -> dict[str, Any]:
        """Return what a run records of its training."""
        found: dict[str, Any] = {
            "losses": [round(loss, 6) for loss in self.losses],
            "steps": self.steps,
        }
        if self.checks:
            found["dev"] = [[step, round(value, 6)] for step, value in self.checks]
            found["best_step"] = self.best_step
        return found

    @property
    def still_falling(self) -> bool:
        """Whether the loss fell by a twentieth or more in the last epoch, and no dev picked one."""
        if len(self.losses) < 2 or self.checks:
            return False
        return self.losses[-1] < 0.95 * self.losses[-2]


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
    on_dev: Callable[[], float] | None = None,
) -> TrainedProbe:
    """Train with Adam in batches drawn by the seed.

    `loss_of` takes the numbers of a batch's examples. `on_dev` says how good the model is, the
    higher the better: it ends as it was when that was best, the first of equal ones.
    """
    adam = torch.optim.Adam(model.parameters(), lr=training.learning_rate)
    rng = np.random.default_rng(seed)
    losses: list[float] = []
    checks: list[tuple[int, float]] = []
    best: dict[str, Tensor] = {}
    steps, best_step = 0, 0
    per_epoch = -(-n_examples // training.batch)
    n_epochs = max(training.epochs, -(-training.least_steps // per_epoch))

    def check() -> None:
        nonlocal best_step
        if on_dev is None or (checks and checks[-1][0] == steps):
            return
        value = on_dev()
        if not checks or value > max(found for _, found in checks):
            best_step = steps
            best.update({name: one.clone() for name, one in model.state_dict().items()})
        checks.append((steps, value))

    for _ in range(n_epochs):
        order = rng.permutation(n_examples)
        total = 0.0
        for start in range(0, n_examples, training.batch):
            batch = order[start : start + training.batch]
            adam.zero_grad()
            loss = loss_of(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            total += float(loss.detach()) * len(batch)
            steps += 1
            if training.check_every and steps % training.check_every == 0:
                check()
        losses.append(total / n_examples)
        if not training.check_every:
            check()
    check()
    if best:
        model.load_state_dict(best)
    return TrainedProbe(losses, steps, checks, best_step if best else steps)


def cut_batches(n_examples: int, size: int) -> list[NDArray[np.int64]]:
    """Cut the numbers of all examples into batches, in order."""
    return [np.arange(a, min(a + size, n_examples)) for a in range(0, n_examples, size)]
