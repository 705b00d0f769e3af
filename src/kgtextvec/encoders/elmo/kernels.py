"""Triton kernels for a step of an ELMo layer on CUDA: what is between its matrix products.

torch does a step's gates, clips and copies in some twenty passes over memory; here it is two, and
a third for the sums. States are read from and written to their slots in place: a plan never lets
a step write a slot that the same step reads. Triton comes with torch for CUDA; this module is
imported only there.
"""

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

CELLS = 1024
NOT_CONSTANT = ["first", "kept"]


@triton.jit(do_not_specialize=NOT_CONSTANT)  # type: ignore[untyped-decorator]
def gates_kernel(  # type: ignore[no-untyped-def]  # noqa: ANN201
    product, given, source, target, cells, out, first, kept, clip,  # noqa: ANN001
    SIZE: tl.constexpr, CLIPPED: tl.constexpr, CELLS: tl.constexpr,
):  # fmt: skip
    """One row and CELLS of its cells; see `gates`."""
    row = tl.program_id(0).to(tl.int64)
    place = first + row
    columns = tl.program_id(1) * CELLS + tl.arange(0, CELLS)
    there = columns < SIZE
    ours = product + row * 4 * SIZE + columns
    words = given + place * 4 * SIZE + columns
    i = tl.load(ours, there).to(tl.float32) + tl.load(words, there).to(tl.float32)
    j = tl.load(ours + SIZE, there).to(tl.float32) + tl.load(words + SIZE, there).to(tl.float32)
    f = tl.load(ours + 2 * SIZE, there).to(tl.float32)
    f += tl.load(words + 2 * SIZE, there).to(tl.float32)
    o = tl.load(ours + 3 * SIZE, there).to(tl.float32)
    o += tl.load(words + 3 * SIZE, there).to(tl.float32)
    c = tl.load(cells + tl.load(source + place) * SIZE + columns, there)
    c = c * tl.sigmoid(f) + tl.sigmoid(i) * (2 * tl.sigmoid(j) - 1)
    if CLIPPED:
        c = tl.minimum(tl.maximum(c, -clip), clip)
    h = tl.sigmoid(o) * (2 * tl.sigmoid(2 * c) - 1)
    tl.store(out + row * SIZE + columns, h.to(out.dtype.element_ty), there)
    keep = there & (row < kept)
    tl.store(cells + tl.load(target + place) * SIZE + columns, c, keep)


@triton.jit(do_not_specialize=NOT_CONSTANT)  # type: ignore[untyped-decorator]
def output_kernel(  # type: ignore[no-untyped-def]  # noqa: ANN201
    projected, target, outputs, states, first, kept, clip,  # noqa: ANN001
    SIZE: tl.constexpr, CLIPPED: tl.constexpr, CELLS: tl.constexpr,
):  # fmt: skip
    """One row and CELLS of its dims; see `put_output`."""
    row = tl.program_id(0).to(tl.int64)
    place = first + row
    columns = tl.program_id(1) * CELLS + tl.arange(0, CELLS)
    there = columns < SIZE
    h = tl.load(projected + row * SIZE + columns, there).to(tl.float32)
    if CLIPPED:
        h = tl.minimum(tl.maximum(h, -clip), clip)
    tl.store(outputs + place * SIZE + columns, h, there)
    keep = there & (row < kept)
    at = states + tl.load(target + place) * SIZE + columns
    tl.store(at, h.to(states.dtype.element_ty), keep)


@triton.jit(do_not_specialize=NOT_CONSTANT)  # type: ignore[untyped-decorator]
def sums_kernel(  # type: ignore[no-untyped-def]  # noqa: ANN201
    total, source, target, sums, first, kept,  # noqa: ANN001
    SIZE: tl.constexpr, CELLS: tl.constexpr,
):  # fmt: skip
    """One row and CELLS of its numbers; see `put_sums`."""
    row = tl.program_id(0).to(tl.int64)
    place = first + row
    columns = tl.program_id(1) * CELLS + tl.arange(0, CELLS)
    there = columns < SIZE
    at = total + place * SIZE + columns
    new = tl.load(at, there) + tl.load(sums + tl.load(source + place) * SIZE + columns, there)
    tl.store(at, new, there)
    keep = there & (row < kept)
    tl.store(sums + tl.load(target + place) * SIZE + columns, new, keep)


def gates(
    product: Tensor,
    given: Tensor,
    slots: tuple[Tensor, Tensor],
    cells: Tensor,
    out: Tensor,
    step: tuple[int, int],
    clip: float | None,
) -> None:
    """Put sigmoid(o) tanh(c) of the new cells into `out` (n, H), and the kept cells into theirs.

    The gates' inputs are `product` (n, 4H) + `given` (of all places, 4H), for i, j (doubled), f,
    o. `slots`: source and target (of all places,) in `cells` (slots, H) float32; `step`: the first
    place and how many rows are kept.
    """
    size = cells.shape[1]
    grid = (len(product), triton.cdiv(size, CELLS))
    gates_kernel[grid](
        product, given, *slots, cells, out, *step, clip or 0.0,
        SIZE=size, CLIPPED=clip is not None, CELLS=CELLS,
    )  # fmt: skip


def put_output(
    projected: Tensor,
    target: Tensor,
    outputs: Tensor,
    states: Tensor,
    step: tuple[int, int],
    clip: float | None,
) -> None:
    """Put the clipped `projected` (n, P) into `outputs` (of all places, P) float32 and `states`.

    `target` (of all places,): slots in `states` (slots, P); `step` as for `gates`.
    """
    size = outputs.shape[1]
    grid = (len(projected), triton.cdiv(size, CELLS))
    output_kernel[grid](
        projected, target, outputs, states, *step, clip or 0.0,
        SIZE=size, CLIPPED=clip is not None, CELLS=CELLS,
    )  # fmt: skip


def put_sums(
    total: Tensor, slots: tuple[Tensor, Tensor], sums: Tensor, rows: int, step: tuple[int, int]
) -> None:
    """Add to `rows` rows of `total` (of all places, …) float64 the `sums` (slots, …) before them.

    The kept ones go into `sums`; `slots` and `step` as for `gates`.
    """
    size: Any = sums[0].numel()
    sums_kernel[rows, triton.cdiv(size, CELLS)](total, *slots, sums, *step, SIZE=size, CELLS=CELLS)
