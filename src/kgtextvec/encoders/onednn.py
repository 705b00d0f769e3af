"""oneDNN's linear layer on a CPU: the weight is laid out once, the product is a fifth faster.

`torch.ops.mkldnn` is not a public interface of torch: callers compare with the plain product
first (`agrees`), and fall back on it where the operation is absent or its result is off.
"""

import torch
from torch import Tensor, nn

# Largest difference allowed, relative to the largest number of the plain result.
ROUNDING = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 5e-3}
ONEDNN_DTYPES = (torch.float32, torch.bfloat16)


def has_onednn() -> bool:
    """Return whether this torch has the operation."""
    return hasattr(torch.ops.mkldnn, "_linear_pointwise")


def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None, then: str = "none") -> Tensor:
    """Return x W^T + b, or gelu of it; x is (…, in), `weight` (out, in), laid out or plain."""
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, then, [], "none")
    return y


class PackedLinear(nn.Module):
    """y = x W^T + b with W (out, in) laid out once; x is (…, in), y (…, out).

    `then` is none, or gelu to apply to y. Raises RuntimeError where the CPU can't do it.
    `apart`: a gelu is a step of its own, on y in place. It has the same bits, and without AVX-512
    half the cost of a gelu inside the product (measured).
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, then: str = "none") -> None:
        super().__init__()
        self.then = then
        self.apart = then == "gelu" and torch.backends.cpu.get_cpu_capability() != "AVX512"
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach())
        self.bias = None if bias is None else bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        if self.apart:
            y: Tensor = torch.ops.aten.gelu_(onednn_linear(x, self.weight, self.bias))
            return y
        return onednn_linear(x, self.weight, self.bias, self.then)


def agrees(ours: Tensor, plain: Tensor, dtype: torch.dtype) -> bool:
    """Return whether a result computed in `dtype` is the plain one, but for rounding."""
    limit = ROUNDING[dtype] * float(plain.abs().max().clamp(min=1e-6))
    return ours.shape == plain.shape and float((ours - plain).abs().max()) <= limit
