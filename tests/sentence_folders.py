"""sentence-transformers' own files around a tiny model: modules, pooling, heads, prompts."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tiny_models import write

FLAGS = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "max": "pooling_mode_max_tokens",
    "mean_sqrt_len": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
PACKAGE = "sentence_transformers.models"


def sentence_folder(
    folder: Path,
    dims: int = 32,
    pooling: Sequence[str] = ("mean",),
    heads: Sequence[str] = ("Normalize",),
    prompts: dict[str, str] | None = None,
    default_prompt: str | None = None,
    include_prompt: bool = True,
    inside: str = "",
    **transformer: Any,
) -> Path:
    """Write the files beside a plain model, which moves into the folder `inside`, if given.

    `heads`: Dense (to 20 dims, tanh), Plain (Dense without bias or function), LayerNorm, Normalize.
    `transformer`: max_seq_length, do_lower_case.
    """
    import torch
    from sentence_transformers.sentence_transformer import modules

    if inside:
        shutil.move(folder, moved := folder.with_name("moved"))
        folder.mkdir()
        shutil.move(moved, folder / inside)
    listed = [("Transformer", inside), ("Pooling", "1_Pooling")]
    write(folder / inside / "sentence_bert_config.json", transformer)
    (folder / "1_Pooling").mkdir()
    flags = {flag: name in pooling for name, flag in FLAGS.items()}
    about = {"word_embedding_dimension": dims, "include_prompt": include_prompt, **flags}
    write(folder / "1_Pooling/config.json", about)
    width = dims * len(pooling)
    torch.manual_seed(1)
    for number, head in enumerate(heads, 2):
        kind = "Dense" if head == "Plain" else head
        place = f"{number}_{kind}"
        (folder / place).mkdir()
        if head == "Dense":
            modules.Dense(width, 20).save(str(folder / place))
        elif head == "Plain":
            plain = modules.Dense(width, 20, bias=False, activation_function=torch.nn.Identity())
            plain.save(str(folder / place))
        elif head == "LayerNorm":
            norm = modules.LayerNorm(width)
            torch.nn.init.normal_(norm.norm.weight)
            norm.save(str(folder / place))
        width = 20 if kind == "Dense" else width
        listed.append((kind, place))
    modules_of = [
        {"idx": i, "name": str(i), "path": place, "type": f"{PACKAGE}.{kind}"}
        for i, (kind, place) in enumerate(listed)
    ]
    write(folder / "modules.json", modules_of)
    write(
        folder / "config_sentence_transformers.json",
        {"prompts": prompts or {}, "default_prompt_name": default_prompt},
    )
    return folder
