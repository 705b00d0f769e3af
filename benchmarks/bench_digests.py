"""What digests cost in each step: CPU seconds of hashing, and wall seconds with and without it.

`python -m benchmarks.bench_digests --rows 1000000 --dims 1024 FOLDER` makes texts and vectors in
FOLDER (up to 25 GB at a time, removed step by step) and prints a table. `embed-shard` runs on
--texts texts and a model of one layer, since any larger one makes the share of digests smaller.
See benchmarks/timed_hashes.py for what is counted.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kgtextvec.checksums import xxh3_of
from kgtextvec.files import sha256_of
from kgtextvec.matrices import MatrixWriter
from kgtextvec.records import read_unedited, write_record

SHARD = "000-of-001"
MODES = ("left out", "timed")


def write_table(path: Path, rows: int) -> Path:
    """Write a table of entities, each with a text of its own of nine words."""
    with path.open("w", encoding="utf-8") as file:
        file.write("id\tlabel\tname\tdescription\n")
        for i in range(rows):
            file.write(f"X:{i}\tGene\tgene {i}\tthe protein number {i} of a random cell line\n")
    return path


def write_vectors(path: Path, rows: int, dims: int) -> None:
    """Write a shard's vectors, random around a mean."""
    random = np.random.default_rng(0)
    mean = random.standard_normal(dims, np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        writer = MatrixWriter(file, rows, dims)
        for start in range(0, rows, 20_000):
            block = random.standard_normal((min(20_000, rows - start), dims), np.float32)
            writer.add(block + mean)


def write_shard(out: Path, texts: Path, dims: int) -> Path:
    """Write the three files that embed-shard leaves, for the texts of a table."""
    shard = read_unedited(texts / "manifest.json")["shards"][SHARD]
    n = shard["texts"]
    write_vectors(out, n, dims)
    counts = np.full(n, 9, np.int32)
    columns = {"n_tokens": counts, "truncated": np.zeros(n, bool), "n_unknown": counts * 0}
    pq.write_table(pa.table(columns), out.with_suffix(".parquet"))
    about = {
        "model": {"name": "random"}, "texts": n, "dims": dims, "precision": "float32",
        "pooling": "mean", "max_tokens": 512, "long_text": "truncate", "mode": "correct",
        "device": "cpu", "texts_embedded": n, "texts_from_store": 0, "tokens_embedded": 9 * n,
        "seconds": 0.0, "fingerprint": "0" * 32, "text_keys_digest": shard["digest"],
        "vectors_xxh3": xxh3_of(out), "tokens_sha256": sha256_of(out.with_suffix(".parquet")),
        "recipe": 1,
    }  # fmt: skip
    write_record(out.with_suffix(".json"), about)
    return out


def make_model(folder: Path, dims: int) -> Path:
    """Convert a random BERT of one layer, as wide as the vectors."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    raw = folder / "raw"
    raw.mkdir(parents=True)
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789"]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{x}" for x in letters)]
    words += ["the", "protein", "number", "of", "random", "cell", "line"]
    (raw / "vocab.txt").write_text("\n".join(words) + "\n")
    size = {"hidden_size": dims, "num_hidden_layers": 1, "num_attention_heads": 16}
    config = BertConfig(vocab_size=len(words), intermediate_size=4 * dims, **size)
    BertModel(config).save_pretrained(raw)
    BertTokenizerFast(str(raw / "vocab.txt")).save_pretrained(raw)
    entry = json.dumps({"source": f"path:{raw}"})
    run("timed", "convert-model", raw, "--model", "one", "--entry", entry, "--out", folder / "one")
    return folder / "one"


def run(mode: str, *words: object) -> dict[str, float]:
    """Run a verb in a process of its own; return its wall, CPU and digests' seconds."""
    command = [sys.executable, "-m", "benchmarks.timed_hashes", mode, *map(str, words)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(name: str, *words: object, out: Path, runs: int, keep: bool = False) -> None:
    """Print a step's row: the smallest of some runs, in turns; what it wrote is removed.

    Without runs, one with the digests timed: on a busy machine wall seconds say nothing.
    """
    best: dict[str, dict[str, float]] = {}
    for _ in range(max(runs, 1)):
        for mode in MODES if runs else ["timed"]:
            remove(out)
            found = run(mode, *words)
            before = best.get(mode, found)
            best[mode] = {key: min(found[key], before[key]) for key in found}
    if not keep:
        remove(out)
    timed = best["timed"]
    wall = [f"{best[mode]['wall']:.1f}" if runs else "-" for mode in MODES]
    share = 100 * timed["digests"] / timed["cpu"]
    print(f"| {name} | {' | '.join(wall)} | {timed['cpu']:.1f} | {timed['digests']:.2f}"
          f" | {share:.1f} | {timed['in_main_thread']:.2f} |", flush=True)  # fmt: skip


def remove(out: Path) -> None:
    """Remove a file or folder, if it is there."""
    if out.is_dir():
        shutil.rmtree(out)
    else:
        out.unlink(missing_ok=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--texts", type=int, default=10_000, help="texts of embed-shard")
    parser.add_argument("--dims", type=int, default=1024)
    parser.add_argument("--components", type=int, default=400)
    parser.add_argument("--runs", type=int, default=2, help="0: CPU seconds alone")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    home, runs, threads = given.folder, given.runs, ("--threads", given.threads)
    home.mkdir(parents=True)
    print("| step | wall s without digests | with | CPU s | of these digests | % | main thread |")
    print("|---|---|---|---|---|---|---|")
    table, texts = write_table(home / "table.tsv", given.rows), home / "texts"
    words = ("--table", "t", "--kind", "entities", "--out-dir")
    measure("read-texts", "read-texts", table, *words, texts, out=texts, runs=runs, keep=True)
    fewer, few = write_table(home / "fewer.tsv", given.texts), home / "few"
    run("timed", "read-texts", fewer, *words, few)
    shard = few / f"shards/{SHARD}.parquet"
    model = make_model(home / "model", given.dims)
    measure(
        f"embed-shard, {given.texts:,} texts, one layer", "embed-shard", shard, "--model", model,
        "--store", home / "out/store", "--out", home / "out/shard.npy", *threads,
        out=home / "out", runs=runs,
    )  # fmt: skip
    vectors, full = write_shard(home / f"shards/{SHARD}.npy", texts, given.dims), home / "full"
    measure("gather-shards", "gather-shards", vectors, "--texts", texts, "--out-dir", full,
            out=full, runs=runs, keep=True)  # fmt: skip
    remove(vectors)
    space, basis, out = f"pca{given.components}", home / "basis.npz", home / "out"
    matrix = full / "embeddings.npy"
    measure("fit-pca", "fit-pca", matrix, "--space", space, "--out", basis, *threads,
            out=basis, runs=runs, keep=True)  # fmt: skip
    measure(f"apply-pca, {space}", "apply-pca", full, "--pca", basis, "--space", space,
            "--out-dir", out, *threads, out=out, runs=runs)  # fmt: skip
    for form in ("dglke", "pykeen"):  # the space's order, and sorted ids
        measure(f"export-bundle {form}", "export-bundle", full, "--form", form, "--out-dir", out,
                out=out, runs=runs)  # fmt: skip
    measure("evaluate-space, geometry", "evaluate-space", full, "--texts", texts / "shards",
            "--scores", '["geometry"]', "--out", out, *threads, out=out, runs=runs)  # fmt: skip
    measure("export-table npy (compares, then links)", "export-table", full, "--format", "npy",
            "--out", out, out=out, runs=runs)  # fmt: skip
    for form in ("parquet", "tsv"):
        measure(f"export-table {form}", "export-table", full, "--format", form, "--out", out,
                *threads, out=out, runs=runs)  # fmt: skip
    print(json.dumps({"rows": given.rows, "dims": given.dims, "threads": given.threads}))


if __name__ == "__main__":
    main()
