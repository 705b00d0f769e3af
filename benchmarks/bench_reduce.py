"""PCA: fit-pca against the machine's own limit and against scikit-learn, equal rows.

    python -m benchmarks.bench_reduce [--rows 40000] [--dims 1024] [--components 400]

Theirs is, first, one read pass over the file plus the products alone (the same BLAS call on a block
that stays in memory): what no program can go below. Second, IncrementalPCA on the same file.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from kgtextvec.matrices import MatrixWriter, blocks, open_matrix, rows_per_block
from kgtextvec.reduce import fit_pca, pca

Result = dict[str, object]


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def write_vectors(path: Path, rows: int, dims: int) -> None:
    """Write (rows, dims) float32 vectors with falling variances around a large mean."""
    random = np.random.default_rng(0)
    turn = np.linalg.qr(random.standard_normal((dims, dims)))[0]
    turn *= np.arange(1, dims + 1)[:, None] ** -0.8
    mean = random.standard_normal(dims) * 20
    with path.open("wb") as file:
        matrix = MatrixWriter(file, rows, dims)
        for first in range(0, rows, 4096):
            size = (min(4096, rows - first), dims)
            matrix.add(random.standard_normal(size, dtype=np.float32) @ turn + mean)


def read_pass(path: Path) -> None:
    """Read the file once, block by block."""
    matrix = open_matrix(path)
    for _ in blocks(matrix, rows_per_block(matrix.dims)):
        pass


def products(rows: int, dims: int) -> None:
    """Multiply as often and as much as fit-pca does, on a block that stays in memory."""
    size = rows_per_block(dims)
    block = np.random.default_rng(0).standard_normal((min(size, rows), dims))
    for first in range(0, rows, size):
        part = block[: min(size, rows - first)]
        part.T @ part


def error_of(found: pca.Pca, vectors: NDArray[np.float64]) -> float:
    """Return how far the variances along the components are from the exact ones, relative."""
    values = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False)
    exact = values[: len(found.components)] ** 2 / (len(vectors) - 1)
    along = ((vectors - vectors.mean(axis=0)) @ found.components.T).var(axis=0, ddof=1)
    return float(np.abs(along / exact - 1).max())


def bench(rows: int = 40_000, dims: int = 1024, components: int = 400) -> list[Result]:
    """Run it; raises AssertionError if the result is wrong."""
    from sklearn.decomposition import IncrementalPCA

    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "vectors.npy", Path(folder) / "pca.npz"
        write_vectors(path, rows, dims)
        pairs = []
        for _ in range(3):
            ours = seconds(lambda: fit_pca(path, components, "entities", "correct", out))
            limit = seconds(lambda: read_pass(path)) + seconds(lambda: products(rows, dims))
            pairs.append((ours, limit))
        ours, limit = sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        found = pca.load_pca(out)

        theirs = IncrementalPCA(components)
        mapped = np.load(path, mmap_mode="r")
        incremental = seconds(lambda: theirs.fit(mapped))
        # Exactness, on as many rows as a full SVD takes in a few seconds.
        some = mapped[: min(rows, 8000)]
        np.save(path.with_name("some.npy"), some)
        fit_pca(path.with_name("some.npy"), components, "entities", "correct", out)
        error = error_of(pca.load_pca(out), some.astype(np.float64))
        assert error < 1e-4, f"variances are off by {error}"
        # What IncrementalPCA keeps of the variance can't be more than what the exact basis keeps.
        assert theirs.explained_variance_.sum() <= found.explained_variance.sum() * (1 + 1e-6)
    size = f"{rows} x {dims} -> {components}"
    return [
        {
            "name": f"PCA {size}: seconds against one read pass + the products alone",
            "ours": ours,
            "theirs": limit,
            "ratio": median(mine / other for mine, other in pairs),
            "target": "<= 1.5",
            "rows_per_second": rows / ours,
            "error": error,
        },
        {
            "name": f"PCA {size}: seconds against scikit-learn IncrementalPCA",
            "ours": ours,
            "theirs": incremental,
            "ratio": incremental / ours,
            "target": ">= 10",
        },
        {
            "name": f"PCA {size}: peak memory of the process, GiB",
            "ours": memory,
            "theirs": rows * dims * 4 / 2**30,
            "ratio": memory / (rows * dims * 4 / 2**30),
            "target": "ours <= 1 GiB",
        },
    ]


def main() -> None:
    """Print the results as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--dims", type=int, default=1024)
    parser.add_argument("--components", type=int, default=400)
    for result in bench(**vars(parser.parse_args())):
        print(json.dumps(result))


if __name__ == "__main__":
    main()
