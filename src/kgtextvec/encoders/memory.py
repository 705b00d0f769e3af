"""Batches that do not fit into memory are halved, and so is the budget of those after them."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from kgtextvec.errors import InputError
from kgtextvec.progress import say

Result = TypeVar("Result")
BatchRows = NDArray[np.int64]
# Of errors that have no type of their own: of torch's allocators, cuBLAS, cuDNN, CUDA itself, mps.
MESSAGES = ("out of memory", "can't allocate memory", "not enough memory", "STATUS_ALLOC_FAILED")


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
            release_memory()
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
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            return None
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory did not suffice, a device's or the host's."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(known in str(error) for known in MESSAGES)


def why_not(error: Exception) -> str:
    """Return an error of a trial as words; raises it if memory did not suffice for the trial."""
    if is_out_of_memory(error):
        raise error
    return f"{type(error).__name__}: {str(error)[:120]}"


@contextmanager
def model_fits(name: str) -> Iterator[None]:
    """Turn a lack of memory while a model is loaded into an InputError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(
            f"{name}: the model does not fit into memory. Use a device with more memory, or"
            " precision: float16 or bfloat16."
        ) from error


def moved(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Copy an array to a device; on CUDA from pinned memory, so that no one waits for it."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class OnItsWay:
    """A tensor on its way to the host; from CUDA without waiting for it until `wait`."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.ready: Any = None
        if tensor.device.type != "cuda":
            self.host = tensor.cpu()
            return
        self.host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        self.host.copy_(tensor, non_blocking=True)
        self.ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self.ready.record()

    def wait(self) -> NDArray[Any]:
        """Return the numbers once they are there."""
        if self.ready is not None:
            self.ready.synchronize()
        found: NDArray[Any] = self.host.numpy()
        return found


def release_memory() -> None:
    """Give memory that torch keeps for later back to the devices in use."""
    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
