"""Two-dimensional layouts of vectors: exact neighbours once, then t-SNE and UMAP from them."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.device import available_cores
from kgtextvec.neighbours import NeighbourRows, nearest_of_all, sort_neighbours
from kgtextvec.progress import Progress, say

PERPLEXITY = 30  # openTSNE's default; t-SNE looks at three times as many neighbours
UMAP_NEIGHBOURS = 15  # umap-learn's default, the point itself included
MIN_DIST = 0.1
EXACT_WORK = 2e13  # multiply-adds; 200k x 400 or 140k x 1024: minutes on two cores
TOO_FEW = 5  # below this neither method has anything to optimise

Float32s = NDArray[np.float32]


def unit_vectors(vectors: NDArray[Any]) -> Float32s:
    """Return (n, dims) rows divided by their lengths; a zero vector stays zero."""
    vectors = np.asarray(vectors, dtype=np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    units: Float32s = (vectors / np.maximum(lengths, 1e-30)[:, None]).astype(np.float32)
    return units


def nearest(units: Float32s, k: int, seed: int = 0) -> tuple[NeighbourRows, Float32s]:
    """Find the `k` rows of highest cosine for each row of unit vectors, itself left out.

    `units` is (n, dims). Returns rows (n, k') int32 and cosines (n, k') float32, k' = min(k, n-1),
    the closest first, equal cosines by row number. Exact by blocked matrix products while
    n * n * dims <= EXACT_WORK; above that by pynndescent (approximate, seeded).
    """
    n, dims = units.shape
    k = min(k, n - 1)
    if k < 1:
        return np.empty((n, 0), np.int32), np.empty((n, 0), np.float32)
    if float(n) * n * dims > EXACT_WORK:
        return roughly_nearest(units, k, seed)
    return nearest_of_all(units, k)


def roughly_nearest(units: Float32s, k: int, seed: int) -> tuple[NeighbourRows, Float32s]:
    """As `nearest`, by nearest-neighbour descent (Dong et al. 2011), for very large tables."""
    from pynndescent import NNDescent  # type: ignore[import-untyped]

    say(f"neighbours: approximate, since {len(units):,} vectors are too many for all pairs")
    # The descent finds few neighbours well only by looking for more.
    looked_for = min(max(k + 1, 60), len(units) - 1)
    index = NNDescent(
        units,
        metric="euclidean",
        n_neighbors=looked_for,
        random_state=seed,
        n_jobs=available_cores(),
    )
    found = index.neighbor_graph[0][:, : k + 1].astype(np.int32)
    # Its own row is nearly always first, but among equal vectors it may be any or none.
    itself = found == np.arange(len(units), dtype=np.int32)[:, None]
    itself[~itself.any(axis=1), -1] = True
    found = found[~itself].reshape(len(units), k)
    cosines = np.empty(found.shape, np.float32)
    for start in range(0, len(units), 1024):
        rows = slice(start, start + 1024)
        cosines[rows] = np.einsum("id,ikd->ik", units[rows], units[found[rows]])
    return sort_neighbours(found, cosines)


def principal_plane(units: Float32s, seed: int) -> NDArray[np.float64]:
    """Project (n, dims) on its first two principal axes; returns (n, 2) of unit spread.

    Each axis' largest loading is positive, so that a rerun isn't mirrored. Where the data span
    less than a plane, seeded noise of a thousandth of the spread keeps points apart.
    """
    n, dims = units.shape
    mean = units.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((dims, dims))
    for start in range(0, n, 8192):
        block = units[start : start + 8192] - mean
        covariance += block.T @ block
    axes = np.linalg.eigh(covariance)[1][:, ::-1][:, :2]
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1, 1)
    plane = np.zeros((n, 2))
    for start in range(0, n, 8192):
        block = units[start : start + 8192] - mean
        plane[start : start + 8192, : axes.shape[1]] = block @ axes
    spread = plane[:, 0].std()
    plane = plane / spread if spread > 1e-6 else np.zeros((n, 2))
    return plane + np.random.default_rng(seed).normal(0, 1e-3, (n, 2))


def lay_out_tsne(
    found: NeighbourRows, cosines: Float32s, plane: NDArray[np.float64], seed: int
) -> Float32s:
    """Lay rows out by t-SNE (openTSNE) from their neighbours; returns (n, 2).

    Distances are those of unit vectors. 250 steps at exaggeration 12, then 500, from the
    principal plane, as Kobak & Berens 2019 advise.
    """
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    n = len(found)
    perplexity = min(PERPLEXITY, found.shape[1] / 3)
    # Threads that wait for each other at every step cost more than they bring to a small table,
    # many times more on a machine that is shared.
    jobs = available_cores() if n > 10_000 else 1
    affinities = PerplexityBasedNN(
        knn_index=PrecomputedNeighbors(found, distances(cosines)),
        perplexity=perplexity,
        n_jobs=jobs,
        random_state=seed,
    )
    embedding = TSNEEmbedding(
        plane * 1e-4,
        affinities,
        negative_gradient_method="fft" if n > 5000 else "bh",
        n_jobs=jobs,
        random_state=seed,
        learning_rate="auto",
    )
    with Progress("t-SNE", 750, "steps") as progress:
        callback = StepCounter(progress)
        calls = {"callbacks": callback, "callbacks_every_iters": 50}
        embedding = embedding.optimize(250, exaggeration=12, momentum=0.8, **calls)
        embedding = embedding.optimize(500, exaggeration=1, momentum=0.8, **calls)
    return np.asarray(embedding, dtype=np.float32)


class StepCounter:
    """Counts openTSNE's steps on a progress line."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def __call__(self, step: int, error: float, embedding: object) -> bool:
        """Count 50 more steps; a true answer would stop the optimisation."""
        self.progress.add(50)
        return False


def lay_out_umap(
    found: NeighbourRows, cosines: Float32s, plane: NDArray[np.float64], seed: int
) -> Float32s:
    """Lay rows out by UMAP (umap-learn's graph and optimiser) from their neighbours; (n, 2).

    15 neighbours, the row itself one of them, min_dist 0.1; single-threaded, since a parallel
    run gives other numbers each time.
    """
    umap = umap_learn()
    n = len(found)
    k = min(UMAP_NEIGHBOURS, n) - 1
    knn = np.hstack([np.arange(n, dtype=np.int32)[:, None], found[:, :k]])
    far = np.hstack([np.zeros((n, 1), np.float32), distances(cosines[:, :k])])
    random = np.random.RandomState(seed)  # umap-learn takes no Generator
    graph = umap.fuzzy_simplicial_set(plane, k + 1, random, "euclidean", {}, knn, far)[0]
    a, b = umap.find_ab_params(1.0, MIN_DIST)
    epochs = 500 if n <= 10_000 else 200
    say(f"UMAP: {epochs} epochs over {n:,} vectors")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(
            umap.simplicial_set_embedding(
                data=plane,
                graph=graph,
                n_components=2,
                initial_alpha=1.0,
                a=a,
                b=b,
                gamma=1.0,
                negative_sample_rate=5,
                n_epochs=epochs,
                init=plane.astype(np.float32),
                random_state=random,
                metric="euclidean",
                metric_kwds={},
                densmap=False,
                densmap_kwds={},
                output_dens=False,
                parallel=False,
            )[0],
            dtype=np.float32,
        )


def umap_learn() -> Any:
    """Import umap-learn's functions, with what numba compiles of them kept between processes.

    Compiling takes longer than laying a small table out, and umap-learn keeps only a part.
    """
    with warnings.catch_warnings(), uncompiled("pynndescent"):
        warnings.simplefilter("ignore")  # it misses TensorFlow, which we don't want
        from umap import layouts, umap_
    for function in (
        umap_.smooth_knn_dist,
        umap_.compute_membership_strengths,
        layouts._nb_optimize_layout_euclidean_single_epoch,
    ):
        try:
            function.enable_caching()
        except (AttributeError, RuntimeError):  # no folder to keep it in: compile each time
            break
    return umap_


@contextmanager
def uncompiled(package: str) -> Iterator[None]:
    """Let a package be imported meanwhile that compiles its functions by numba when imported.

    umap-learn imports pynndescent, which compiles for 18 s, for neighbours that we have already.
    Afterwards it is imported anew, and compiled, by whoever needs it.
    """
    from numba import config

    if package in sys.modules:  # compiled already
        yield
        return
    settings: Any = config
    before, settings.DISABLE_JIT = settings.DISABLE_JIT, 1
    try:
        import_module(package)
        settings.DISABLE_JIT = before
        yield
    finally:
        settings.DISABLE_JIT = before
        for name in [name for name in sys.modules if name.split(".")[0] == package]:
            del sys.modules[name]


def distances(cosines: Float32s) -> Float32s:
    """Return the distances of unit vectors of these cosines."""
    return np.sqrt(np.maximum(2 - 2 * cosines, 0)).astype(np.float32)


def compute_layouts(
    units: Float32s, found: NeighbourRows, cosines: Float32s, layouts: tuple[str, ...], seed: int
) -> dict[str, Float32s]:
    """Lay unit vectors out by each method of `layouts` ("tsne", "umap"); (n, 2) float32 each.

    `found` and `cosines` are `nearest`'s. Fewer than TOO_FEW rows, or rows that are all the
    same, are placed by their principal plane alone. Same input and seed, same bytes.
    """
    plane = principal_plane(units, seed)
    methods = {"tsne": lay_out_tsne, "umap": lay_out_umap}
    if len(units) < TOO_FEW or np.ptp(units, axis=0).max() < 1e-6:
        return {name: plane.astype(np.float32) for name in layouts}
    return {name: upright(methods[name](found, cosines, plane, seed)) for name in layouts}


def upright(places: Float32s) -> Float32s:
    """Turn a layout (n, 2), whose directions mean nothing, to fill a square best, centred."""
    turns = np.arange(36) * np.pi / 72
    spins = np.stack([[np.cos(turns), -np.sin(turns)], [np.sin(turns), np.cos(turns)]])
    turned = np.einsum("nd,dct->tnc", places.astype(np.float64), spins)
    best = turned[np.ptp(turned, axis=1).max(axis=1).argmin()]
    return np.asarray(best - (best.min(axis=0) + best.max(axis=0)) / 2, dtype=np.float32)
