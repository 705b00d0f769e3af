"""Kinds of models that differ from BERT and from plain decoders, against a loop of one text."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_folders import TEXTS, assert_close, convert, vectors_of
from tiny_decoders import byte_tokenizer, decoder_size
from tiny_models import save


def tiny_gemma_with_images(folder: Path) -> Path:
    """Write a Gemma 3 for texts and images: what is about texts is nested in its config."""
    from transformers import Gemma3Config, Gemma3Model

    vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
              "intermediate_size": 32, "image_size": 28, "patch_size": 14}  # fmt: skip
    text = {"vocab_size": byte_tokenizer(folder), "max_position_embeddings": 2048,
            "sliding_window": 16, "query_pre_attn_scalar": 8}  # fmt: skip
    config = Gemma3Config(
        text_config=text | decoder_size(3), vision_config=vision, mm_tokens_per_image=4
    )
    return save(folder, Gemma3Model, config, 0, "safetensors", 0.3)


def tiny_xlnet(folder: Path) -> Path:
    """Write an XLNet: positions relative to each other, both directions."""
    from transformers import XLNetConfig, XLNetModel

    size = byte_tokenizer(folder)
    config = XLNetConfig(vocab_size=size, d_model=32, n_layer=2, n_head=4, d_inner=64)
    return save(folder, XLNetModel, config, 0, "bin", 0.3)


@pytest.fixture(scope="module", params=[tiny_gemma_with_images, tiny_xlnet])
def folders(request, tmp_path_factory) -> tuple[Path, Path]:
    """A model's folder, and the same converted."""
    folder = request.param(tmp_path_factory.mktemp("kind") / "m")
    return folder, convert(folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layers", ["last", "average"])
def test_vectors_are_those_of_one_text_at_a_time(folders, layers):
    from transformers import AutoModel, AutoTokenizer

    folder, out = folders
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    model = AutoModel.from_pretrained(str(folder)).eval()
    exact = []
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            found = model(**ids, output_hidden_states=True)
        states = found.hidden_states if layers == "average" else [found.last_hidden_state]
        exact.append(torch.stack(list(states)).mean(0)[0].mean(0).numpy())
    assert_close(vectors_of(out, layers=layers), np.array(exact))
