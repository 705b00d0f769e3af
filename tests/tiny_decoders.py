"""Tiny random models beyond BERT's kind: decoders, T5's encoder, BigBird, in hub layouts.

Each builder writes a folder and returns it, as those of tiny_models.py, whose corpus, words and
ways of saving these use.
"""

from pathlib import Path
from typing import Any

from tiny_models import CORPUS, encoder_size, save, wordpieces, write, write_lines

END = "<|endoftext|>"


def byte_tokenizer(folder: Path, end: bool = True, **settings: Any) -> int:
    """Write a byte-level BPE that appends END to a text (unless not `end`); return its size."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[END, "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    if end:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {END}", pair=f"$A $B {END}", special_tokens=[(END, 0)]
        )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": END, "eos_token": END}
    about |= {"padding_side": "left", "model_max_length": 2048}
    write(folder / "tokenizer_config.json", about | settings)
    return int(tokenizer.get_vocab_size())


def decoder_size(layers: int) -> dict[str, int]:
    """Four heads in two groups: grouped-query attention."""
    return encoder_size(32, layers) | {"num_key_value_heads": 2, "head_dim": 8}


def tiny_qwen3(folder: Path, seed: int = 0, layers: int = 3, end: bool = True) -> Path:
    """Write a Qwen3: causal, grouped heads, left padding, an appended end token."""
    from transformers import Qwen3Config, Qwen3Model

    size = byte_tokenizer(folder, end)
    config = Qwen3Config(vocab_size=size, max_position_embeddings=2048, **decoder_size(layers))
    return save(folder, Qwen3Model, config, seed, "safetensors", 0.3)


def tiny_mistral(folder: Path, seed: int = 0) -> Path:
    """Write a Mistral: causal, with an attention window of 12 tokens."""
    from transformers import MistralConfig, MistralModel

    size = byte_tokenizer(folder)
    more = {"max_position_embeddings": 2048, "sliding_window": 12}
    config = MistralConfig(vocab_size=size, **decoder_size(2), **more)
    return save(folder, MistralModel, config, seed, "safetensors", 0.3)


def tiny_gemma(folder: Path, seed: int = 0) -> Path:
    """Write a Gemma 3 of both directions, as EmbeddingGemma is; windows in two of three layers."""
    from transformers import Gemma3TextConfig, Gemma3TextModel

    size = byte_tokenizer(folder)
    config = Gemma3TextConfig(
        vocab_size=size,
        max_position_embeddings=2048,
        sliding_window=16,
        sliding_window_pattern=3,
        use_bidirectional_attention=True,
        query_pre_attn_scalar=8,
        **decoder_size(3),
    )
    return save(folder, Gemma3TextModel, config, seed, "safetensors", 0.3)


def tiny_gpt2(folder: Path, seed: int = 0) -> Path:
    """Write a GPT-2: causal, learned positions, no special tokens around a text."""
    from transformers import GPT2Config, GPT2Model

    size = byte_tokenizer(folder, end=False)
    config = GPT2Config(vocab_size=size, n_positions=256, n_embd=32, n_layer=2, n_head=4)
    return save(folder, GPT2Model, config, seed, "safetensors", 0.3)


def tiny_t5(folder: Path, seed: int = 0) -> Path:
    """Write the encoder of a T5: relative positions, an appended end token."""
    from transformers import T5Config, T5EncoderModel

    size = byte_tokenizer(folder, model_max_length=512)
    config = T5Config(vocab_size=size, d_model=32, d_kv=8, num_heads=4, d_ff=64, num_layers=2)
    return save(folder, T5EncoderModel, config, seed, "safetensors", 0.3)


def tiny_bigbird(folder: Path, seed: int = 0) -> Path:
    """Write a BigBird: full attention up to 56 tokens, block-sparse attention above."""
    from transformers import BigBirdConfig, BigBirdModel

    vocabulary = wordpieces(False)
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder / "vocab.txt", vocabulary)
    about = {"do_lower_case": True, "tokenizer_class": "BertTokenizer", "model_max_length": 512}
    write(folder / "tokenizer_config.json", about)
    config = BigBirdConfig(
        vocab_size=len(vocabulary),
        max_position_embeddings=512,
        attention_type="block_sparse",
        block_size=8,
        num_random_blocks=1,
        pad_token_id=0,
        **encoder_size(32, 2),
    )
    return save(folder, BigBirdModel, config, seed, "safetensors", 0.3)


def tiny_bart(folder: Path, seed: int = 0) -> Path:
    """Write a BART whose numbers exceed float16 inside a layer that clamps infinities."""
    import torch
    from tiny_models import change_weights
    from transformers import BartConfig, BartModel

    size = byte_tokenizer(folder, pad_token="<|im_end|>")  # noqa: S106 (no secret)
    layers = {"encoder_layers": 2, "decoder_layers": 1, "max_position_embeddings": 256}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
    wide = {"d_model": 32, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 0}
    config = BartConfig(vocab_size=size, **layers, **heads, **wide, **ids)
    save(folder, BartModel, config, seed, "safetensors", 0.3)
    large = "encoder.layers.0.final_layer_norm.weight"
    return change_weights(
        folder,
        lambda name, value: (name, torch.full_like(value, 60_000.0) if name == large else value),
    )


DECODERS = {
    "qwen3": tiny_qwen3,
    "mistral": tiny_mistral,
    "gemma": tiny_gemma,
    "gpt2": tiny_gpt2,
    "t5": tiny_t5,
    "bigbird": tiny_bigbird,
}
