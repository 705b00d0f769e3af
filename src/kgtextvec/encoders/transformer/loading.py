"""A transformers model from a checked folder: no network, no remote code, no gradients."""

from pathlib import Path
from typing import Any

import torch

from kgtextvec.encoders.pretrained import LOCAL_ONLY, POOLER, encoder_class, quiet_transformers
from kgtextvec.encoders.transformer.fused import has_kernels, with_fused_norms
from kgtextvec.encoders.transformer.prepack import prepacked

TORCH_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def load_transformer(folder: Path, precision: str, device: torch.device) -> Any:
    """Load the weights in that precision, in evaluation mode, from safetensors."""
    return place_transformer(read_transformer(folder, precision), device)


def place_transformer(model: Any, device: torch.device) -> Any:
    """Move a model to its device and replace steps that the device does faster."""
    model = model.to(device)
    if device.type == "cpu":
        return prepacked(model)
    return with_fused_norms(model) if has_kernels(model.dtype, device) else model


def read_transformer(folder: Path, precision: str) -> Any:
    """Read the weights in that precision into the host's memory, in evaluation mode.

    Raises RuntimeError for weights that are not in the folder, which would be random.
    """
    quiet_transformers()
    kind = encoder_class(folder)
    # A folder of ours, checked by its digests: there is no revision to pin.
    options = LOCAL_ONLY | {"use_safetensors": True, "dtype": TORCH_DTYPES[precision]}
    options["output_loading_info"] = True
    try:
        model, report = kind.from_pretrained(  # nosec B615
            str(folder), add_pooling_layer=False, **options
        )
    except TypeError:  # a model class that has no pooling layer to leave out
        model, report = kind.from_pretrained(str(folder), **options)  # nosec B615
    weights = {name for name, _ in model.named_parameters() if not name.startswith(POOLER)}
    if missing := sorted(weights & set(report["missing_keys"])):
        raise RuntimeError(f"{folder}: {len(missing)} weights are missing (first {missing[0]})")
    for config in (model.config, model.config.get_text_config()):
        config.use_cache = False  # of keys and values, for texts that go on
    return model.eval().requires_grad_(False)
