"""What the host does for an ELMo on a GPU, without the GPU: words split, numbered and planned.

    python -m benchmarks.bench_elmo_host [--texts 130000]

Blocks have the sizes of a GPU's. `ours` are words per CPU second of all threads together, until the
plan of the last block is there; `theirs` are words per CPU second of splitting alone, one text at
a time by the same rules, for the same texts in the same run. The words of both are compared. No
model runs: on a GPU, starting the steps comes on top, in the main thread.
"""

import argparse
import json
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from benchmarks.bench_gpu import entity_texts
from benchmarks.bench_lengths import sample_column
from kgtextvec.encoders.elmo.engine import (
    BLOCK_WORDS,
    LONG_TEXT,
    PREPARED_AHEAD,
    RESULT_BYTES,
    WIDTHS,
    ElmoEncoder,
)
from kgtextvec.encoders.elmo.known_words import BYTES_OF_FLOAT, KnownWords
from kgtextvec.encoders.elmo.model import ElmoConfig, ElmoModel
from kgtextvec.encoders.elmo.preparation import Preparation
from kgtextvec.encoders.elmo.words import split_words

DIMS = 1024  # BioELMo's
TOKENS = "treebank_hyphen"
TARGET = 1_000_000


def names_of_two(n_texts: int) -> list[str]:
    """Return distinct names of two words of the sample."""
    random = np.random.default_rng(1)
    words = np.array(" ".join(sample_column("description")).split())
    pairs = words[random.integers(len(words), size=(n_texts, 2))]
    return list(dict.fromkeys(" ".join(pair) for pair in pairs.tolist()))


def bench(n_texts: int = 130_000) -> list[dict[str, Any]]:
    """Measure descriptions and names; the rows."""
    return [
        measured("descriptions and names", entity_texts(n_texts)),
        measured("names of two words", names_of_two(2 * n_texts)),
    ]


def measured(kind: str, texts: list[str]) -> dict[str, Any]:
    """Return the row of some texts."""
    began = time.process_time()
    every = [split_words(text, TOKENS) for text in texts]
    plain = time.process_time() - began
    # Numbers of words only: the network is never run.
    small = ElmoConfig(filters=[[1, 4]], char_dim=3, projection_size=4, cell_size=4)
    table = KnownWords(ElmoModel(small), torch.device("cpu"))
    table.kept = 1 << 16
    gpu: Any = SimpleNamespace(
        block_words=BLOCK_WORDS["cuda"],
        block_texts=RESULT_BYTES // (DIMS * BYTES_OF_FLOAT),
        long_text=LONG_TEXT["cuda"],
    )
    began, in_main, wall = time.process_time(), time.thread_time(), time.perf_counter()
    sizes = np.array([text.count(" ") * 5 // 4 + 1 for text in texts], dtype=np.int64)
    stack = ElmoEncoder.blocks(gpu, texts, sizes)[::-1]
    found = []
    with Preparation(texts, TOKENS, table, WIDTHS["cuda"], PREPARED_AHEAD["cuda"]) as coming:
        while stack:
            coming.expect(stack)
            found.append(coming.take(stack.pop()))
    host, main = time.process_time() - began, time.thread_time() - in_main
    taken = time.perf_counter() - wall
    for block in found:
        words = np.array(block.split.distinct, dtype=object)[block.split.numbers].tolist()
        assert words == [word for row in block.rows.tolist() for word in every[row]]
    n_words = sum(map(len, every))
    return {
        "name": f"elmo's host work alone, no GPU: {len(texts):,} {kind}, {n_words:,} words",
        "ours": round(n_words / host),
        "theirs": round(n_words / plain),
        "ratio": round(plain / host, 3),
        "target": TARGET,
        "main_thread_seconds_per_million": round(main / n_words * 1e6, 3),
        "wall_words_per_second": round(n_words / taken),
        "threads": PREPARED_AHEAD["cuda"] + 1,
    }


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=130_000, dest="n_texts")
    for row in bench(**vars(parser.parse_args())):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
