"""PCA: fit-pca and apply-pca against the machine's own limit and scikit-learn, equal rows.

    python -m benchmarks.bench_reduce [--rows 40000] [--dims 1024] [--components 400]

The limit is one read pass over the file plus the products alone (the same BLAS call on a block
that stays in memory): what no program can go below. IncrementalPCA runs on a file of its own with
--equal-rows rows, and so does ours. Times are CPU seconds of all threads, the sides in turn;
peak memory is that of a process of its own. Rows: low-rank variances around a large mean.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.child import run_verb
from kgtextvec.matrices import MatrixWriter, blocks, open_matrix, rows_per_block
from kgtextvec.reduce import pca
from kgtextvec.reduce.verbs import apply_pca, fit_pca

EXACT_ROWS = 8000  # as many as a full SVD takes in a few seconds


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds that `work` takes, all threads added."""
    began = time.process_time()
    work()
    return time.process_time() - began


def make_space(folder: Path, rows: int, dims: int) -> Path:
    """Write a space of (rows, dims) float32 vectors; return the path of its embeddings.npy."""
    folder.mkdir()
    random = np.random.default_rng(0)
    turn = np.linalg.qr(random.standard_normal((dims, dims)))[0]
    turn = (turn * np.arange(1, dims + 1)[:, None] ** -0.8).astype(np.float32)
    mean = (random.standard_normal(dims) * 20).astype(np.float32)
    with (folder / "embeddings.npy").open("wb") as file:
        matrix = MatrixWriter(file, rows, dims)
        for first in range(0, rows, 4096):
            size = (min(4096, rows - first), dims)
            matrix.add(random.standard_normal(size, dtype=np.float32) @ turn + mean)
    pq.write_table(pa.table({"row": range(rows)}), folder / "index.parquet")
    about: dict[str, Any] = {"model": {"name": "made up"}, "table": "entities", "kind": "entities"}
    about |= {"space": "full", "rows": rows, "dims": dims}
    (folder / "manifest.json").write_text(json.dumps(about))
    return folder / "embeddings.npy"


def read_pass(path: Path) -> None:
    """Read the file once, block by block."""
    matrix = open_matrix(path)
    for _ in blocks(matrix, rows_per_block(matrix.dims)):
        pass


def products(rows: int, dims: int, components: int = 0) -> None:
    """Multiply as often and as much as fit-pca does, or apply-pca if `components` is given."""
    size, random = rows_per_block(dims), np.random.default_rng(0)
    block = random.standard_normal((min(size, rows), dims))
    basis = random.standard_normal((components, dims))
    for first in range(0, rows, size):
        part = block[: min(size, rows - first)]
        part @ basis.T if components else part.T @ part


def error_of(found: pca.Pca, vectors: NDArray[np.float64]) -> float:
    """Return how far the variances along the components are from a full SVD's, relative."""
    values = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False)
    exact = values[: len(found.components)] ** 2 / (len(vectors) - 1)
    along = ((vectors - vectors.mean(axis=0)) @ found.components.T).var(axis=0, ddof=1)
    return float(np.abs(along / exact - 1).max())


def bench(
    rows: int = 40_000,
    dims: int = 1024,
    components: int = 400,
    equal_rows: int = 40_000,
    rounds: int = 3,
) -> list[dict[str, Any]]:
    """Run it; raises AssertionError if the result is wrong."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, basis = make_space(folder / "full", rows, dims), folder / "pca.npz"
        space, out = f"pca{components}", folder / "out"
        fits, applied = [], []
        for _ in range(rounds):
            ours = seconds(lambda: fit_pca(path, space=f"pca{components}", out=basis))
            reading = seconds(lambda: read_pass(path))
            fits.append((ours, reading + seconds(lambda: products(rows, dims))))
            ours = seconds(lambda: apply_pca(path.parent, pca=basis, space=space, out_dir=out))
            limit = reading + seconds(lambda: products(rows, dims, components))
            applied.append((ours, limit))
        words = ["--space", space, "--out", folder / "again.npz"]
        peaks = [run_verb("fit-pca", path, *words).peak]
        words = ["--pca", basis, "--space", space, "--out-dir", out]
        peaks.append(run_verb("apply-pca", path.parent, *words).peak)
        assert (folder / "again.npz").read_bytes() == basis.read_bytes()
        off = check_projection(path, pca.load_pca(basis), out / "embeddings.npy")
        own, theirs, error = against_incremental(folder / "equal", equal_rows, dims, components)
    size = f"{rows} x {dims} -> {components}"
    return [
        row(f"PCA fit {size}: CPU seconds against one read pass + the products", fits)
        | {"rows_per_second": rows / median(ours for ours, _ in fits)},
        row(f"PCA apply {size}: CPU seconds against one read pass + the products", applied)
        | {"error": off},
        {
            "name": f"PCA {size}: peak memory, MB, of fit-pca and apply-pca",
            "ours": max(peaks),
            "theirs": rows * dims * 4 / 2**20,
            "ratio": max(peaks) / (rows * dims * 4 / 2**20),
            "target": "ours <= 1024",
        },
        {
            "name": f"PCA fit {equal_rows} x {dims}: CPU seconds against IncrementalPCA",
            "ours": own,
            "theirs": theirs,
            "ratio": theirs / own,
            "target": ">= 10",
            "error": error,
        },
    ]


def row(name: str, pairs: list[tuple[float, float]]) -> dict[str, Any]:
    """Return a row of the results from (ours, limit) of each round."""
    return {
        "name": name,
        "ours": median(ours for ours, _ in pairs),
        "theirs": median(limit for _, limit in pairs),
        "ratio": median(ours / limit for ours, limit in pairs),
        "target": "<= 1.5",
    }


def check_projection(path: Path, basis: pca.Pca, out: Path) -> float:
    """Return the largest difference of a few projected rows from numpy's, over their size."""
    vectors, found = np.load(path, mmap_mode="r"), np.load(out, mmap_mode="r")
    some = np.linspace(0, len(vectors) - 1, 1000).astype(int)
    want = (vectors[some].astype(np.float64) - basis.mean) @ basis.components.T
    off = float(np.abs(found[some] - want).max() / np.abs(want).max())
    assert off < 1e-6, f"projected rows are off by {off}"
    return off


def against_incremental(
    folder: Path, rows: int, dims: int, components: int
) -> tuple[float, float, float]:
    """Return CPU seconds of ours and of IncrementalPCA, and our error against a full SVD."""
    from sklearn.decomposition import IncrementalPCA

    path, out = make_space(folder, rows, dims), folder / "pca.npz"
    mapped = np.load(path, mmap_mode="r")
    ours = seconds(lambda: fit_pca(path, space=f"pca{components}", out=out))
    found, theirs = pca.load_pca(out), IncrementalPCA(components)
    incremental = seconds(lambda: theirs.fit(mapped))
    # What IncrementalPCA keeps of the variance can't be more than what the exact basis keeps.
    assert theirs.explained_variance_.sum() <= found.explained_variance.sum() * (1 + 1e-6)
    some = mapped[:EXACT_ROWS]
    np.save(folder / "some.npy", some)
    manifest = folder / "manifest.json"
    manifest.unlink()  # it describes the whole
    fit_pca(folder / "some.npy", space=f"pca{components}", out=out)
    error = error_of(pca.load_pca(out), some.astype(np.float64))
    assert error < 1e-9, f"variances are off by {error}"
    return ours, incremental, error


def main() -> None:
    """Print the results as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--dims", type=int, default=1024)
    parser.add_argument("--components", type=int, default=400)
    parser.add_argument("--equal-rows", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=3)
    for result in bench(**vars(parser.parse_args())):
        print(json.dumps(result))


if __name__ == "__main__":
    main()
