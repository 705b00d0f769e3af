"""Steps of an ELMo layer by Triton's kernels, where the device has them and they agree."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from kgtextvec.encoders.elmo.cell import FastCell, Sizes, States, Step
from kgtextvec.encoders.memory import why_not
from kgtextvec.encoders.onednn import agrees
from kgtextvec.encoders.transformer.fused import has_triton
from kgtextvec.progress import say


def fused_step(cell: FastCell, given: Tensor, states: States, y: Tensor, step: Step) -> None:
    """Run one step; see `FastCell.advance`."""
    from kgtextvec.encoders.elmo.kernels import gates, put_output

    hs, cs = states
    product = cell.state(hs[step.source[step.start : step.stop]])  # (n, 4H)
    last = cell.project is None
    dtype = torch.float32 if last else cell.dtype
    out = product.new_empty((len(product), cs.shape[1]), dtype=dtype)
    slots, rows = (step.source, step.target), (step.start, step.kept)
    gates(product, given, slots, cs, out, rows, cell.cell_clip)
    projected = out if cell.project is None else cell.project(out)
    put_output(projected, step.target, y, hs, rows, None if last else cell.projection_clip)


def fused_sums(total: Tensor, sums: Tensor, step: Step) -> None:
    """Do what `cell.add_sums` does."""
    from kgtextvec.encoders.elmo import kernels

    slots, rows = (step.source, step.target), step.stop - step.start
    kernels.put_sums(total, slots, sums, rows, (step.start, step.kept))


def with_fused_steps(cells: Sequence[Sequence[FastCell]], device: torch.device) -> bool:
    """Let all cells, [direction][layer], run fused steps where they can; says whether they do.

    They stay as they were where a step of made-up numbers gives something else, and a line says so.
    """
    every = [cell for own in cells for cell in own]
    if not every or not has_triton(device):
        return False
    try:
        if all(fused_agrees(cell, device) for cell in every):
            return True
        why = "the results differ"
    except Exception as error:  # whatever Triton meets on this machine, the plain way remains
        why = why_not(error)
    for cell in every:
        cell.fused = False
    say(f"steps of the LSTMs are computed by torch alone: {why}")
    return False


def fused_agrees(cell: FastCell, device: torch.device) -> bool:
    """Return whether two steps with made-up states give what torch gives; the cell is fused then.

    Two of five rows keep their state, in slots that their step does not read, as in a plan.
    """
    sizes: Sizes = cell.sizes
    generator = torch.Generator().manual_seed(0)
    source, target = np.array([0, 1, 0, 2, 1]), np.array([4, 3, 5, 0, 0])
    slots = [torch.from_numpy(part).to(device) for part in (source, target)]
    steps = [Step(0, 3, 2, *slots), Step(3, 5, 0, *slots)]
    h = torch.randn(6, sizes.outputs, generator=generator).to(device, cell.dtype)
    c = torch.randn(6, sizes.cells, generator=generator).to(device)
    x = torch.randn(5, sizes.inputs, generator=generator).to(device)
    found = []
    for fused in (False, True):
        cell.fused = fused
        states, y = (h.clone(), c.clone()), torch.zeros(5, sizes.outputs, device=device)
        for step in steps:
            cell.advance(cell.inputs(x), states, y, step)
        found.append((y, states[0].float(), states[1]))
    return all(agrees(a, b, cell.dtype) for b, a in zip(*found, strict=True))
