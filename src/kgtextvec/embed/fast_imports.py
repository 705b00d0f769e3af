"""Less to do before the first batch."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports(kind: str) -> Iterator[None]:
    """Import with neither searches for garbage nor scipy: half a second less for every job.

    What is imported stays, so there is no garbage to find. transformers takes scipy for absent;
    it would import scipy.optimize whatever the model, for losses of models of pictures.
    """
    gc.disable()
    try:
        if kind != "transformer":  # needs no transformers at all
            yield
        else:
            with without_scipy():
                yield
    finally:
        gc.enable()
        gc.freeze()


@contextmanager
def without_scipy() -> Iterator[None]:
    """Let transformers take scipy for absent meanwhile."""
    from transformers import utils

    there = utils.is_scipy_available
    utils.is_scipy_available = lambda: False
    try:
        yield
    finally:
        utils.is_scipy_available = there
