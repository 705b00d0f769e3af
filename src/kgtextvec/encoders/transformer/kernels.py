"""Triton kernels for half precision on CUDA: attention of short texts, and residual + LayerNorm.

torch's variable-length attention gives every text a tile of 128 x 128, of which a name of 20
tokens uses a fortieth. Here a tile takes queries of as many texts as it has room for and reads
the keys from the first text's beginning to the last one's end; other texts' keys are masked.
The softmax runs online in float32, as in FlashAttention-2 (Dao, 2023). Triton comes with torch
for CUDA; this module is imported only there.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS, COLUMNS = 64, 32  # queries and keys of a tile
LOG2_E = 1.4426950408889634


@triton.jit  # type: ignore[untyped-decorator]
def attention_kernel(  # type: ignore[no-untyped-def]  # noqa: ANN201
    q, k, v, out, begins, ends, n_tokens, scale, window,  # noqa: ANN001
    q_token, q_head, k_token, k_head, v_token, v_head, o_token, o_head,  # noqa: ANN001
    GROUP: tl.constexpr, CAUSAL: tl.constexpr, WINDOWED: tl.constexpr,
    DIMS: tl.constexpr, PADDED_DIMS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """One tile of queries of one head; see `short_attention`."""
    tile = tl.program_id(0)
    head = tl.program_id(1)
    rows = tile * ROWS + tl.arange(0, ROWS)
    dims = tl.arange(0, PADDED_DIMS)
    live = rows < n_tokens
    begin = tl.load(begins + rows, mask=live, other=0)
    end = tl.load(ends + rows, mask=live, other=0)
    within = dims < DIMS
    places = rows.to(tl.int64)
    query = tl.load(
        q + places[:, None] * q_token + head * q_head + dims[None, :],
        mask=live[:, None] & within[None, :],
        other=0.0,
    )
    first = tl.load(begins + tile * ROWS)
    last = tl.load(ends + tl.minimum(tile * ROWS + ROWS, n_tokens) - 1)
    best = tl.full([ROWS], float("-inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    seen = tl.zeros([ROWS, PADDED_DIMS], tl.float32)
    for start in range(first, last, COLUMNS):
        columns = start + tl.arange(0, COLUMNS)
        there = columns < last
        at = columns.to(tl.int64)
        key = tl.load(
            k + at[None, :] * k_token + (head // GROUP) * k_head + dims[:, None],
            mask=there[None, :] & within[:, None],
            other=0.0,
        )
        scores = tl.dot(query, key) * scale
        own = (columns[None, :] >= begin[:, None]) & (columns[None, :] < end[:, None])
        if CAUSAL:
            own = own & (columns[None, :] <= rows[:, None])
        if WINDOWED:
            away = rows[:, None] - columns[None, :]
            own = own & (away < window) & (-away < window)
        scores = tl.where(own, scores, float("-inf"))
        new = tl.maximum(best, tl.max(scores, 1))
        shift = tl.where(new == float("-inf"), 0.0, new)
        weights = tl.exp2(scores - shift[:, None])
        kept = tl.exp2(best - shift)
        total = total * kept + tl.sum(weights, 1)
        value = tl.load(
            v + at[:, None] * v_token + (head // GROUP) * v_head + dims[None, :],
            mask=there[:, None] & within[None, :],
            other=0.0,
        )
        seen = seen * kept[:, None] + tl.dot(weights.to(value.dtype), value)
        best = new
    seen = seen / tl.where(total == 0.0, 1.0, total)[:, None]
    tl.store(
        out + places[:, None] * o_token + head * o_head + dims[None, :],
        seen.to(out.dtype.element_ty),
        mask=live[:, None] & within[None, :],
    )


def short_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    begins: Tensor,
    ends: Tensor,
    scale: float,
    window: int | None = None,
    causal: bool = False,
) -> Tensor:
    """Attention within texts that lie end to end; (tokens, heads, dims of a head), as q.

    `q` (tokens, heads, dims of a head), `k` and `v` likewise or with fewer heads, each shared by
    a group of the query's; `begins`, `ends` (tokens,) int32: where each token's text begins and
    ends. `window` w lets a token see those less than w away. Products are of the tensors' half
    precision, sums are float32.
    """
    tokens, heads, dims = q.shape
    q, k, v = (each if each.stride(-1) == 1 else each.contiguous() for each in (q, k, v))
    out = torch.empty((tokens, heads, dims), dtype=q.dtype, device=q.device)
    attention_kernel[(triton.cdiv(tokens, ROWS), heads)](
        q, k, v, out, begins, ends, tokens, scale * LOG2_E, window or 0,
        q.stride(0), q.stride(1), k.stride(0), k.stride(1), v.stride(0), v.stride(1),
        out.stride(0), out.stride(1),
        GROUP=heads // k.shape[1], CAUSAL=causal, WINDOWED=window is not None,
        DIMS=dims, PADDED_DIMS=max(triton.next_power_of_2(dims), 16), ROWS=ROWS, COLUMNS=COLUMNS,
    )  # fmt: skip
    return out


@triton.jit  # type: ignore[untyped-decorator]
def add_norm_kernel(  # type: ignore[no-untyped-def]  # noqa: ANN201
    x, residual, weight, bias, out, epsilon,  # noqa: ANN001
    DIMS: tl.constexpr, PADDED_DIMS: tl.constexpr,
):  # fmt: skip
    """One row; see `add_norm`."""
    row = tl.program_id(0).to(tl.int64)
    dims = tl.arange(0, PADDED_DIMS)
    there = dims < DIMS
    total = tl.load(x + row * DIMS + dims, mask=there, other=0.0).to(tl.float32)
    total += tl.load(residual + row * DIMS + dims, mask=there, other=0.0).to(tl.float32)
    mean = tl.sum(total, 0) / DIMS
    centred = tl.where(there, total - mean, 0.0)
    variance = tl.sum(centred * centred, 0) / DIMS
    unit = centred * (1.0 / tl.sqrt(variance + epsilon))
    scaled = unit * tl.load(weight + dims, mask=there, other=0.0).to(tl.float32)
    scaled += tl.load(bias + dims, mask=there, other=0.0).to(tl.float32)
    tl.store(out + row * DIMS + dims, scaled.to(out.dtype.element_ty), mask=there)


def add_norm(x: Tensor, residual: Tensor, norm: Any) -> Tensor:
    """Return norm(x + residual) for an nn.LayerNorm; (..., dims), contiguous, sums in float32."""
    dims = x.shape[-1]
    x, residual = x.contiguous(), residual.contiguous()
    out = torch.empty_like(x)
    add_norm_kernel[(x.numel() // dims,)](
        x, residual, norm.weight, norm.bias, out, norm.eps,
        DIMS=dims, PADDED_DIMS=triton.next_power_of_2(dims),
    )  # fmt: skip
    return out
