"""Start of an embed-shard job: until the first batch is there, against `import torch` alone.

    python -m benchmarks.bench_start [--rounds 5]

The model is a BERT of two layers of 32 dims, so that nothing but the start is measured. Both sides
are processes of their own, in turn, from their very start; CPU seconds, wall seconds beside them.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.child import SOURCE
from kgtextvec.models.convert import convert_model

TEXTS = ["protein kinase", "brain disease"]
TELL = "import time; print(time.process_time(), time.time())"
FIRST_BATCH = """
import sys, time
from kgtextvec.embed import shard
real = shard.store_as_finished
def told(encoded, *rest):
    def first():
        for one in encoded:
            print(time.process_time(), time.time())
            yield one
    return real(first(), *rest)
shard.store_as_finished = told
from kgtextvec.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def make_model(folder: Path) -> Path:
    """Write and convert a tiny BERT with random weights; return its folder."""
    from transformers import BertConfig, BertModel

    raw = folder / "raw"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "protein", "kinase", "brain", "disease"]
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(words), intermediate_size=64, **size)
    BertModel(config).save_pretrained(raw)
    (raw / "vocab.txt").write_text("\n".join(words) + "\n")
    convert_model(raw, out=folder / "model", model="tiny")
    return folder / "model"


def make_shard(path: Path) -> None:
    """Write a shard of a few texts."""
    texts = {hashlib.sha256(text.encode()).hexdigest(): text for text in TEXTS}
    columns = {"text_sha256": sorted(texts), "text": [texts[one] for one in sorted(texts)]}
    pq.write_table(pa.table(columns), path)


def until_told(code: str, *words: object) -> tuple[float, float]:
    """Run code in a process; return CPU and wall seconds until it first told the time."""
    began = time.time()
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    cpu, at = map(float, done.stdout.split()[:2])
    return cpu, at - began


def bench(rounds: int = 5) -> list[dict[str, Any]]:
    """Run it; raises AssertionError when the job's vectors aren't there, whole and finite."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, shard = make_model(folder), folder / "shard.parquet"
        make_shard(shard)
        runs = []
        for number in range(rounds + 1):  # the first one fills the page cache
            out = folder / f"{number}.npy"
            words = ["--model", model, "--store", folder / f"store-{number}", "--out", out]
            job = until_told(FIRST_BATCH, "embed-shard", shard, *words, "--threads", 1)
            runs.append((job, until_told(f"import torch; {TELL}")))
            vectors = np.load(out)
            assert vectors.shape == (len(TEXTS), 32) and np.isfinite(vectors).all()
            assert np.abs(vectors).sum(axis=1).all()
    cpu, wall = ([(job[kind], torch[kind]) for job, torch in runs[1:]] for kind in range(2))
    return [
        {
            "name": f"start of a job until its first batch, {kind} seconds, against import torch",
            "ours": median(job for job, _ in pairs),
            "theirs": median(torch for _, torch in pairs),
            "ratio": median(job / torch for job, torch in pairs),
            "more": median(job - torch for job, torch in pairs),
            "target": "more <= 1.5",
        }
        for kind, pairs in (("CPU", cpu), ("wall", wall))
    ]


def main() -> None:
    """Print the results as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    for result in bench(**vars(parser.parse_args())):
        print(json.dumps(result))


if __name__ == "__main__":
    main()
