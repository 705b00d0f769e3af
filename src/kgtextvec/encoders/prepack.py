"""Linear layers in oneDNN's own layout on a CPU: the same numbers, about a fifth faster.

`torch.ops.mkldnn` is not a public face of torch: the whole model is tried on a probe before and
after, and stays as it was when the operation is absent or the result is off.
"""

from typing import Any

import torch
from torch import Tensor, nn

from kgtextvec.progress import say

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2}


class PackedLinear(nn.Module):
    """y = x W^T + b with W reordered once; x is (…, in), y (…, out)."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self.bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return y


def prepacked(model: nn.Module) -> nn.Module:
    """Return `model` with every nn.Linear reordered (float32 or bfloat16, on a CPU).

    When a layer can't be, or the model's output on a probe differs, the model comes back as it
    was, and a line says so. The plain weights are let go only once the probe agrees.
    """
    places = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is nn.Linear and child.weight.dtype in TOLERANCE
    ]
    if not places or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return model
    try:
        plain = probe(model)
        for parent, name, child in places:
            setattr(parent, name, PackedLinear(child))
        ours = probe(model)
        limit = TOLERANCE[places[0][2].weight.dtype] * float(plain.abs().max().clamp(min=1e-6))
        if float((plain - ours).abs().max()) <= limit:
            return model
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        say(f"prepacking failed: {error}")
    for parent, name, child in places:
        setattr(parent, name, child)
    say("prepacked linear layers are off: this torch or CPU does not give the same numbers")
    return model


@torch.inference_mode()
def probe(model: Any) -> Tensor:
    """Return the model's hidden states (2, 9, dims), float32, for two made-up inputs."""
    ids = torch.arange(5, 23).reshape(2, 9) % model.config.vocab_size
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    hidden: Tensor = model(input_ids=ids, attention_mask=mask, return_dict=True).last_hidden_state
    return hidden.float()[mask.bool()]
