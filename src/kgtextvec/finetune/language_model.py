"""The language model around an ELMo: words in, the outputs that predict the next word out.

The network's weights are those of `ElmoModel`; what differs from embedding is that windows of
running text are read with the state carried on, that dropout acts, and that gradients flow. Letters
at the shapes: B rows, T steps, P projection, H cell, D the two directions.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kgtextvec.encoders.elmo.model import Cell, ElmoConfig, ElmoModel, State

Tensors = dict[str, Tensor]

SOFTMAX_WEIGHTS = "softmax.weight"  # (V, P)
SOFTMAX_BIAS = "softmax.bias"  # (V,)
SOFTMAX = (SOFTMAX_WEIGHTS, SOFTMAX_BIAS)
SLOT = "/Adagrad"  # after a tensor's name: its accumulator


class LanguageModel:
    """An ELMo over `tensors` by ElmoModel's names; they are used in place, not copied."""

    def __init__(self, config: ElmoConfig, tensors: Tensors) -> None:
        with torch.device("meta"):
            self.network = ElmoModel(config)
        self.network.load_state_dict(tensors, assign=True)
        self.config = config

    @property
    def parameters(self) -> Tensors:
        """The weights by name, as leaves that collect gradients."""
        return dict(self.network.named_parameters())

    def zero_state(self, rows: int) -> State:
        """Give the state before any text."""
        return self.network.zero_state(rows)

    def read(
        self,
        words: NDArray[np.int32],
        chars: NDArray[np.int16],
        state: State,
        dropout: float = 0.0,
        chance: torch.Generator | None = None,
    ) -> tuple[Tensor, State]:
        """Read a window: outputs (D, B, T, P), and the state after it, cut from the gradients.

        `words` (D, B, T) number rows of `chars` (n, C); direction 1 is in its own reading order.
        Each distinct word goes through the characters' network once. Dropout falls on the input
        of every layer (what a layer passes by is the dropped input) and on the last output.
        """
        device = self.network.char_embed.device
        distinct, inverse = np.unique(words, return_inverse=True)
        spelled = torch.from_numpy(chars[distinct].astype(np.int64)).to(device)
        places = torch.from_numpy(inverse.reshape(words.shape)).to(device)
        vectors = self.network.embed(spelled)[places]  # (D, B, T, P)
        outputs, after = [], []
        for direction in range(2):
            x, last = vectors[direction].transpose(0, 1), []  # (T, B, P)
            cells: Any = self.network.cells[direction]
            for k, cell in enumerate(cells):
                x = drop_out(x, dropout, chance)
                y, layer_state = run_cell(cell, x, *state[direction][k])
                x = y + x if k and self.config.skip_connections else y
                last.append(layer_state)
            outputs.append(drop_out(x, dropout, chance).transpose(0, 1))
            after.append(last)
        return torch.stack(outputs), after


def drop_out(x: Tensor, share: float, chance: torch.Generator | None) -> Tensor:
    """Set a share of the numbers to zero, by chance, and stretch the others to make up for it."""
    if not share:
        return x
    kept = torch.rand(x.shape, generator=chance, device=x.device) >= share
    return x * kept / (1.0 - share)


class Given(torch.autograd.Function):
    """The input's part of the gates for all steps, x @ kernel[:P] + bias, (T, B, 4H).

    Going back it also gathers the slope of the state's half of the kernel, in one product over all
    steps: autograd would add up one matrix of the kernel's size per step. `earlier` is a list
    that holds the state before each step, (B, P), by then.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor, earlier: list[Tensor]) -> Tensor:
        """Multiply."""
        ctx.save_for_backward(x, kernel)
        ctx.earlier = earlier
        return x @ kernel[: x.shape[2]] + bias

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Give the slopes of x, kernel and bias from those of the gates."""
        x, kernel = ctx.saved_tensors
        size, of_gates = x.shape[2], slopes[0].flatten(0, 1)  # (T B, 4H)
        of_kernel = torch.empty_like(kernel)
        torch.mm(x.flatten(0, 1).t(), of_gates, out=of_kernel[:size])
        torch.mm(torch.cat(ctx.earlier).t(), of_gates, out=of_kernel[size:])
        return slopes[0] @ kernel[:size].t(), of_kernel, of_gates.sum(0), None


def run_cell(cell: Cell, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Read x (T, B, P) from h (B, P), c (B, H): outputs (T, B, P) and the last h, c, detached."""
    state_kernel = cell.kernel.detach()[x.shape[2] :]
    earlier: list[Tensor] = []
    given: Tensor = Given.apply(x, cell.kernel, cell.bias, earlier)  # type: ignore[no-untyped-call]
    outputs = []
    for inputs in given.unbind(0):
        earlier.append(h.detach())
        h, c = cell.update(inputs + h @ state_kernel, c)
        outputs.append(h)
    return torch.stack(outputs), (h.detach(), c.detach())
