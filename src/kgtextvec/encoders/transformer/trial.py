"""Trials of a model that was just loaded: what it gives for a few made-up texts.

A trial leaves the model as it was. BigBird, for one, turns to full attention for good when a short
text comes first (transformers issue 20031), and some models keep tables for the longest text seen.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kgtextvec.encoders.choices import LAST
from kgtextvec.encoders.transformer.layers import token_vectors

CHECKED_LENGTHS = (9, 7, 7, 4, 3)
# What a model's config calls the length of texts above which its attention leaves tokens out.
ATTENTION_LIMITS = (
    "sliding_window", "local_attention", "attention_window", "attention_window_size",
    "sliding_window_size", "window_size", "attention_chunk_size",
)  # fmt: skip
LONG_LENGTHS = (300, 150)  # on a GPU, which runs them at once; a CPU takes seconds
# transformers adds hooks once, for a request of all layers, and notes in the model that it did:
# without undoing both, the next request would add them again, and count each layer twice.
OF_TORCH = (
    "_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs",
)  # fmt: skip


@contextmanager
def unchanged(model: torch.nn.Module) -> Iterator[None]:
    """Undo, at the end, what the block changed in the model's modules, their names and settings.

    Numbers that are changed in place stay changed; no model does that in evaluation mode.
    """
    before = module_states(model)
    try:
        yield
    finally:
        for module, plain, tables in before:
            for key in [key for key in vars(module) if key not in plain and key not in OF_TORCH]:
                del vars(module)[key]
            vars(module).update(plain)
            for key, table in tables.items():
                now = getattr(module, key)
                now.clear()
                now.update(table)


def module_states(
    model: torch.nn.Module,
) -> list[tuple[torch.nn.Module, dict[str, Any], dict[str, dict[str, Any]]]]:
    """Return each module with its own attributes, and with torch's tables of it."""
    return [
        (
            module,
            {key: value for key, value in vars(module).items() if key not in OF_TORCH},
            {key: dict(getattr(module, key)) for key in OF_TORCH},
        )
        for module in model.modules()
    ]


@torch.inference_mode()
def changes_itself(model: Any, run: Callable[[NDArray[np.int64]], Tensor]) -> bool:
    """Return whether a text changes what the model holds, so that no other may run meanwhile.

    `run` gives the tokens' vectors of a text, by its ids; two texts of different lengths are run. A
    rotary embedding that follows the length of texts (dynamic, longrope) changes with long ones
    only, and is known by its name.
    """
    kinds = [getattr(module, "rope_type", None) for module in model.modules()]
    if any(name in str(kind) for kind in kinds for name in ("dynamic", "longrope")):
        return True
    states = []
    with unchanged(model):
        for length in sorted(CHECKED_LENGTHS)[:2]:
            run(trial_ids(model, np.array([length])))
            states.append(module_states(model))
    return any(differ(*pair) for pair in zip(*states, strict=True))


def differ(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Return whether two states of a module hold other objects."""
    tables = [one[1], *one[2].values()], [other[1], *other[2].values()]
    return any(
        a.keys() != b.keys() or any(a[key] is not b[key] for key in a)
        for a, b in zip(*tables, strict=True)
    )


def text_config(model: Any) -> Any:
    """Return the part of a model's config that is about text; most have no other part."""
    return model.config.get_text_config()


def trial_lengths(model: Any, max_tokens: int | None, device: torch.device) -> NDArray[np.int64]:
    """Return the lengths of the trial's texts; one exceeds each attention window, if texts can."""
    config = text_config(model)
    windows = [getattr(config, name, None) for name in ATTENTION_LIMITS]
    windows = [max(one) if isinstance(one, list) and one else one for one in windows]
    over = [window + 3 for window in windows if isinstance(window, int) and window > 0]
    longest = [
        length for length in over if max_tokens and CHECKED_LENGTHS[0] < length <= max_tokens
    ]
    long = [] if device.type == "cpu" else LONG_LENGTHS
    possible = [length for length in long if max_tokens and length <= max_tokens]
    return np.array([*dict.fromkeys(longest), *possible, *CHECKED_LENGTHS], dtype=np.int64)


def selects_tokens(model: Any, max_tokens: int | None) -> bool:
    """Return whether a long text's tokens attend to some others alone, those that score highest.

    DeepSeek-V3.2 and Doge do so. Which of equal scores are taken depends on the length of a row,
    padding included.
    """
    config = text_config(model)
    most = getattr(config, "index_topk", None) or getattr(config, "keep_window_size", None)
    if blocks := getattr(config, "index_topk_blocks", None):
        most = blocks * config.index_block_size
    return isinstance(most, int) and (max_tokens is None or max_tokens > most)


def trial_ids(model: Any, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return made-up ids, (sum of lengths,); those below 5 are mostly special ones."""
    n_ids = int(text_config(model).vocab_size)
    first = min(5, n_ids - 1)
    return first + np.arange(int(lengths.sum())) % (n_ids - first)


@torch.inference_mode()
def hidden_alone(
    model: Any,
    ids: NDArray[np.int64],
    lengths: NDArray[np.int64],
    device: torch.device,
    layers: str = LAST,
) -> Tensor:
    """Return the tokens' vectors of texts, each run alone, as rows (tokens, dims) float32."""
    parts = []
    for own in np.split(ids, np.cumsum(lengths)[:-1]):
        with unchanged(model):
            parts.append(
                token_vectors(
                    model,
                    layers,
                    input_ids=torch.from_numpy(own)[None].to(device),
                    attention_mask=torch.ones(1, len(own), dtype=torch.long, device=device),
                )[0]
            )
    return torch.cat(parts).float()


def takes(model: Any, name: str) -> bool:
    """Return whether the model's forward has a parameter of that name."""
    return name in inspect.signature(model.forward).parameters
