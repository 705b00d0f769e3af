"""Kinds of models that differ from BERT and from plain decoders, against a loop of one text."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_folders import TEXTS, assert_close, convert, vectors_of
from tiny_decoders import byte_tokenizer, decoder_size
from tiny_models import change_weights, encoder_size, save, write

from kgtextvec.encoders import EncoderSettings
from kgtextvec.encoders.folder import read_model_folder
from kgtextvec.encoders.transformer.encoder import TransformerEncoder
from kgtextvec.encoders.transformer.padded import PaddedBatches
from kgtextvec.encoders.transformer.uniform import UniformBatches
from kgtextvec.errors import InputError
from kgtextvec.models.weights import read_config


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


def tiny_encoder(folder: Path, model: type, config: type, positions: int, **tokens: int) -> Path:
    """Write an encoder of two layers; `tokens` are settings of its tokenizer."""
    size = byte_tokenizer(folder, **tokens)
    about = config(vocab_size=size, max_position_embeddings=positions, **encoder_size(32, 2))
    return save(folder, model, about, 0, "safetensors", 0.3)


def tiny_clip_text(folder: Path) -> Path:
    """Write CLIP's text tower: it refuses a row with more tokens than it has positions."""
    from transformers import CLIPTextConfig, CLIPTextModel

    return tiny_encoder(folder, CLIPTextModel, CLIPTextConfig, 77, model_max_length=77)


def tiny_phi3(folder: Path) -> Path:
    """Write a Phi-3 whose rotary positions get other frequencies above 16 tokens (longrope)."""
    from transformers import Phi3Config, Phi3Model

    size = byte_tokenizer(folder)
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4,
            "long_factor": [4.0] * 4, "original_max_position_embeddings": 16}  # fmt: skip
    config = Phi3Config(
        vocab_size=size,
        pad_token_id=0,
        max_position_embeddings=2048,
        original_max_position_embeddings=16,
        rope_parameters=rope,
        **decoder_size(2),
    )
    return save(folder, Phi3Model, config, 0, "safetensors", 0.3)


def tiny_embedding_gemma(folder: Path) -> Path:
    """Write an EmbeddingGemma 2: its last layer has other dims than those before it."""
    from transformers import EmbeddingGemma2TextConfig, EmbeddingGemma2TextModel

    config = EmbeddingGemma2TextConfig(
        vocab_size=byte_tokenizer(folder),
        embedding_dim=20,
        hidden_size_per_layer_input=8,
        sliding_window=16,
        max_position_embeddings=2048,
        layer_types=["sliding_attention", "full_attention"],
        per_layer_config={},
        **decoder_size(2),
    )
    return save(folder, EmbeddingGemma2TextModel, config, 0, "safetensors", 0.3)


def tiny_layoutlm(folder: Path) -> Path:
    """Write a LayoutLM: it always calls its pooler."""
    from transformers import LayoutLMConfig, LayoutLMModel

    return tiny_encoder(folder, LayoutLMModel, LayoutLMConfig, 512)


def tiny_ibert(folder: Path) -> Path:
    """Write an I-BERT: its positions count from the padding's index, in a table of its own kind."""
    from transformers import IBertConfig, IBertModel

    return tiny_encoder(folder, IBertModel, IBertConfig, 90)


def tiny_mra(folder: Path) -> Path:
    """Write an MRA: two rows of positions more than texts may use."""
    from transformers import MraConfig, MraModel

    return tiny_encoder(folder, MraModel, MraConfig, 96)


def tiny_deepseek(folder: Path) -> Path:
    """Write a DeepSeek-V3.2: in texts above 8 tokens, each attends to the 8 best alone."""
    from transformers import DeepseekV32Config, DeepseekV32Model

    heads = {"qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8, "kv_lora_rank": 16}
    index = {"index_n_heads": 1, "index_head_dim": 16, "index_topk": 8, "q_lora_rank": 16}
    experts = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
    config = DeepseekV32Config(
        vocab_size=byte_tokenizer(folder),
        max_position_embeddings=2048,
        n_group=1,
        topk_group=1,
        **encoder_size(32, 2),
        **heads,
        **index,
        **experts,
        num_key_value_heads=4,
        head_dim=8,
    )
    return save(folder, DeepseekV32Model, config, 0, "safetensors", 0.3)


def tiny_fuyu(folder: Path) -> Path:
    """Write a Fuyu as the hub has it: the head is named as a part of the language model."""
    from transformers import FuyuConfig, FuyuForCausalLM

    size = byte_tokenizer(folder)
    outer = encoder_size(32, 2) | {"vocab_size": size, "max_position_embeddings": 2048}
    config = FuyuConfig(
        text_config={"vocab_size": size} | decoder_size(2), patch_size=2, pad_token_id=0, **outer
    )
    save(folder, FuyuForCausalLM, config, 0, "safetensors", 0.3)

    def as_on_the_hub(name: str, value: torch.Tensor) -> tuple[str, torch.Tensor]:
        name = name.replace("model.language_model", "language_model.model")
        return name.replace("lm_head", "language_model.lm_head").replace("model.vis", "vis"), value

    return change_weights(folder, as_on_the_hub)


KINDS = [
    tiny_gemma_with_images, tiny_xlnet, tiny_clip_text, tiny_phi3, tiny_embedding_gemma,
    tiny_layoutlm, tiny_ibert, tiny_mra, tiny_fuyu,
]  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def folders(request, tmp_path_factory) -> tuple[Path, Path]:
    """A model's folder, and the same converted."""
    folder = request.param(tmp_path_factory.mktemp("kind") / request.param.__name__)
    return folder, convert(folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layers", ["last", "average"])
def test_vectors_are_those_of_one_text_at_a_time(folders, layers):
    from transformers import AutoModel, AutoTokenizer

    folder, out = folders
    if layers == "average" and folder.name == "tiny_embedding_gemma":
        with pytest.raises(InputError, match="last layer has 20 dims, and the others 32"):
            vectors_of(out, layers=layers)
        return
    limit = read_model_folder(out)["max_tokens"]
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    model = AutoModel.from_pretrained(str(folder)).eval()
    exact = []
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=limit)
        with torch.no_grad():
            found = model(**ids, output_hidden_states=True)
        states = [found.last_hidden_state]  # CLIP's is normed, the last of its hidden states is not
        if layers == "average":
            states += found.hidden_states[:-1]
        exact.append(torch.stack(states).mean(0)[0].mean(0).numpy())
    assert_close(vectors_of(out, layers=layers), np.array(exact))


@pytest.mark.filterwarnings("ignore")
def test_a_model_of_texts_and_images_without_a_table_of_tokens_is_refused(tmp_path):
    from transformers import CLIPConfig, CLIPModel

    size = byte_tokenizer(tmp_path / "clip")
    vision = encoder_size(32, 1) | {"image_size": 28, "patch_size": 14}
    config = CLIPConfig(
        text_config={"vocab_size": size} | encoder_size(32, 1), vision_config=vision
    )
    folder = save(tmp_path / "clip", CLIPModel, config, 0, "safetensors", 0.3)
    with pytest.raises(InputError, match="CLIPModel has no table of token embeddings"):
        convert(folder)


@pytest.mark.filterwarnings("ignore")
def test_a_text_that_is_too_short_for_a_model_is_refused_by_its_length(tmp_path):
    """Funnel halves a text at each block, and transformers' code fails for 3 tokens."""
    from transformers import FunnelConfig, FunnelModel

    size = byte_tokenizer(tmp_path / "funnel")
    config = FunnelConfig(
        vocab_size=size, d_model=32, n_head=4, d_head=8, d_inner=64, block_sizes=[1, 1, 1]
    )
    out = convert(save(tmp_path / "funnel", FunnelModel, config, 0, "safetensors", 0.3))
    assert np.isfinite(vectors_of(out, TEXTS[1:])).all()
    with pytest.raises(InputError, match="does not work for a text of 3 tokens"):
        vectors_of(out, ["TP"])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("max_tokens", "kind"), [(9, UniformBatches), (8, PaddedBatches)])
def test_texts_whose_tokens_select_others_are_not_padded(tmp_path, max_tokens, kind):
    """Which of equal scores are selected depends on the length of a row, padding included."""
    folder = tiny_deepseek(tmp_path / "deepseek")
    encoder = TransformerEncoder(folder, EncoderSettings(max_tokens=max_tokens))
    assert isinstance(encoder.run, kind)


def test_a_model_that_hashes_at_random_is_refused(tmp_path):
    """Reformer's buckets are drawn anew at each run, unless all its layers are local."""
    write(tmp_path / "config.json", {"model_type": "reformer"})
    with pytest.raises(InputError, match="hashes tokens at random"):
        read_config(tmp_path)
    write(tmp_path / "config.json", {"model_type": "reformer", "attn_layers": ["local"]})
    assert read_config(tmp_path)
