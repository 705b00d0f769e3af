"""read-texts on one table in each format, against the strict reader of TSV; and on facts.

    python -m benchmarks.bench_formats [--rows 1000000] [--more 2000000] [--facts 8000000]

The tables are those of bench_texts. Costs are CPU seconds and the peak memory of a process of its
own, start and imports included. `more` rows are read once in each format, for the peak. Facts are
edges between `named` entities, whose names come from a table that was read before.
"""

import argparse
import csv
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from benchmarks.bench_texts import check, write_table
from benchmarks.child import Cost, run_verb

BATCH = 50_000
RELATIONS = 20


def write_csv(source: Path, path: Path) -> None:
    """Write a table as comma-separated text, with quotes where they are needed."""
    with (
        source.open(newline="", encoding="utf-8") as table,
        path.open("w", newline="", encoding="utf-8") as file,
    ):
        csv.writer(file, lineterminator="\n").writerows(csv.reader(table, delimiter="\t"))


def write_quoted_csv(source: Path, path: Path) -> None:
    """Write a table as comma-separated text, every field in quotes."""
    with arrow_csv.CSVWriter(path, opened(source).schema) as writer:
        for batch in opened(source):
            writer.write_batch(batch)


def write_parquet(source: Path, path: Path) -> None:
    """Write a table as Parquet."""
    with pq.ParquetWriter(path, opened(source).schema) as writer:
        for batch in opened(source):
            writer.write_batch(batch)


def write_json_lines(source: Path, path: Path) -> None:
    """Write a table as JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        for batch in opened(source):
            file.writelines(f"{json.dumps(row)}\n" for row in batch.to_pylist())


def opened(source: Path) -> arrow_csv.CSVStreamingReader:
    """Open a tab-separated table, every column as strings."""
    with source.open(encoding="utf-8") as file:
        names = file.readline().rstrip("\n").split("\t")
    return arrow_csv.open_csv(
        source,
        parse_options=arrow_csv.ParseOptions(delimiter="\t"),
        convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, "string")),
    )


WRITERS: dict[str, Callable[[Path, Path], None]] = {
    "csv": write_csv,
    "quoted.csv": write_quoted_csv,
    "parquet": write_parquet,
    "jsonl": write_json_lines,
}


def read(path: Path, out: Path, *words: object, kind: str = "entities") -> Cost:
    """Read a table as the workflow does."""
    return run_verb(
        "read-texts", path, "--kind", kind, "--table", "t", "--shards", 8, "--out-dir", out, *words
    )


def in_formats(folder: Path, rows: int, rounds: int) -> dict[str, list[Cost]]:
    """Return what each format costs, in turn; stops unless all rows and texts are there."""
    tsv = folder / "t.tsv"
    write_table(tsv, rows)
    paths = {"tsv": tsv}
    for name, write in WRITERS.items():
        paths[name] = folder / f"t.{name}"
        write(tsv, paths[name])
    costs: dict[str, list[Cost]] = {name: [] for name in paths}
    for _ in range(rounds):
        for name, path in paths.items():
            costs[name].append(read(path, folder / "out"))
            check(folder / "out", rows)
    for path in paths.values():
        path.unlink()
    return costs


def facts_of(folder: Path, facts: int, named: int) -> Cost:
    """Return what reading that many facts costs; stops unless all are there."""
    write_table(folder / "named.tsv", named)
    read(folder / "named.tsv", folder / "named", "--text", "name")
    ids = pq.read_table(folder / "named/rows.parquet", columns=["id", "label"])
    nodes = [
        f"{label}::{one}"
        for label, one in zip(ids["label"].to_pylist(), ids["id"].to_pylist(), strict=True)
    ]
    rng = np.random.default_rng(0)
    edges = folder / "edges.tsv"
    with edges.open("w", encoding="utf-8") as file:
        for start in range(0, facts, BATCH):
            size = min(BATCH, facts - start)
            heads, tails = rng.integers(0, named, (2, size)).tolist()
            kinds = rng.integers(0, RELATIONS, size).tolist()
            file.writelines(
                f"{nodes[a]}\trelation {r}\t{nodes[b]}\n"
                for a, r, b in zip(heads, kinds, tails, strict=True)
            )
    cost = read(edges, folder / "facts", "--names", folder / "named", kind="facts")
    assert pq.ParquetFile(folder / "facts/rows.parquet").metadata.num_rows == facts
    return cost


def results(rows: int, more: int, facts: int, named: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of the results as they are made."""
    with tempfile.TemporaryDirectory() as name:
        costs = in_formats(Path(name), rows, rounds)
        strict = median(cost.cpu for cost in costs["tsv"])
        for form in WRITERS:
            cpu = median(cost.cpu for cost in costs[form])
            yield {
                "name": f"read-texts {rows} rows as {form}: CPU seconds, against the strict TSV",
                "ours": cpu,
                "theirs": strict,
                "ratio": strict / cpu,
                "target": 1.0 if form in ("csv", "parquet") else "stated",
            }
        for form, (cost,) in in_formats(Path(name), more, 1).items():
            yield {
                "name": f"read-texts {more} rows as {form}: peak memory, MB",
                "ours": cost.peak,
                "target": "below 2048",
                "cpu": cost.cpu,
            }
        cost = facts_of(Path(name), facts, named)
        yield {
            "name": f"read-texts {facts} facts: rows per CPU second",
            "ours": facts / cost.cpu,
            "target": "above 100000",
            "peak": cost.peak,
            "wall": cost.wall,
        }


def bench(
    rows: int = 100_000,
    more: int = 200_000,
    facts: int = 200_000,
    named: int = 10_000,
    rounds: int = 3,
) -> list[dict[str, Any]]:
    """Run it; raises AssertionError unless every row and every distinct text is there."""
    return list(results(rows, more, facts, named, rounds))


def main() -> None:
    """Run it at the sizes asked for; print each row as it is made."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--more", type=int, default=2_000_000)
    parser.add_argument("--facts", type=int, default=8_000_000)
    parser.add_argument("--named", type=int, default=150_000)
    parser.add_argument("--rounds", type=int, default=1)
    asked = parser.parse_args()
    for row in results(asked.rows, asked.more, asked.facts, asked.named, asked.rounds):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
