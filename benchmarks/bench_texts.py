"""read-texts against reading the file: once as bytes, and once by the csv module.

    python -m benchmarks.bench_texts [--rows 1000000] [--fewer 100000]

The table has the sample's columns and texts, each made distinct by a number; nine rows of ten
have a text of their own. Times are CPU seconds of a process of its own, start and imports
included on our side; a second table with fewer rows shows how memory grows.
"""

import argparse
import csv
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet as pq

from benchmarks.child import run_verb

SAMPLE = Path(__file__).resolve().parents[1] / "resources/sample/entities.tsv"


def write_table(path: Path, rows: int) -> None:
    """Write a table of that many rows in the sample's form; every tenth text is there twice."""
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        header, *sample = list(csv.reader(file, delimiter="\t"))
    text = header.index("description")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(header)
        for number in range(rows):
            first = number - (number % 10 == 9)  # the row whose text this one has
            row = list(sample[first % len(sample)])
            row[0] = f"{row[0].partition(':')[0]}:{number}"
            row[text] = f"{row[text] or row[1]} ({first})"
            writer.writerow(row)


def bytes_pass(path: Path) -> None:
    """Read the file once, a megabyte at a time."""
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def csv_pass(path: Path) -> None:
    """Read the file once with the csv module, every field a string."""
    with path.open(encoding="utf-8", newline="") as file:
        for _ in csv.reader(file, delimiter="\t"):
            pass


def seconds(work: Callable[[Path], None], path: Path) -> float:
    """Return the CPU seconds that `work` takes."""
    began = time.process_time()
    work(path)
    return time.process_time() - began


def bench(rows: int = 100_000, fewer: int = 10_000, rounds: int = 3) -> list[dict[str, Any]]:
    """Run it; raises AssertionError unless every row and every distinct text is there."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, small, out = folder / "t.tsv", folder / "small.tsv", folder / "out"
        write_table(path, rows)
        write_table(small, fewer)
        runs = []
        for _ in range(rounds):
            words = ["--kind", "entities", "--table", "t", "--shards", 8, "--out-dir", out]
            cost = run_verb("read-texts", path, *words)
            runs.append((cost, seconds(bytes_pass, path), seconds(csv_pass, path)))
        check(out, rows)
        little = run_verb("read-texts", small, *words)
        size = path.stat().st_size
    ours = median(cost.cpu for cost, _, _ in runs)
    peak = max(cost.peak for cost, _, _ in runs)
    told = {
        "rows_per_second": rows / ours,
        "megabytes_per_second": size / ours / 1e6,
        "wall": median(cost.wall for cost, _, _ in runs),
    }
    of = f"read-texts {rows} rows, {size / 1e6:.0f} MB"
    return [
        {
            "name": f"{of}: CPU seconds, against one pass of the csv module",
            "ours": ours,
            "theirs": median(by_csv for _, _, by_csv in runs),
            "ratio": median(cost.cpu / by_csv for cost, _, by_csv in runs),
            "target": "stated",
            **told,
        },
        {
            "name": f"{of}: CPU seconds, against one pass over its bytes",
            "ours": ours,
            "theirs": median(raw for _, raw, _ in runs),
            "ratio": median(cost.cpu / raw for cost, raw, _ in runs),
            "target": "stated",
        },
        {
            "name": f"{of}: peak memory, MB, against that of {fewer} rows",
            "ours": peak,
            "theirs": little.peak,
            "ratio": peak / little.peak,
            "target": "stated: below 200 bytes a row beside a constant",
            "bytes_per_row": (peak - little.peak) * 2**20 / (rows - fewer),
        },
    ]


def check(out: Path, rows: int) -> None:
    """Stop unless rows.parquet has all rows, and the shards all distinct texts in order."""
    found = pq.read_table(out / "rows.parquet", columns=["id", "text_index", "text_sha256"])
    shards = sorted((out / "shards").iterdir())
    shas = [one.as_py() for path in shards for one in pq.read_table(path)["text_sha256"]]
    distinct = rows - rows // 10
    assert found.num_rows == rows and len(shas) == distinct and shas == sorted(set(shas))
    index = found["text_index"].to_pylist()
    assert found["text_sha256"].to_pylist() == [shas[place] for place in index]


def main() -> None:
    """Print the results as JSON lines."""
    csv.field_size_limit(sys.maxsize)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--fewer", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    for result in bench(**vars(parser.parse_args())):
        print(json.dumps(result))


if __name__ == "__main__":
    main()
