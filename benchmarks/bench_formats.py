"""read-texts on one table in each format, against the strict reader of TSV; and on facts.

    python -m benchmarks.bench_formats [--rows 1000000] [--more 2000000] [--facts 8000000]

The tables are those of bench_texts. Costs are CPU seconds and the peak memory of a process of its
own, start and imports included. `more` rows are read once in each format, plain and packed in
one way, for the peak (a sheet of .xlsx holds 1,048,575 of them). Facts are edges between `named`
entities, whose names come from a table that was read before.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.bench_texts import check, write_table
from benchmarks.child import Cost, run_verb
from benchmarks.format_files import PACKINGS, SHEET_LIMIT, WRITERS, pack

BATCH = 50_000
RELATIONS = 20


def read(path: Path, out: Path, *words: object, kind: str = "entities") -> Cost:
    """Read a table as the workflow does."""
    return run_verb(
        "read-texts", path, "--kind", kind, "--table", "t", "--shards", 8, "--out-dir", out, *words
    )


def written(folder: Path, rows: int) -> dict[str, Path]:
    """Write a table in each format; return the files."""
    paths = {"tsv": folder / "t.tsv"}
    write_table(paths["tsv"], rows)
    for name, write in WRITERS.items():
        paths[name] = folder / f"t.{name}"
        write(paths["tsv"], paths[name])
    return paths


def rows_in(form: str, rows: int) -> int:
    """Return how many of a table's rows a file in a format holds."""
    return min(rows, SHEET_LIMIT - 1) if form == "xlsx" else rows


def in_turns(folder: Path, rows: int, rounds: int) -> dict[str, list[Cost]]:
    """Return what each format costs, in turn; stops unless all rows and texts are there."""
    paths = written(folder, rows)
    costs: dict[str, list[Cost]] = {name: [] for name in paths}
    for _ in range(rounds):
        for name, path in paths.items():
            costs[name].append(read(path, folder / "out"))
            check(folder / "out", rows_in(name, rows))
    for path in paths.values():
        path.unlink()
    return costs


def packed_in_turns(folder: Path, rows: int) -> Iterator[tuple[str, int, Cost]]:
    """Yield (format and packing, rows, cost) of each format, plain and in one of the packings."""
    packings = cycle(PACKINGS)
    for name, path in written(folder, rows).items():
        for packing in ("", next(packings)):
            file = pack(path, packing) if packing else path
            cost = read(file, folder / "out")
            check(folder / "out", rows_in(name, rows))
            yield name + packing, rows_in(name, rows), cost
            if packing:
                file.unlink()


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
        costs = in_turns(Path(name), rows, rounds)
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
        for form, held, cost in packed_in_turns(Path(name), more):
            yield {
                "name": f"read-texts {held} rows as {form}: peak memory, MB",
                "ours": cost.peak,
                "target": "below 2000",
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
