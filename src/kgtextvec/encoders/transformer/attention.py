"""Attention of texts of one length: the fastest way that the device, dtype and length allow.

All take q, k, v (texts, heads, length, dims of a head), a mask (length, length) bool or None, and
a scale; all give (texts, heads, length, dims of a head). On a CPU torch's fused attention takes
MKL's products, which are fast on processors of MKL's own maker. Elsewhere it is at a third of the
peak, and matrix products of oneDNN are faster for long float32 texts; for bfloat16 everywhere.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from kgtextvec.encoders.onednn import has_onednn, onednn_linear

Attention = Callable[[Tensor, Tensor, Tensor, Tensor | None, float], Tensor]
# From this length on, a call per head costs less than it saves (float32; measured).
LONG = 192


def attention_for(q: Tensor, length: int, mask: Tensor | None) -> Attention:
    """Choose for tensors like `q` and texts of `length` tokens."""
    if q.device.type != "cpu" or mask is not None:
        return fused
    if q.dtype == torch.bfloat16:
        return in_products
    if q.dtype == torch.float32 and length >= LONG and has_onednn() and not is_intel():
        return head_by_head
    return fused


@cache
def is_intel() -> bool:
    """Return whether the processor is Intel's, as far as torch knows; older ones don't say."""
    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return "Intel" in str(found.get("cpu_name"))


def fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """Run torch's own."""
    return scaled_dot_product_attention(q, k, v, mask, scale=scale)


def in_products(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """Run two batched matrix products around a softmax."""
    shape = q.shape
    q, k, v = (each.reshape(-1, *shape[2:]) for each in (q, k, v))
    none = torch.empty((), dtype=q.dtype)
    scores = torch.baddbmm(none, q, k.transpose(1, 2), beta=0, alpha=scale)
    return torch.bmm(torch.softmax(scores, -1), v).view(shape)


def head_by_head(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """Run a head at a time in the product that torch has oneDNN do for linear layers only."""
    texts, heads, length, dims = q.shape
    seen = q.new_empty(texts, length, heads, dims).transpose(1, 2)  # as the next layer takes it
    q = torch.mul(q, scale, out=torch.empty(q.shape, dtype=q.dtype))
    k, v = k.contiguous(), v.transpose(2, 3).contiguous()
    for text in range(texts):
        for head in range(heads):
            scores = onednn_linear(q[text, head], k[text, head], None)
            shares = torch.softmax(scores, -1)
            seen[text, head] = onednn_linear(shares, v[text, head], None)
    return seen


def grouped(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, causal: bool
) -> Tensor:
    """Run torch's own for causal models, and for keys that groups of heads share.

    `mask` holds the causal part too, if there is a mask.
    """
    shared = q.shape[1] // k.shape[1]
    if shared > 1:
        k, v = (each.repeat_interleave(shared, 1) for each in (k, v))
    only_before = causal and mask is None
    return scaled_dot_product_attention(q, k, v, mask, is_causal=only_before, scale=scale)
