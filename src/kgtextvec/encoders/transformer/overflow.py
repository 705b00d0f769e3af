"""Infinities that a model hides: in float16 some layers clamp them to finite numbers.

T5, BART, PEGASUS and their kin do so (`torch.clamp` in their code), and their vectors are then
finite and wrong. A watch on such layers turns the vectors of that batch into NaN, which the
encoder computes again in float32.
"""

import inspect
import threading
from typing import Any

import torch
from torch import Tensor

# What clamps to (finfo.max - 1000 in transformers), rounded in float16, and above.
NEAR_LARGEST = 64_000.0


class OverflowWatch:
    """Watches the layers of a float16 model that clamp; for any other model it does nothing.

    Each thread has a note of its own, for the batch that it computes.
    """

    def __init__(self, model: Any, device: torch.device) -> None:
        self.device, self.notes = device, threading.local()
        self.watches = False
        if getattr(model, "dtype", None) != torch.float16:
            return
        watched = [module for module in model.modules() if clamps(type(module))]
        self.watches = bool(watched)
        inner = {id(part): part for module in watched for part in module.modules()}
        for part in inner.values():
            part.register_forward_hook(self.look)

    @property
    def over(self) -> Tensor:
        """Whether this thread's batch had an overflow: a bool on the device."""
        if not hasattr(self.notes, "over"):
            with torch.inference_mode(False):  # it is cleared outside that mode
                self.notes.over = torch.zeros((), dtype=torch.bool, device=self.device)
        found: Tensor = self.notes.over
        return found

    def look(self, module: Any, inputs: Any, output: Any) -> None:
        """Note whether a layer's output reached the largest numbers of float16."""
        for one in output if isinstance(output, tuple | list) else [output]:
            if isinstance(one, Tensor) and one.dtype == torch.float16:
                # A NaN is not below the limit either.
                self.over.logical_or_(~(one.abs().amax() < NEAR_LARGEST))

    def clear(self) -> None:
        """Forget what was noted, before a batch."""
        if self.watches:
            self.over.zero_()

    def mark(self, vectors: Tensor) -> Tensor:
        """Return vectors (n, dims), NaN if the batch had an overflow; nothing waits for a GPU."""
        return torch.where(self.over, torch.nan, vectors) if self.watches else vectors


def clamps(kind: type) -> bool:
    """Return whether a module's own code clamps numbers, by its source."""
    try:
        return "torch.clamp(" in inspect.getsource(kind)
    except (OSError, TypeError):
        return False
