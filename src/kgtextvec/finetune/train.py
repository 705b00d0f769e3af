"""Training steps as bilm-tf takes them, on any device; they can be stopped and resumed.

A step reads a window of both streams, adds the gradients of its mean cost times the number of
steps, clips them by their global norm, and moves the weights by Adagrad (TensorFlow's: the
accumulator starts from what the checkpoint holds, nothing is added to the root). Of the softmax,
a step touches the rows of its targets and samples alone. All chance follows from (seed, step).
"""

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kgtextvec.encoders.elmo.model import ElmoConfig, State
from kgtextvec.errors import InputError
from kgtextvec.finetune.checkpoint import Snapshot
from kgtextvec.finetune.corpus import Corpus, Stream, WordIds
from kgtextvec.finetune.language_model import SLOT, SOFTMAX, SOFTMAX_BIAS, LanguageModel, Tensors
from kgtextvec.finetune.softmax import Sample, draw_sample, full_losses, sampled_losses

RowNumbers = NDArray[np.int64]


@dataclass(frozen=True)
class TrainingSettings:
    """What decides the numbers. `samples` None: the full softmax; `seed` None: no shuffling."""

    batch_size: int = 128
    unroll_steps: int = 20
    learning_rate: float = 0.2
    dropout: float = 0.1
    clip_norm: float = 10.0
    samples: int | None = None
    seed: int | None = 0


class BilmTrainer:
    """A language model in training: weights, accumulators, streams, state, costs so far."""

    def __init__(
        self,
        config: ElmoConfig,
        weights: Tensors,
        slots: Tensors,
        corpus: Corpus,
        settings: TrainingSettings,
    ) -> None:
        self.settings, self.corpus = settings, corpus
        network = {name: value for name, value in weights.items() if name not in SOFTMAX}
        self.model = LanguageModel(config, network)
        self.softmax = {name: weights[name] for name in SOFTMAX}
        self.slots = slots
        self.streams = [
            Stream(corpus, settings.batch_size, backward, settings.seed)
            for backward in (False, True)
        ]
        self.state: State = self.model.zero_state(settings.batch_size)
        self.samples: list[Sample] = []  # of the step in hand, by direction
        self.costs: list[float] = []
        self.seconds = 0.0  # that all steps took, those of earlier runs too

    @property
    def steps(self) -> int:
        """Steps taken."""
        return len(self.costs)

    def step(self) -> float:
        """Take one step; return the mean cost of a word before it, in nats.

        Raises InputError when the cost is no number any more.
        """
        began = time.monotonic()
        words, targets = self.window()
        outputs, state = self.model.read(
            words, self.corpus.chars, self.state, self.settings.dropout, self.torch_chance()
        )
        flat = outputs.reshape(2, -1, outputs.shape[-1])  # (D, B T, P)
        wanted = self.corpus.ids[targets].reshape(2, -1).astype(np.int64)
        leaves, rows = self.leaves(wanted)
        cost = self.cost(flat, wanted, leaves, rows)
        value = float(cost.detach())
        if not math.isfinite(value):
            advice = "Lower finetune's learning_rate" if self.costs else "Get a sound checkpoint"
            raise InputError(f"step {self.steps + 1}: the cost is {value}. {advice}.")
        (cost * self.settings.unroll_steps).backward()  # type: ignore[no-untyped-call]
        self.update(leaves, rows)
        self.state = state
        self.costs.append(value)
        self.seconds += time.monotonic() - began
        return value

    def window(self) -> tuple[WordIds, WordIds]:
        """Return the next words and those that follow, (D, B, T) each."""
        pair = [stream.window(self.settings.unroll_steps) for stream in self.streams]
        words, following = zip(*(window for window in pair if window is not None), strict=True)
        return np.stack(words), np.stack(following)

    def leaves(self, wanted: RowNumbers) -> tuple[Tensors, Tensor | None]:
        """Return the part of the softmax that this step needs, to collect gradients, and its rows.

        With the full softmax that is all of it, and the rows are None.
        """
        if self.settings.samples is None:
            return {name: value.requires_grad_() for name, value in self.softmax.items()}, None
        vocabulary = len(self.softmax[SOFTMAX_BIAS])
        chance = np.random.default_rng([self.settings.seed or 0, 3, self.steps])
        self.samples = [
            draw_sample(targets, self.settings.samples, vocabulary, chance) for targets in wanted
        ]
        used = np.unique(np.concatenate([wanted.reshape(-1), *(s.rows for s in self.samples)]))
        rows = torch.from_numpy(used).to(self.softmax[SOFTMAX_BIAS].device)
        return {name: value[rows].requires_grad_() for name, value in self.softmax.items()}, rows

    def cost(
        self, outputs: Tensor, wanted: RowNumbers, leaves: Tensors, rows: Tensor | None
    ) -> Tensor:
        """Return the mean cost of a word, of both directions; outputs (D, n, P), wanted (D, n)."""
        weights, bias = (leaves[name] for name in SOFTMAX)
        found = []
        for d in range(2):
            if rows is None:
                targets = torch.from_numpy(wanted[d]).to(outputs.device)
                losses = full_losses(outputs[d], weights, bias, targets)
            else:
                sample = self.samples[d]
                at, rest = (
                    torch.searchsorted(rows, torch.from_numpy(numbers).to(rows.device))
                    for numbers in (wanted[d], sample.rows)
                )
                losses = sampled_losses(
                    outputs[d], weights[at], bias[at], weights[rest], bias[rest], wanted[d], sample
                )
            found.append(losses.mean())
        return (found[0] + found[1]) / 2

    @torch.no_grad()
    def update(self, leaves: Tensors, rows: Tensor | None) -> None:
        """Clip the gradients by their global norm and move the weights."""
        learned = self.model.parameters | leaves
        gradients = {name: value.grad for name, value in learned.items() if value.grad is not None}
        norm = torch.stack([gradient.norm() for gradient in gradients.values()]).norm()
        scale = self.settings.clip_norm / norm.clamp(min=self.settings.clip_norm)
        for name, gradient in gradients.items():
            gradient.mul_(scale)
            if rows is None or name not in leaves:
                adagrad(learned[name], gradient, self.slots[name], self.settings.learning_rate)
            else:
                value, slot = learned[name].detach(), self.slots[name][rows]
                adagrad(value, gradient, slot, self.settings.learning_rate)
                self.softmax[name][rows], self.slots[name][rows] = value, slot
            learned[name].grad = None

    def torch_chance(self) -> torch.Generator:
        """Return this step's own source of random numbers."""
        device = self.softmax[SOFTMAX_BIAS].device
        words = np.random.SeedSequence([self.settings.seed or 0, 2, self.steps]).generate_state(2)
        generator = torch.Generator(device)
        return generator.manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)

    # --- to resume

    def weights(self) -> Tensors:
        """Return the weights by name, the softmax's last."""
        return self.model.parameters | self.softmax

    def tensors(self) -> Tensors:
        """Return all numbers by name: weights, accumulators, state, costs."""
        found = self.weights()
        found |= {name + SLOT: value for name, value in self.slots.items()}
        for d, k, what in self.state_names():
            found[f"state.{d}.{k}.{what}"] = self.state[d][k][what]
        return found | {"costs": torch.tensor(self.costs, dtype=torch.float64)}

    def about(self) -> dict[str, Any]:
        """Return what else a snapshot holds, JSON-able."""
        return {
            "steps": self.steps,
            "seconds": self.seconds,
            "settings": asdict(self.settings),
            "streams": [stream.position() for stream in self.streams],
        }

    def go_to(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot; the weights must be its own already."""
        device = self.softmax[SOFTMAX_BIAS].device
        state = {
            (d, k, what): torch.from_numpy(snapshot.tensor(f"state.{d}.{k}.{what}")).to(device)
            for d, k, what in self.state_names()
        }
        layers = range(self.model.config.num_hidden_layers)
        self.state = [[(state[d, k, 0], state[d, k, 1]) for k in layers] for d in range(2)]
        self.costs = snapshot.tensor("costs").tolist()
        self.seconds = snapshot.about["seconds"]
        for stream, position in zip(self.streams, snapshot.about["streams"], strict=True):
            stream.go_to(position)

    def state_names(self) -> list[tuple[int, int, int]]:
        """Return (direction, layer, h or c) of every part of the state."""
        layers = self.model.config.num_hidden_layers
        return [(d, k, what) for d in range(2) for k in range(layers) for what in range(2)]


def adagrad(value: Tensor, gradient: Tensor, slot: Tensor, rate: float) -> None:
    """Move `value` against the gradient; `slot` gathers the squares. Both are overwritten."""
    slot.addcmul_(gradient, gradient)
    value.addcdiv_(gradient, slot.sqrt(), value=-rate)
