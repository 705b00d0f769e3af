"""What comparing digests costs: steps on a large space, with digests in its manifest and without.

`python -m benchmarks.bench_digests --rows 1000000 --dims 1024 FOLDER` makes the space in FOLDER
(4 GB, and as much again for what the steps write) and prints wall and CPU seconds, the smallest of
some runs taken in turns.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kgtextvec.files import sha256_of
from kgtextvec.matrices import MatrixWriter
from kgtextvec.records import read_unedited, write_record
from kgtextvec.reduce.verbs import fit_pca

RECORDED = ("vectors_digest", "index_sha256", "index_digest")


def make_space(folder: Path, rows: int, dims: int) -> None:
    """Write a space `full` of random vectors."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    with (folder / "embeddings.npy").open("wb") as file:
        writer = MatrixWriter(file, rows, dims)
        for start in range(0, rows, 20_000):
            writer.add(random.standard_normal((min(20_000, rows - start), dims), np.float32))
    ids = [f"X:{i}" for i in range(rows)]
    columns = {"id": ids, "label": ["Gene"] * rows, "name": ids, "resource": [""] * rows}
    columns |= {"node_id": [f"Gene::{one}" for one in ids], "text_sha256": ids}
    pq.write_table(pa.table(columns), folder / "index.parquet", compression="zstd")
    write_record(
        folder / "manifest.json",
        {
            "model": {"name": "random"}, "table": "t", "kind": "entities", "space": "full",
            "rows": rows, "dims": dims, "text": "name", "texts": rows,
            "vectors_digest": writer.hash.hexdigest(),
            "index_digest": "0" * 64, "index_sha256": sha256_of(folder / "index.parquet"),
        },
    )  # fmt: skip


def seconds_of(words: list[str]) -> tuple[float, float]:
    """Run a verb; return its wall and CPU seconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "kgtextvec", *words], check=True, capture_output=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


def main() -> None:
    """Print a table: each step with and without digests to compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dims", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    full = given.folder / "full"
    make_space(full, given.rows, given.dims)
    fit_pca(full / "embeddings.npy", space="pca64", out=given.folder / "pca64.npz", threads=2)
    manifest = read_unedited(full / "manifest.json")
    bare = {key: value for key, value in manifest.items() if key not in RECORDED}
    steps = {
        "apply-pca": ["apply-pca", str(full), "--pca", str(given.folder / "pca64.npz"), "--space",
                      "pca64", "--threads", "2", "--out-dir", str(given.folder / "out")],
        "export-table tsv": ["export-table", str(full), "--format", "tsv", "--threads", "2",
                             "--out", str(given.folder / "out.tsv")],
        "export-table parquet": ["export-table", str(full), "--format", "parquet", "--threads",
                                 "2", "--out", str(given.folder / "out.parquet")],
    }  # fmt: skip
    print("| step | wall s without | with | CPU s without | with |\n|---|---|---|---|---|")
    for name, words in steps.items():
        best: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
        for _ in range(given.runs):
            for recorded in (False, True):
                write_record(full / "manifest.json", manifest if recorded else bare)
                best[recorded].append(seconds_of(words))
        numbers = [min(run[which] for run in best[recorded])
                   for which in (0, 1) for recorded in (False, True)]  # fmt: skip
        print(f"| {name} | {' | '.join(f'{number:.2f}' for number in numbers)} |", flush=True)
    print(json.dumps({"rows": given.rows, "dims": given.dims}))


if __name__ == "__main__":
    main()
