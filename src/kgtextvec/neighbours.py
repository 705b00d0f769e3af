"""Exact nearest neighbours by cosine, in blocks, so that memory is bounded.

`search_on` takes blocks of a pool, on a CPU or a GPU; `nearest_in_pool` orders what it finds by
float64 cosines; `nearest_of_all` compares all rows with each other, without torch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.progress import Progress
from kgtextvec.space import Floats, Rows

COSINES_AT_ONCE = 1 << 24  # 64 MB
SPARE = 8  # more are taken in float32, so that the float64 order of the first k is right
SPARSE_COSINES_AT_ONCE = 1 << 22  # 32 MB, and three arrays like it
DECIMALS = 9
PLACES = 1 << 32  # above any number of rows: a cosine of nine decimals times it is below 2^62
NEAR = 1e-5  # more than the error of a cosine in float32
STRIPS = 64

Sparse = Any
NeighbourRows = NDArray[np.int32]


class CpuSearch:
    """As NearestSearch, on a CPU and without torch, whose import takes longer than a small table.

    Memory: the queries, COSINES_AT_ONCE cosines and 2 k (q,) columns.
    """

    def __init__(self, queries: Floats, ids: Rows, k: int) -> None:
        self.queries, self.ids, self.k = queries, ids, k
        self.cosines = np.empty((len(ids), 0), np.float32)
        self.found = np.empty((len(ids), 0), np.int64)

    def offer(self, ids: Rows, units: Floats) -> None:
        """Take part of the pool: row numbers (b,) and unit vectors (b, d)."""
        size = max(1, COSINES_AT_ONCE // max(len(self.ids), 1))
        for start in range(0, len(ids), size):
            some = ids[start : start + size]
            cosines = self.queries @ units[start : start + size].T
            own, same = np.intersect1d(self.ids, some, return_indices=True)[1:]
            cosines[own, same] = -np.inf
            best = largest_columns(cosines, min(self.k, len(some)))
            both = np.hstack([self.cosines, np.take_along_axis(cosines, best, axis=1)])
            rows = np.hstack([self.found, some[best]])
            best = largest_columns(both, min(self.k, both.shape[1]))
            self.cosines = np.take_along_axis(both, best, axis=1)
            self.found = np.take_along_axis(rows, best, axis=1)

    def result(self) -> tuple[Rows, Floats]:
        """Return row numbers (q, ≤ k) and cosines, the nearest first; -1 and -inf: none left."""
        order = np.argsort(-self.cosines, axis=1, kind="stable")
        cosines = np.take_along_axis(self.cosines, order, axis=1)
        found = np.take_along_axis(self.found, order, axis=1)
        found[np.isneginf(cosines)] = -1
        return found, cosines


class NearestSearch:
    """The k nearest of some queries among rows offered block by block.

    `queries` is (q, d) of unit vectors, float32; `ids` (q,) are their row numbers: a row is never
    its own neighbour. Memory: the queries, COSINES_AT_ONCE cosines and 2 k (q,) columns.
    """

    def __init__(self, queries: Floats, ids: Rows, k: int, device: str = "cpu") -> None:
        import torch

        self.torch, self.k, self.ids, self.device = torch, k, ids, device
        self.queries = torch.from_numpy(queries).to(device)
        self.cosines = torch.empty((len(ids), 0), device=device)
        self.found = torch.empty((len(ids), 0), dtype=torch.int64, device=device)

    def offer(self, ids: Rows, units: Any) -> None:
        """Take part of the pool: row numbers (b,) and unit vectors (b, d), numpy or a tensor."""
        torch = self.torch
        size = max(1, COSINES_AT_ONCE // max(len(self.ids), 1))
        for start in range(0, len(ids), size):
            some = ids[start : start + size]
            block = torch.as_tensor(units[start : start + size]).to(self.device)
            cosines = self.queries @ block.T
            _, own, same = np.intersect1d(self.ids, some, return_indices=True)
            cosines[torch.from_numpy(own), torch.from_numpy(same)] = -torch.inf
            best, where = cosines.topk(min(self.k, len(some)), dim=1)
            rows = torch.from_numpy(some).to(self.device)[where]
            both = torch.cat([self.cosines, best], dim=1)
            rows = torch.cat([self.found, rows], dim=1)
            self.cosines, where = both.topk(min(self.k, both.shape[1]), dim=1)
            self.found = rows.gather(1, where)

    def result(self) -> tuple[Rows, Floats]:
        """Return row numbers (q, ≤ k) and cosines, the nearest first; -1 and -inf: none left."""
        found = self.found.cpu().numpy().copy()
        cosines = self.cosines.cpu().numpy()
        found[np.isneginf(cosines)] = -1
        return found, cosines


def search_on(device: str, queries: Floats, ids: Rows, k: int) -> CpuSearch | NearestSearch:
    """Return a search on that device."""
    return CpuSearch(queries, ids, k) if device == "cpu" else NearestSearch(queries, ids, k, device)


def nearest_in_pool(vectors: Any, queries: Rows, pool: Rows, k: int, device: str = "cpu") -> Rows:
    """Find the k rows of `pool` of highest cosine for each of `queries`, itself left out.

    `vectors` is (n, d) of unit rows, dense float32 or sparse float64; `queries` (q,) and `pool`
    (p,) are distinct row numbers. Returns (q, min(k, p)) places in `pool`, the nearest first, -1
    where there are no more. Cosines equal to nine decimals are ordered by place in the pool:
    shuffle it, and the order of a file favours no entity.
    """
    return nearest_in_pools(vectors, [(queries, pool)], k, device)[0]


def nearest_in_pools(
    vectors: Any, searches: Sequence[tuple[Rows, Rows]], k: int, device: str = "cpu"
) -> list[Rows]:
    """Do several searches of `nearest_in_pool`, each (queries, pool), and return what each finds.

    The cosines of sparse vectors are computed once for all: give searches that share rows.
    """
    import scipy.sparse as sp

    if sp.issparse(vectors):
        return nearest_sparse(vectors, searches, k)
    found = []
    for queries, pool in searches:
        wanted = min(k, len(pool))
        places = np.full((len(queries), wanted), -1, np.int64)
        in_pool = vectors[pool]
        offered = copied_to(device, in_pool)
        size = max(1, min(1024, COSINES_AT_ONCE // max(len(pool), 1)))
        for start in range(0, len(queries) if wanted else 0, size):
            ids = queries[start : start + size]
            block = nearest_dense(vectors[ids], in_pool, offered, ids, pool, wanted, device)
            places[start : start + size] = block
        found.append(places)
    return found


def copied_to(device: str, vectors: Floats) -> Any:
    """Return vectors as a tensor on the device, or as they are where it has no room for them."""
    if device == "cpu":
        return vectors
    import torch

    try:
        return torch.from_numpy(vectors).to(device)
    except torch.OutOfMemoryError:
        return vectors


def nearest_dense(
    queries: Floats, in_pool: Floats, offered: Any, ids: Rows, pool: Rows, k: int, device: str
) -> Rows:
    """Return places (q, k) in the pool for a block of dense queries.

    `offered` holds the rows of `in_pool` where the search takes them from.
    """
    search = search_on(device, queries, ids, min(k + SPARE, len(pool)))
    # The search gets places instead of row numbers, so the own row is known by its place.
    order = np.argsort(pool, kind="stable")
    at = np.minimum(np.searchsorted(pool, ids, sorter=order), len(pool) - 1)
    search.ids = np.where(pool[order[at]] == ids, order[at], -1 - np.arange(len(ids)))
    search.offer(np.arange(len(pool)), offered)
    found, cosines = search.result()
    exact = np.empty(found.shape)
    for start in range(0, len(found), 64):
        some = slice(start, start + 64)
        left, right = queries[some].astype(np.float64), in_pool[found[some]].astype(np.float64)
        exact[some] = np.einsum("id,ikd->ik", left, right)
    exact[np.isneginf(cosines)] = -np.inf
    places = first_in_order(found, exact, k)
    for row in crowded(cosines, k, len(pool)):
        alike = np.flatnonzero(in_pool @ queries[row] >= cosines[row, k - 1] - NEAR)
        alike = alike[alike != search.ids[row]]
        near = in_pool[alike].astype(np.float64) @ queries[row].astype(np.float64)
        places[row] = first_in_order(alike[None], near[None], k)
    return places


def crowded(cosines: NDArray[Any], k: int, n_pool: int) -> Rows:
    """Rows whose last taken cosine is about their k-th: more like it may have been left out.

    `cosines` (q, taken) are in falling order, taken from a pool of `n_pool`.
    """
    if cosines.shape[1] == n_pool:
        return np.empty(0, np.int64)
    return np.flatnonzero(cosines[:, k - 1] - cosines[:, -1] <= NEAR)


def nearest_sparse(vectors: Sparse, searches: Sequence[tuple[Rows, Rows]], k: int) -> list[Rows]:
    """Return what `nearest_in_pools` does, for sparse vectors."""
    found = [np.full((len(q), min(k, len(pool))), -1, np.int64) for q, pool in searches]
    queries = np.unique(np.concatenate([q for q, _ in searches]))
    every = np.unique(np.concatenate([pool for _, pool in searches]))
    turned = vectors[every].T.tocsr()
    columns = [np.searchsorted(every, pool) for _, pool in searches]
    size = max(1, min(1024, SPARSE_COSINES_AT_ONCE // max(len(every), 1)))
    for start in range(0, len(queries), size):
        block = queries[start : start + size]
        cosines = (vectors[block] @ turned).toarray()
        for places, (asking, pool), at in zip(found, searches, columns, strict=True):
            mine = np.flatnonzero(np.isin(asking, block))
            if len(mine) and len(pool):
                near = cosines[np.ix_(np.searchsorted(block, asking[mine]), at)]
                own = asking[mine][:, None] == pool[None, :]
                places[mine] = first_places(near, own, places.shape[1])
    return found


def first_places(cosines: NDArray[np.float64], left_out: NDArray[np.bool_], k: int) -> Rows:
    """Return the columns (q, k) of the k highest cosines of each row, equal ones by column.

    `left_out` (q, p) are not to be found; -1 where there are no more. A cosine to nine decimals and
    its column are one whole number, so that no two are equal.
    """
    keys = np.rint(cosines * 10**DECIMALS).astype(np.int64) * PLACES - np.arange(cosines.shape[1])
    keys[left_out] = -(1 << 62)  # below all others, and its negative is a number, too
    columns = np.argpartition(keys, -k, axis=1)[:, -k:]
    order = np.argsort(-np.take_along_axis(keys, columns, axis=1), axis=1)
    columns = np.take_along_axis(columns, order, axis=1)
    columns[np.take_along_axis(left_out, columns, axis=1)] = -1
    return columns


def first_in_order(found: Rows, cosines: NDArray[np.float64], k: int) -> Rows:
    """Sort places by falling cosine, equal ones by place; return the first k, -1 for -inf."""
    order = np.lexsort((found, -np.round(cosines, DECIMALS)), axis=1)[:, :k]
    places = np.take_along_axis(found, order, axis=1)
    places[np.isneginf(np.take_along_axis(cosines, order, axis=1))] = -1
    return places


def nearest_of_all(units: Floats, k: int) -> tuple[NeighbourRows, Floats]:
    """Find the `k` rows of highest cosine for each row of unit vectors (n, dims), itself left out.

    `k` is at least 1 and below n. Returns rows (n, k) int32 and cosines (n, k) float32, the nearest
    first, equal cosines by row number.
    """
    n = len(units)
    found, cosines = np.empty((n, k), np.int32), np.empty((n, k), np.float32)
    strips = Strips(units)
    with Progress("neighbours", n, "vectors") as progress:
        for start in range(0, n, strips.size):
            rows = np.arange(start, min(start + strips.size, n))
            block = strips.scores_of(units[rows])
            block[np.arange(len(rows)), rows] = -np.inf
            found[rows], cosines[rows] = strips.best(block, k)
            progress.add(len(rows))
    return sort_neighbours(found, cosines)


class Strips:
    """Cosines of up to `size` unit vectors with each of `units` (n, dims), and the largest ones.

    A row of scores is STRIPS strips: the maximum over strips is one fast pass, and the k best
    scores are in the k best columns of that maximum, so only these columns are searched.
    """

    def __init__(self, units: Floats) -> None:
        self.units = units
        self.width = -(-len(units) // STRIPS)
        self.size = max(1, min(1024, (1 << 26) // (self.width * STRIPS)))
        self.scores = np.full((self.size, self.width * STRIPS), -np.inf, np.float32)
        self.columns = np.arange(STRIPS, dtype=np.int64) * self.width

    def scores_of(self, queries: Floats) -> Floats:
        """Return the cosines (q, ≥ n) of (q, dims) unit vectors, -inf after the n-th column.

        They are overwritten by the next call.
        """
        block = self.scores[: len(queries)]
        np.matmul(queries, self.units.T, out=block[:, : len(self.units)])
        return block

    def best(self, block: Floats, k: int) -> tuple[Rows, Floats]:
        """Return the columns (q, k) of the k largest scores of each row, in any order, and them."""
        if self.width > 4 * k:
            best = block.reshape(len(block), STRIPS, self.width).max(axis=1)
            best = largest_columns(best, k)
            candidates = (best[:, :, None] + self.columns).reshape(len(block), -1)
            values = np.take_along_axis(block, candidates, axis=1)
        else:
            candidates = np.broadcast_to(np.arange(block.shape[1]), block.shape)
            values = block
        top = largest_columns(values, k)
        return np.take_along_axis(candidates, top, axis=1), np.take_along_axis(values, top, axis=1)


def sort_neighbours(found: NeighbourRows, cosines: Floats) -> tuple[NeighbourRows, Floats]:
    """Sort each row's neighbours by falling cosine, equal ones by row number."""
    order = np.lexsort((found, -cosines), axis=1)
    cosines = np.clip(np.take_along_axis(cosines, order, axis=1), -1, 1)
    return np.take_along_axis(found, order, axis=1), cosines


def largest_columns(values: NDArray[Any], k: int) -> Rows:
    """Return the columns (n, k) of the largest `k` values of each row of (n, m), in any order."""
    found: Rows = np.argpartition(-values, k - 1, axis=1)[:, :k]
    return found
