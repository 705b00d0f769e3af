"""The embedding engine on a GPU against sentence-transformers and the GPU's own matrix product.

    python -m benchmarks.bench_gpu [--texts 200000] [--device cuda]

RoBERTa-large's shape with random weights, in half precision, on texts whose lengths are those of
entities: a median of 15 tokens, a mean of 21, a few up to 512. Times are wall seconds between two
waits for the device. The peak is a matrix product of 8192 × 8192 × 8192 on random numbers in the
same precision, before and after. `end to end` is the verb embed-shard in a process of its own: a
Parquet file of texts in, .npy out, its start and the model's load included.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.bench_embed import SHAPES, cosine, flops, loop
from benchmarks.bench_lengths import sample_column
from benchmarks.child import run_verb
from kgtextvec.device import choose_precision
from kgtextvec.encoders import EncoderSettings
from kgtextvec.encoders.transformer.encoder import TransformerEncoder
from kgtextvec.encoders.transformer.loading import TORCH_DTYPES

LONGEST = 512
PEER_BATCHES = (32, 128, 512, 1024)  # 32 is sentence-transformers' default
CHECKED = 64
# 1 - cosine to the plain loop, in float32 on a CPU.
FAR = {"float32": 1e-6, "float16": 1e-4, "bfloat16": 1e-3}


def entity_texts(n_texts: int) -> list[str]:
    """Return distinct texts of the sample's words; their lengths are log-normal."""
    random = np.random.default_rng(0)
    words = np.array(" ".join(sample_column("description")).split())
    counts = np.clip(random.lognormal(1.65, 1.05, n_texts), 1, 400).astype(int)
    chosen = np.split(words[random.integers(len(words), size=counts.sum())], counts.cumsum()[:-1])
    return [f"{' '.join(own)} {number}" for number, own in enumerate(chosen)]


def make_model(raw: Path, folder: Path, shape: dict[str, int]) -> None:
    """Make a RoBERTa with random weights, its words learnt from the sample, and convert it."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaConfig, RobertaModel, RobertaTokenizerFast

    tokenizer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(sample_column("description"), 8000, special_tokens=special)
    raw.mkdir()
    tokenizer.save_model(str(raw))
    RobertaTokenizerFast.from_pretrained(str(raw)).save_pretrained(str(raw))
    torch.manual_seed(0)
    places = LONGEST + 2
    config = RobertaConfig(
        vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=places, **shape
    )
    RobertaModel(config).save_pretrained(str(raw))
    run_verb("convert-model", raw, "--out", folder)


def seconds(device: torch.device, work: Callable[[], Any]) -> tuple[float, Any]:
    """Return wall seconds until the device is done, and the result."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    began = time.perf_counter()
    found = work()
    wait()
    return time.perf_counter() - began, found


def peak(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """Return FLOP/s of a square matrix product on random numbers."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    taken = [seconds(device, lambda: a @ b)[0] for _ in range(12)]
    return 2 * size**3 / median(taken[2:])


def encoded(encoder: TransformerEncoder, texts: list[str]) -> np.ndarray:
    """Return the vectors (n, dims)."""
    vectors = np.full((len(texts), encoder.dims), np.nan, np.float32)
    for part in encoder.encode(texts):
        vectors[part.rows] = part.vectors
    return vectors


def forward(encoder: TransformerEncoder, texts: list[str]) -> tuple[float, float]:
    """Return seconds of the model alone, its texts tokenized and planned, and their FLOPs."""
    chunks = list(encoder.chunks(texts, None))

    def run() -> None:
        for chunk in chunks:
            for batch in reversed(chunk.plan):
                encoder.run(chunk.pieces, batch)

    taken, _ = seconds(encoder.device, run)
    lengths = np.concatenate([chunk.pieces.lengths for chunk in chunks]).astype(np.float64)
    return taken, flops(encoder.run.model.config, lengths)


def peer(folder: Path, device: torch.device, dtype: torch.dtype) -> Any:
    """Return sentence-transformers with mean pooling, in that precision."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device=str(device), model_kwargs={"dtype": dtype})
    model.max_seq_length = LONGEST
    return model


def end_to_end(folder: Path, texts: list[str], device: torch.device, precision: str) -> float:
    """Return wall seconds of embed-shard, from a Parquet file to .npy, in a process of its own."""
    keys = [sha256(text.encode()).hexdigest() for text in texts]
    table = pa.table({"text_sha256": keys, "text": texts})
    pq.write_table(table, folder / "texts.parquet")
    words: list[object] = ["embed-shard", folder / "texts.parquet", "--model", folder / "model"]
    words += ["--store", folder / "store", "--out", folder / "out.npy"]
    return run_verb(*words, "--device", device, "--precision", precision).wall


def bench(
    n_texts: int = 200_000,
    device: str = "cuda",
    precisions: tuple[str, ...] = ("float16", "bfloat16"),
    shape: dict[str, int] | None = None,
    product: int = 8192,
) -> list[dict[str, Any]]:
    """Run it; where no such device is there, a line says so and there are no rows."""
    at = torch.device(device)
    if at.type == "cuda" and not torch.cuda.is_available():
        print("gpu: not measured, no CUDA device is there")
        return []
    texts = entity_texts(n_texts)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        make_model(Path(scratch) / "raw", folder, shape or SHAPES["roberta-large"])
        some = texts[:: max(n_texts // CHECKED, 1)]
        exact = loop(folder)(some)
        for precision in precisions:
            rows += compare(folder, texts, at, precision, product, (some, exact))
    name = torch.cuda.get_device_name(at) if at.type == "cuda" else device
    return [row | {"device": name, "auto": choose_precision("auto", device, True)} for row in rows]


def compare(
    folder: Path,
    texts: list[str],
    device: torch.device,
    precision: str,
    product: int,
    known: tuple[list[str], np.ndarray],
) -> list[dict[str, Any]]:
    """Return the rows of one precision; raises AssertionError where the vectors are wrong."""
    encoder = TransformerEncoder(
        folder, EncoderSettings(str(device), precision, max_tokens=LONGEST)
    )
    theirs = peer(folder, device, TORCH_DTYPES[precision])
    encoded(encoder, texts[: 4 * PEER_BATCHES[-1]])  # warm up, both sides
    for batch in (PEER_BATCHES[-1], PEER_BATCHES[0]):
        theirs.encode(texts[: 4 * batch], batch_size=batch, show_progress_bar=False)
    off = float(1 - cosine(encoded(encoder, known[0]), known[1]).min())
    assert off <= FAR[precision], f"{precision}: 1 - cosine is {off}"
    before = peak(device, TORCH_DTYPES[precision], product)
    ours, vectors = seconds(device, lambda: encoded(encoder, texts))
    alone, work = forward(encoder, texts)
    limit = (before + peak(device, TORCH_DTYPES[precision], product)) / 2
    taken = {}
    for batch in PEER_BATCHES:
        taken[batch], found = seconds(
            device, lambda n=batch: theirs.encode(texts, batch_size=n, show_progress_bar=False)
        )
        assert 1 - cosine(vectors, found).min() <= 2 * FAR[precision], "the sides do not agree"
    whole = end_to_end(folder.parent, texts, device, precision)
    best = min(taken, key=lambda batch: taken[batch])
    about = f"{precision}, {len(texts)} texts (1 - cosine {off:.1e})"

    def row(name: str, ours: float, other: float, ratio: float, target: float) -> dict[str, Any]:
        kept = {"ours": ours, "theirs": other, "ratio": round(float(ratio), 3), "target": target}
        return {"name": f"{about}: {name}"} | kept

    usual, rate = taken[PEER_BATCHES[0]], work / alone
    return [
        row(
            f"sentence-transformers in batches of {best}",
            ours,
            taken[best],
            taken[best] / ours,
            2.5,
        ),
        row("sentence-transformers as it comes", ours, usual, usual / ours, 10),
        row("FLOP/s, share of the matrix product's", rate, limit, rate / limit, 0.6),
        row("embed-shard end to end, over the forward", whole, alone, whole / alone, 1.25),
    ]


def main() -> None:
    """Print the results as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=200_000, dest="n_texts")
    parser.add_argument("--device", default="cuda")
    for result in bench(**vars(parser.parse_args())):
        print(json.dumps(result))


if __name__ == "__main__":
    main()
