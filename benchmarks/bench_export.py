"""TSV export against upstream's way: join the str() of each number, then pandas' to_csv.

    python -m benchmarks.bench_export [--rows 20000] [--dims 1024]

Upstream's way is timed on a part of the rows (--part) and per row; it takes the same time for each.
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

from kgtextvec.export import export_table
from kgtextvec.files import sha256_of

Result = dict[str, object]


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


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
        "kind": "entities",
        "rows": rows,
        "dims": dims,
        "vectors_digest": sha256_of(folder / "embeddings.npy"),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return vectors


def join_rows(vectors: NDArray[np.float32]) -> list[str]:
    """Join the numbers of each row, one str() each."""
    return ["|".join([str(value) for value in row]) for row in vectors]


def bench(rows: int = 20_000, dims: int = 1024, part: int = 1000) -> list[Result]:
    """Run it; raises AssertionError if a number isn't the same to the bit, read by pandas."""
    part = min(part, rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vectors = make_space(folder, rows, dims)
        index = pq.read_table(folder / "index.parquet").to_pandas().head(part)
        out, other = folder / "ours.tsv", folder / "theirs.tsv"
        export_table(folder, "tsv", out)  # compiles
        triples = []
        for _ in range(3):
            ours = seconds(lambda: export_table(folder, "tsv", out)) / rows
            began = time.perf_counter()
            joined = join_rows(vectors[:part])
            join = (time.perf_counter() - began) / part
            frame = index.assign(embedding=joined, embedding_id=range(1, part + 1))
            write = seconds(lambda frame=frame: frame.to_csv(other, sep="\t", index=False)) / part
            triples.append((ours, join, join + write))
        read = pd.read_csv(out, sep="\t", nrows=part)
        assert len(read) == part and read["embedding"].tolist() == joined
        back = np.array([cell.split("|") for cell in read["embedding"]]).astype(np.float32)
        assert np.array_equal(back.view(np.uint32), vectors[:part].view(np.uint32))
        parquet = seconds(lambda: export_table(folder, "parquet", folder / "x.parquet")) / rows
        plain = seconds(lambda: np.save(folder / "copy.npy", vectors)) / rows
        size = out.stat().st_size / rows
    size_of = f"{rows} x {dims}"
    ours, join, whole = (median(values) for values in zip(*triples, strict=True))
    return [
        {
            "name": f"TSV {size_of}: microseconds a row, whole file, against joining alone",
            "ours": ours * 1e6,
            "theirs": join * 1e6,
            "ratio": median(b / a for a, b, _ in triples),
            "target": ">= 40",
            "megabytes_per_second": size / ours / 1e6,
        },
        {
            "name": f"TSV {size_of}: microseconds a row, against joining and to_csv",
            "ours": ours * 1e6,
            "theirs": whole * 1e6,
            "ratio": median(c / a for a, _, c in triples),
            "target": ">= 40",
        },
        {
            "name": f"Parquet {size_of}: microseconds a row, against numpy.save",
            "ours": parquet * 1e6,
            "theirs": plain * 1e6,
            "ratio": parquet / plain,
            "target": "stated",
        },
    ]


def main() -> None:
    """Print the results as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dims", type=int, default=1024)
    parser.add_argument("--part", type=int, default=1000)
    for result in bench(**vars(parser.parse_args())):
        print(json.dumps(result))


if __name__ == "__main__":
    main()
