"""One step of an ELMo layer for many texts at once, as fast as the device allows.

The same numbers as `model.Cell.step`, but for rounding: operations are in another order, so the
two can't share code without changing bits. Weights are laid out for the matrix product once. The
input's part of the gates is apart from the state's, as it needs no step: it is computed for many
words at once, and what is left to do at each step reads half the weights, which then stay in a
CPU's cache. The forget bias is inside the bias, and tanh(x) is 2 sigmoid(2x) - 1 (on a
CPU torch's tanh is ten times slower than its sigmoid), its factor for j inside the weights.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kgtextvec.encoders.elmo.model import FORGET_BIAS, Affine, Cell
from kgtextvec.encoders.onednn import PackedLinear, agrees, has_onednn

States = tuple[Tensor, Tensor]  # h (slots, P) of the products' type, c (slots, H) float32


@dataclass(frozen=True)
class Sizes:
    """The dims of a layer: of its input, its cells H and its output P."""

    inputs: int
    cells: int
    outputs: int


@dataclass(frozen=True)
class Step:
    """The places from `start` to `stop` of a window; the first `kept` keep their new state.

    `source`, `target` (places of the window,): the slots of the state before and after.
    """

    start: int
    stop: int
    kept: int
    source: Tensor
    target: Tensor


class Product(nn.Module):
    """x @ weight + bias for a weight that stays; on a CPU by oneDNN, if it gives the same.

    `weight` is (in, out) float32, `bias` (out,) or None; x (n, in) of any float type, the result
    (n, out) of `dtype`.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.weight = weight.detach().t().to(dtype).contiguous()  # (out, in)
        self.bias = None if bias is None else bias.detach().to(dtype)
        self.packed: PackedLinear | None = None
        if self.weight.device.type == "cpu" and has_onednn():
            self.pack()

    def pack(self) -> None:
        """Let oneDNN lay the weight out, if its result is right; then release the plain one."""
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(3, self.weight.shape[1], generator=generator).to(self.dtype)
        plain = self.forward(x).float()
        try:
            packed = PackedLinear(self.weight, self.bias)
            right = agrees(packed(x).float(), plain, self.dtype)
        except (RuntimeError, NotImplementedError, AttributeError, TypeError):
            return
        if right:
            self.packed, self.weight = packed, self.weight[:0].clone()

    def forward(self, x: Tensor) -> Tensor:
        """Multiply."""
        x = x.to(self.dtype)
        if self.packed is None:
            return F.linear(x, self.weight, self.bias)
        y: Tensor = self.packed(x)
        return y


class FastAffine(Product):
    """An Affine layer whose result is float32 whatever the product's type."""

    def __init__(self, layer: Affine, dtype: torch.dtype) -> None:
        super().__init__(layer.weight, layer.bias, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in) -> (n, out)."""
        return super().forward(x).float()


class FastCell(nn.Module):
    """One layer of one direction; states and outputs are float32, gates of the given type."""

    def __init__(self, cell: Cell, dtype: torch.dtype) -> None:
        super().__init__()
        size, inputs = len(cell.bias) // 4, len(cell.kernel) // 2
        kernel, bias = cell.kernel.detach().clone(), cell.bias.detach().clone()
        kernel[:, size : 2 * size] *= 2
        bias[size : 2 * size] *= 2
        bias[2 * size : 3 * size] += FORGET_BIAS
        self.inputs = Product(kernel[:inputs], bias, dtype)
        self.state = Product(kernel[inputs:], None, dtype)
        self.project = None if cell.projection is None else Product(cell.projection, None, dtype)
        self.cell_clip, self.projection_clip = cell.cell_clip, cell.projection_clip
        self.dtype, self.fused = dtype, False
        self.sizes = Sizes(inputs, size, size if cell.projection is None else inputs)

    def advance(self, given: Tensor, states: States, y: Tensor, step: Step) -> None:
        """Run one step: put its outputs into `y` (places of the window, P), and its states.

        `given` = inputs(x) of the window, (places, 4H). No step writes a slot that it reads.
        """
        if self.fused:
            from kgtextvec.encoders.elmo import fused_cell

            return fused_cell.fused_step(self, given, states, y, step)
        hs, cs = states
        source = step.source[step.start : step.stop]
        target = step.target[step.start : step.start + step.kept]
        h, c = self(given[step.start : step.stop], hs[source], cs[source])
        y[step.start : step.stop] = h
        hs[target] = h[: step.kept].to(hs.dtype)
        cs[target] = c[: step.kept]
        return None

    def forward(self, given: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Give the new h, c from `given` = inputs(x) (n, 4H), h (n, P) and c (n, H).

        c is overwritten.
        """
        gates = self.state(h).add_(given).float().sigmoid_()  # (n, 4H)
        i, j, f, o = gates.chunk(4, 1)
        c.mul_(f)
        c.add_(j.mul_(i), alpha=2).sub_(i)  # j is (tanh + 1) / 2 here
        if self.cell_clip is not None:
            c.clamp_(-self.cell_clip, self.cell_clip)
        h = torch.mul(c, 2).sigmoid_().mul_(2).sub_(1).mul_(o)  # (n, H)
        if self.project is not None:
            h = self.project(h).float()  # (n, P)
            if self.projection_clip is not None:
                h = h.clamp_(-self.projection_clip, self.projection_clip)
        return h, c


def add_sums(total: Tensor, sums: Tensor, step: Step) -> None:
    """Add to a step's rows of `total` (places, …) the `sums` (slots, …) before them; keep some."""
    total[step.start : step.stop] += sums[step.source[step.start : step.stop]]
    end = step.start + step.kept
    sums[step.target[step.start : end]] = total[step.start : end]
