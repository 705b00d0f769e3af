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
# Tokens of a tile that short texts share: the numbers of an AVX-512 vector. AVX2 gains nothing.
TILE = 16
SHORT = 64  # tokens; from here on tiles gain nothing either (measured)
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


def takes_tiles(q: Tensor, length: int) -> bool:
    """Return whether `tiled` is faster than `fused` for texts of `length` tokens."""
    return (
        length < SHORT
        and length % TILE > 0
        and q.device.type == "cpu"
        and q.dtype == torch.float32
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
    )


def tiled(
    q: Tensor, k: Tensor, v: Tensor, start: int, count: int, length: int, scale: float
) -> list[Tensor]:
    """Run torch's own on tiles of several short texts, each of which sees itself alone.

    torch computes the exponentials of a row in vectors, and those that don't fill one, one by one:
    five tokens cost more than sixteen. So the keys of a tile go on into the next text until they
    fill vectors; a mask hides them. q, k, v (tokens, heads, dims of a head) are a pack, in which
    `count` texts of `length` tokens begin at `start`. Returns their rows, (…, heads, dims) each.
    """
    heads, dims = q.shape[1:]
    texts = max(TILE // length, 1)
    rows = texts * length
    width = -(-rows // TILE) * TILE
    tiles = max(min(count // texts, (len(q) - start - width) // rows + 1), 0)

    def tile(x: Tensor, n_rows: int) -> Tensor:
        token, head, dim = x.stride()
        first = x.storage_offset() + start * token
        return x.as_strided((tiles, heads, n_rows, dims), (rows * token, head, token, dim), first)

    parts = []
    if tiles:
        seen = fused(
            tile(q, rows), tile(k, width), tile(v, width), own_text(length, texts, width), scale
        )
        parts.append(seen.transpose(1, 2).reshape(tiles * rows, heads, dims))
    if rest := count - tiles * texts:  # too few for a tile, or at the pack's end
        own = slice(start + tiles * rows, start + count * length)
        q, k, v = (each[own].view(rest, length, heads, dims).transpose(1, 2) for each in (q, k, v))
        seen = fused(q, k, v, None, scale)
        parts.append(seen.transpose(1, 2).reshape(rest * length, heads, dims))
    return parts


@cache
def own_text(length: int, texts: int, width: int) -> Tensor:
    """Return the mask of a tile, (texts x length, width) float32: 0 in its own text, else -inf."""
    mask = torch.full((texts, length, width), -torch.inf)
    for text in range(texts):
        mask[text, :, text * length : (text + 1) * length] = 0
    return mask.view(texts * length, width)


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
