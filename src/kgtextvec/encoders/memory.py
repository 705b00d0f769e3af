"""Batches that do not fit into memory are halved, and so is the budget of those after them."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from kgtextvec.progress import say

Result = TypeVar("Result")
BatchRows = NDArray[np.int64]
HOST_MESSAGES = ("can't allocate memory", "not enough memory")


class HalvingRunner:
    """Runs the batches of a stack; `budget` is the cost, in tokens, that memory has room for."""

    def __init__(self, budget: int) -> None:
        self.budget = budget

    def run_next(
        self,
        stack: list[BatchRows],
        cost: Callable[[BatchRows], int],
        run: Callable[[BatchRows], Result],
        refuse: Callable[[BatchRows, int], Exception],
    ) -> Result | None:
        """Run the batch on top of the stack; None when it went back in halves instead.

        `cost` gives a batch's tokens, padding included. Raises what `refuse` makes of a batch of
        one row, and its cost, that does not fit alone.
        """
        batch = stack.pop()
        tokens = cost(batch)
        if tokens <= self.budget or len(batch) == 1:
            found = run_in_memory(run, batch)
            if found is not None:
                return found
            torch.cuda.empty_cache()  # does nothing where CUDA isn't in use
            if len(batch) == 1:
                raise refuse(batch, tokens)
            self.budget = tokens // 2
            say(f"out of memory: batch halved from {tokens:,} to {self.budget:,} tokens")
        half = len(batch) // 2
        stack += [batch[half:], batch[:half]]
        return None


def run_in_memory(run: Callable[[BatchRows], Result], batch: BatchRows) -> Result | None:
    """Return run(batch); None when memory does not suffice (the error and its frames are freed)."""
    try:
        return run(batch)
    except torch.OutOfMemoryError:
        return None
    except RuntimeError as error:
        if any(message in str(error) for message in HOST_MESSAGES):
            return None
        raise
