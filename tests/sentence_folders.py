"""sentence-transformers' own files around a tiny model: modules, pooling, heads, prompts."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny_models import tiny_bert, write

from kgtextvec.embed.fingerprint import resolve, stored_dims
from kgtextvec.encoders import load_encoder
from kgtextvec.encoders.folder import read_model_folder
from kgtextvec.models.convert import convert_model
from kgtextvec.settings.models import Embed, EncoderOptions, Mode

FLAGS = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "max": "pooling_mode_max_tokens",
    "mean_sqrt_len": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
PACKAGE = "sentence_transformers.models"
TEXTS = [
    "TP53",
    "Gene receptor Protein",
    "a progressive disorder of the central nervous system",
    "the cell cycle gene relation " * 30,
    "Gene receptor kinase",
]
# Sums in another order, relative to the largest number: float32 has 1.2e-7.
TOLERANCE = 1e-5


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


def convert(folder: Path, **entry) -> Path:
    out = folder.with_name(f"{folder.name}-out")
    convert_model(folder, out=out, model="m", entry=json.dumps(entry))
    return out


def vectors_of(out: Path, texts=TEXTS, embed=None, **options) -> np.ndarray:
    record = read_model_folder(out)
    chosen = EncoderOptions(**options)
    settings = resolve(record, chosen, embed or Embed(precision="float32"), Mode(), "cpu")
    encoder = load_encoder(out, record, settings)
    assert encoder.dims == stored_dims(record, settings)
    found = np.full((len(texts), encoder.dims), np.nan, dtype=np.float32)
    for part in encoder.encode(texts):
        found[part.rows] = part.vectors
    return found


def theirs(folder: Path, texts=TEXTS, **settings) -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    kwargs = {"dtype": torch.float32}
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs=kwargs, **settings)
    return model.encode(texts, batch_size=1, show_progress_bar=False)


def assert_close(ours: np.ndarray, exact: np.ndarray) -> None:
    assert ours.shape == exact.shape
    assert np.abs(ours - exact).max() <= TOLERANCE * np.abs(exact).max()


def bert(folder: Path) -> Path:
    return tiny_bert(folder, tokenizer_config=True)
