"""Steps that CUDA does in one pass over memory in half precision: residual and LayerNorm.

BERT and its kin end both halves of a layer with `LayerNorm(dense(x) + residual)`. A product's
result is then read and written three times; `kernels.add_norm` reads it once. The whole model is
run on a sample before and after, and stays as it was when the result is off.
"""

import inspect
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from kgtextvec.encoders.memory import why_not
from kgtextvec.encoders.onednn import agrees
from kgtextvec.encoders.transformer.prepack import sample_output
from kgtextvec.progress import say

HALVES = (torch.float16, torch.bfloat16)


def has_triton(device: torch.device) -> bool:
    """Return whether Triton's kernels run there: on CUDA, from Ampere on."""
    return (
        device.type == "cuda"
        and find_spec("triton") is not None
        and torch.cuda.get_device_capability(device) >= (8, 0)
    )


def has_kernels(dtype: torch.dtype, device: torch.device) -> bool:
    """Return whether the kernels of this package run there: they are for half precision."""
    return dtype in HALVES and has_triton(device)


def with_fused_norms(model: Any) -> Any:
    """Return `model` with residuals and norms fused where it has them, on CUDA.

    It comes back as it was when its output on a sample differs, and a line says so.
    """
    places = [module for module in model.modules() if adds_and_norms(module)]
    if not places:
        return model
    plain = sample_output(model)
    for module in places:
        module.forward = partial(norm_of_sum, module.dense, module.LayerNorm)
    try:
        if agrees(sample_output(model), plain, model.dtype):
            return model
        why = "the results differ"
    except Exception as error:  # whatever Triton meets on this machine, the plain way remains
        why = why_not(error)
    for module in places:
        del module.forward
    say(f"residuals and norms are computed apart: {why}")
    return model


def adds_and_norms(module: Any) -> bool:
    """Return whether a module is LayerNorm(dense(hidden_states) + input_tensor)."""
    dense, norm = getattr(module, "dense", None), getattr(module, "LayerNorm", None)
    return (
        type(dense) is nn.Linear
        and type(norm) is nn.LayerNorm
        and norm.bias is not None
        and list(inspect.signature(module.forward).parameters) == ["hidden_states", "input_tensor"]
    )


def norm_of_sum(
    dense: nn.Linear, norm: nn.LayerNorm, hidden_states: Tensor, input_tensor: Tensor
) -> Tensor:
    """Return norm(dense(hidden_states) + input_tensor), (..., dims)."""
    from kgtextvec.encoders.transformer.kernels import add_norm

    return add_norm(dense(hidden_states), input_tensor, norm)
