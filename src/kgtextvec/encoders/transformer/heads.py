"""What a model's authors put behind the pooling: dense layers, unit length, fewer dims.

The layers are sentence-transformers' own classes, which are imported only if a model has one.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from kgtextvec.encoders.choices import NORMALIZE


class Heads:
    """The modules behind the pooling, in order, in float32.

    `names` are folders of the model, such as 2_Dense, or `Normalize`. Then the first
    `truncate_dims` dims are taken, and with `to_unit` a vector is scaled to unit length.
    """

    def __init__(
        self,
        folder: Path,
        names: tuple[str, ...],
        truncate_dims: int | None,
        to_unit: bool,
    ) -> None:
        self.modules = [None if name == NORMALIZE else load_head(folder / name) for name in names]
        self.truncate_dims, self.to_unit = truncate_dims, to_unit
        cut = truncate_dims is not None
        self.gives_unit = to_unit or (bool(names) and names[-1] == NORMALIZE and not cut)

    def move(self, device: torch.device) -> None:
        """Put the modules on the device, where they are to run."""
        for module in self.modules:
            if module is not None:
                module.to(device)

    @torch.inference_mode()
    def __call__(self, pooled: Tensor) -> Tensor:
        """Turn pooled vectors (n, pooled dims) float32 into a text's (n, dims)."""
        for module in self.modules:
            if module is None:
                pooled = normalize(pooled, dim=-1)
            else:
                pooled = module({"sentence_embedding": pooled})["sentence_embedding"]
        pooled = pooled[:, : self.truncate_dims]
        return normalize(pooled, dim=-1) if self.to_unit else pooled


def load_head(folder: Path) -> Any:
    """Load a Dense or LayerNorm module from a folder such as 2_Dense, which convert-model made."""
    from sentence_transformers.sentence_transformer import modules

    kind = getattr(modules, folder.name.partition("_")[2])
    return kind.load(str(folder), local_files_only=True).float().eval().requires_grad_(False)
