"""TSV export against upstream's way: join the str() of each float32, then pandas' to_csv.

    python -m benchmarks.bench_export [--rows 20000] [--dims 1024]

BioMedGPS's script joins `str(value) for value in embedding` over numpy's float32 numbers and writes
the frame by `to_csv`. Its time is taken on a part of the rows (--part); it takes the same for each.
Times are CPU seconds of the process, all threads added, the two sides in turn: that is the ratio
on one core. Wall time is told beside them; ours holds an fsync, theirs doesn't.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kgtextvec.export.table import export_table
from kgtextvec.files import sha256_of

Result = dict[str, object]
CHECKED = 1000  # rows that are read back and compared at a time


def seconds(work: Callable[[], object]) -> NDArray[np.float64]:
    """Return how long `work` takes: CPU seconds of all threads, wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return np.array([time.process_time() - cpu, time.perf_counter() - wall])


def make_space(folder: Path, rows: int, dims: int) -> NDArray[np.float32]:
    """Write a space of random vectors of the size that models give; return them."""
    vectors = np.random.default_rng(0).standard_normal((rows, dims), dtype=np.float32)
    vectors *= np.float32(0.3)
    np.save(folder / "embeddings.npy", vectors)
    ids = [f"MESH:D{i:06d}" for i in range(rows)]
    columns = {
        "row": range(rows),
        "id": ids,
        "label": ["Disease"] * rows,
        "name": [f"a disease of some name, number {i}" for i in range(rows)],
        "node_id": [f"Disease::{identifier}" for identifier in ids],
    }
    pq.write_table(pa.table(columns), folder / "index.parquet", row_group_size=16384)
    manifest = {
        "model": {"name": "made up"},
        "table": "entities",
        "kind": "entities",
        "space": "full",
        "rows": rows,
        "dims": dims,
        "vectors_digest": sha256_of(folder / "embeddings.npy"),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return vectors


def join_rows(vectors: NDArray[np.float32]) -> list[str]:
    """Join the numbers of each row, one str() each."""
    return ["|".join([str(value) for value in row]) for row in vectors]


def check(path: Path, vectors: NDArray[np.float32]) -> None:
    """Stop unless every row of the file, read by pandas, is upstream's text and the same bits."""
    done = 0
    for part in pd.read_csv(path, sep="\t", usecols=["embedding"], chunksize=CHECKED):
        cells, here = part["embedding"].tolist(), vectors[done : done + len(part)]
        if not done:
            assert cells == join_rows(here), "another text than upstream's"
        back = pa.array("|".join(cells).split("|")).cast(pa.float32()).to_numpy()
        assert np.array_equal(back.view(np.uint32), here.reshape(-1).view(np.uint32))
        done += len(part)
    assert done == len(vectors)


def bench(rows: int = 20_000, dims: int = 1024, part: int = 1000, rounds: int = 5) -> list[Result]:
    """Run it; raises AssertionError if a number isn't the same to the bit, read by pandas."""
    part = min(part, rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vectors = make_space(folder, rows, dims)
        index = pq.read_table(folder / "index.parquet").to_pandas().head(part)
        out, other = folder / "ours.tsv", folder / "theirs.tsv"

        def upstream() -> None:
            index["embedding"] = join_rows(vectors[:part])
            index["embedding_id"] = range(1, part + 1)
            index.to_csv(other, sep="\t", index=False)

        export_table(folder, format="tsv", out=out)  # compiles
        runs = []
        for _ in range(rounds):
            out.unlink()  # to free the pages of an old file is none of the work
            ours = seconds(lambda: export_table(folder, format="tsv", out=out)) / rows
            join = seconds(lambda: join_rows(vectors[:part])) / part
            runs.append([ours, join, seconds(upstream) / part])
        check(out, vectors)
        parquet = (
            seconds(lambda: export_table(folder, format="parquet", out=folder / "x.parquet")) / rows
        )
        plain = seconds(lambda: np.save(folder / "copy.npy", vectors)) / rows
        size = out.stat().st_size / rows
    of = f"{rows} x {dims}"
    times = np.array(runs) * 1e6  # (rounds, 3, 2) in microseconds
    return [
        row(f"TSV {of}: CPU µs a row, against joining alone", times[:, 0, 0], times[:, 1, 0], 40),
        row(f"TSV {of}: CPU µs a row, against join and to_csv", times[:, 0, 0], times[:, 2, 0], 40),
        row(f"TSV {of}: wall µs a row, against join and to_csv", times[:, 0, 1], times[:, 2, 1])
        | {"megabytes_per_second": size / float(np.median(times[:, 0, 1]))},
        row(f"Parquet {of}: CPU µs a row, against numpy.save", parquet[:1] * 1e6, plain[:1] * 1e6),
    ]


def row(
    name: str,
    ours: NDArray[np.float64],
    theirs: NDArray[np.float64],
    target: int | None = None,
) -> Result:
    """Return a row of the results from the times of both sides (rounds,), paired."""
    return {
        "name": name,
        "ours": median(ours),
        "theirs": median(theirs),
        "ratio": median(theirs / ours),
        "target": f">= {target}" if target else "stated",
    }


def main() -> None:
    """Print the results as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dims", type=int, default=1024)
    parser.add_argument("--part", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    for result in bench(**vars(parser.parse_args())):
        print(json.dumps(result))


if __name__ == "__main__":
    main()
