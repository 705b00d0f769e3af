"""Ranks of answers in a graph by the votes of nearest entities, and what they sum up to."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.evaluate.baselines import FindByAll, Maker, find_in_turn
from kgtextvec.evaluate.graph import Graph, Task, tasks_of
from kgtextvec.evaluate.readers import UnitsOnDemand
from kgtextvec.kept_results import FoundArrays
from kgtextvec.neighbours import nearest_in_pools
from kgtextvec.pairs import ItemSums, sums_by_item
from kgtextvec.progress import Progress
from kgtextvec.space import Rows
from kgtextvec.stats import Float64s, mean_with_interval, score_entry

HITS = (1, 10)
METRICS = ("mrr", *(f"hits_at_{k}" for k in HITS))
DEGREES = ((1, 2), (3, 5), (6, 10), (11, 30), (31, 100), (101, None))
ONE_VOTE = 1 << 20  # votes are whole numbers, so that equal sums are equal whatever their order
QUERIES_AT_ONCE = 512


@dataclass(frozen=True)
class Ranked:
    """The METRICS of each method, (queries, 3): a row per asked edge, in the order of tasks."""

    sources: Rows
    relations: Rows
    answers: Rows
    metrics: dict[str, Float64s]


def weights_of(k: int) -> NDArray[np.int64]:
    """Return the votes of the first to the k-th neighbour: 1 / log2(1 + place), in ONE_VOTEs.

    By place and not by cosine, since cosines of some models all lie near 1: the discount of
    Järvelin & Kekäläinen 2002.
    """
    return np.rint(ONE_VOTE / np.log2(np.arange(2, k + 2))).astype(np.int64)


def rank_answers(
    graphs: list[Graph],
    methods: Iterable[tuple[str, Maker]],
    k: int,
    seed: int,
    device: str,
    find_by_all: FindByAll = find_in_turn,
) -> Ranked:
    """Rank the answers of all queries in the graphs by each method, by chance and by popularity.

    A method's maker gives unit vectors of the given rows of the table, in their order: dense,
    sparse or on demand. Those of the rows that ask may follow, where they differ: a row then votes
    with one and asks with another.
    """
    tasks, groups = [], []
    for turn, graph in enumerate(graphs):
        for task in tasks_of(graph, seed):
            tasks.append(task)
            groups.append((turn, int(graph.labels[task.queries[0]])))
    rows = np.unique(np.concatenate([part for task in tasks for part in (task.queries, task.pool)]))

    def find(method: str, vectors_of: Maker) -> FoundArrays:
        found = nearest_of_tasks(tasks, groups, vectors_of(rows), rows, k, device, method)
        places = np.concatenate([places.reshape(-1) for places in found])
        return {
            "places": places.astype(np.int32),
            "widths": np.array([places.shape[1] for places in found], np.int32),
        }

    nearest = {
        method: places_by_task(found, tasks) for method, found in find_by_all(methods, find).items()
    }
    metrics = {
        "chance": [rank_by_chance(task) for task in tasks],
        "popularity": [rank_by_popularity(task) for task in tasks],
    }
    of_tasks = [
        rank_by_votes(task, [found[number] for found in nearest.values()])
        for number, task in enumerate(tasks)
    ]
    for number, method in enumerate(nearest):
        metrics[method] = [by_method[number] for by_method in of_tasks]
    asking = [(task.queries[task.asked[0]], task.relation) for task in tasks]
    return Ranked(
        sources=np.concatenate([sources for sources, _ in asking]),
        relations=np.concatenate([np.full(len(sources), r) for sources, r in asking]),
        answers=np.concatenate([task.candidates[task.asked[1]] for task in tasks]),
        metrics={method: np.concatenate(found) for method, found in metrics.items()},
    )


def places_by_task(found: FoundArrays, tasks: Sequence[Task]) -> list[Rows]:
    """Return the places in the pool of each task's nearest, (q, width) int64, from all in a row."""
    widths = found["widths"].tolist()
    shapes = [(len(task.queries), width) for task, width in zip(tasks, widths, strict=True)]
    ends = np.cumsum([size * width for size, width in shapes])[:-1]
    parts = np.split(found["places"].astype(np.int64), ends)
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def nearest_of_tasks(
    tasks: Sequence[Task],
    groups: Sequence[Hashable],
    vectors: Any,
    rows: Rows,
    k: int,
    device: str,
    method: str,
) -> list[Rows]:
    """Return the nearest in the pool of each task's queries: (q, ≤ k) places, -1 for none.

    `vectors` are those of `rows`, then those that all queries ask with, if these differ. Tasks of
    one group share rows, and so cosines.
    """
    asking, before = rows, 0
    if vectors.shape[0] > len(rows):
        asking, before = np.unique(np.concatenate([task.queries for task in tasks])), len(rows)
    members: dict[Hashable, list[int]] = {}
    for number, group in enumerate(groups):
        members.setdefault(group, []).append(number)
    found: list[Rows] = [np.empty((0, 0), np.int64)] * len(tasks)
    with Progress(f"cold start, {method}", len(tasks), "tasks") as progress:
        for numbers in members.values():
            some = [tasks[number] for number in numbers]
            searches = [
                (
                    before + np.searchsorted(asking, task.queries),
                    np.searchsorted(rows, task.pool),
                )
                for task in some
            ]
            here = vectors
            if isinstance(vectors, UnitsOnDemand):
                wanted = np.unique(np.concatenate([part for pair in searches for part in pair]))
                here = vectors.take(wanted)
                searches = [
                    (np.searchsorted(wanted, asked), np.searchsorted(wanted, pool))
                    for asked, pool in searches
                ]
            for number, places in zip(
                numbers, nearest_in_pools(here, searches, k, device), strict=True
            ):
                found[number] = places
            progress.add(len(numbers))
    return found


def rank_by_votes(task: Task, nearest: Sequence[Rows]) -> list[Float64s]:
    """Rank by the votes of the nearest in the pool, by several methods: (a, 3) for each.

    `nearest` are each method's places in the pool, (q, k).
    """
    import scipy.sparse as sp

    parts: list[list[Float64s]] = [[] for _ in nearest]
    for start in range(0, len(task.queries), QUERIES_AT_ONCE):
        some = [places[start : start + QUERIES_AT_ONCE] for places in nearest]
        size, n_methods = len(some[0]), len(some)
        scores = votes_of(np.concatenate(some), task.votes)
        others = sp.vstack([task.others[start : start + size]] * n_methods, "csr")
        low, high = np.searchsorted(task.asked[0], [start, start + size])
        asked = np.tile(task.asked[:, low:high] - np.array([[start], [0]]), n_methods)
        asked[0] += np.repeat(np.arange(n_methods) * size, high - low)
        metrics = expected_metrics(*places_of(scores, others, asked))
        for part, values in zip(parts, np.split(metrics, n_methods), strict=True):
            part.append(values)
    return [np.concatenate(part) for part in parts]


def votes_of(nearest: Rows, votes: Any) -> Any:
    """Sum up the votes: (q, k) places of voters and (p, c) their answers give sparse (q, c)."""
    import scipy.sparse as sp

    there = nearest >= 0
    weights = np.broadcast_to(weights_of(nearest.shape[1]), nearest.shape)[there]
    starts = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    given = sp.csr_array((weights, nearest[there], starts), shape=(len(nearest), votes.shape[0]))
    return given @ votes


def places_of(scores: Any, others: Any, asked: Rows) -> tuple[Rows, Rows]:
    """Return, for each asked answer, how many wrong ones score higher, and how many are tied.

    `scores` and `others` are sparse (q, c) as in Task, absent scores are 0; `asked` (2, a) sorted.
    Tied ones include the asked one itself. What `others` holds doesn't count as wrong.
    """
    n_candidates = scores.shape[1]
    top = int(scores.data.max(initial=0)) + 1
    of_row = np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr))
    every = np.sort(of_row * top + scores.data)
    rows, columns = others.tocoo().coords
    excluded = np.sort(rows * top + look_up(scores, rows, columns))
    mine = look_up(scores, asked[0], asked[1])
    above, tied = above_and_tied(every, asked[0], mine, top)
    voted = np.diff(scores.indptr)[asked[0]]
    tied = np.where(mine == 0, n_candidates - voted, tied)
    above_other, tied_other = above_and_tied(excluded, asked[0], mine, top)
    return above - above_other, tied - tied_other + 1


def above_and_tied(keys: Rows, rows: Rows, mine: Rows, top: int) -> tuple[Rows, Rows]:
    """Count, for each of `rows` and its score in `mine`, the row's higher scores and equal ones.

    `keys` are all rows' scores as row * top + score, sorted; every score is below `top`.
    """
    end = np.searchsorted(keys, (rows + 1) * top)
    low = np.searchsorted(keys, rows * top + mine, side="left")
    high = np.searchsorted(keys, rows * top + mine, side="right")
    return end - high, high - low


def look_up(matrix: Any, rows: Rows, columns: Rows) -> Rows:
    """Return entries of a sparse matrix, 0 where it has none: (m,)."""
    if not len(rows):
        return np.empty(0, np.int64)
    found: Rows = np.asarray(matrix[rows, columns]).reshape(-1).astype(np.int64)
    return found


def rank_by_popularity(task: Task) -> Float64s:
    """Rank by how many in the pool have the answer. (a, 3)."""
    popular = np.asarray(task.votes.sum(axis=0)).reshape(-1).astype(np.int64)
    top = int(popular.max(initial=0)) + 1
    rows, mine = task.asked[0], popular[task.asked[1]]
    above, tied = above_and_tied(np.sort(popular), np.zeros_like(rows), mine, top)
    other_rows, columns = task.others.tocoo().coords
    excluded = np.sort(other_rows * top + popular[columns])
    above_other, tied_other = above_and_tied(excluded, rows, mine, top)
    return expected_metrics(above - above_other, tied - tied_other + 1)


def rank_by_chance(task: Task) -> Float64s:
    """Rank with all scores equal. (a, 3)."""
    others = np.diff(task.others.indptr)[task.asked[0]]
    return expected_metrics(np.zeros_like(others), len(task.candidates) - others + 1)


def expected_metrics(above: Rows, tied: Rows) -> Float64s:
    """Return reciprocal rank and hits as expected when ties are broken at random: (a, 3).

    The rank is above + 1 … above + tied, each as likely: the mean of 1 / rank over these, and
    the share of them within k. Equal scores for all thus give what a random order gives.
    """
    from scipy.special import digamma

    reciprocal = (digamma(above + tied + 1.0) - digamma(above + 1.0)) / tied
    hits = [np.clip((k - above) / tied, 0, 1) for k in HITS]
    return np.stack([reciprocal, *hits], axis=1)


def summarize_ranks(
    graph: Graph,
    ranked: Ranked,
    seed: int,
    strata: dict[str, dict[str, NDArray[np.bool_]]] | None = None,
) -> dict[str, Any]:
    """Sum up all queries, then by degree, by relation and by strata, with what the vectors gain.

    Intervals are over the entities that the queries start from (stats.py).
    """
    methods = list(ranked.metrics)
    columns = np.concatenate([ranked.metrics[method] for method in methods], axis=1)

    def summed(some: NDArray[np.bool_]) -> dict[str, Any]:
        means, ends = mean_with_interval(columns[some], ranked.sources[some], seed)
        return {
            method: {
                metric: score_entry(
                    means[3 * i + j], None if ends is None else ends[:, 3 * i + j], some.sum()
                )
                for j, metric in enumerate(METRICS)
            }
            for i, method in enumerate(methods)
        }

    everything = summed(np.ones(len(columns), bool))
    compared = [method for method in methods if method != "vectors"]
    if "vectors" in methods:
        gains = [ranked.metrics["vectors"][:, 0] - ranked.metrics[m][:, 0] for m in compared]
        means, ends = mean_with_interval(np.stack(gains, axis=1), ranked.sources, seed)
        for i, method in enumerate(compared):
            everything["vectors"][f"mrr_gain_over_{method}"] = score_entry(
                means[i], None if ends is None else ends[:, i], len(columns)
            )
    by_relation = {
        graph.names[relation]: summed(ranked.relations == relation)
        for relation in np.unique(ranked.relations)
    }
    groups = degree_groups(graph.degrees[ranked.sources])
    by_degree = {group: summed(some) for group, some in groups.items()}
    found = {"all": {"all": everything}, "degree": by_degree, "relation": by_relation}
    for by, groups_of_queries in (strata or {}).items():
        found[by] = {group: summed(some) for group, some in groups_of_queries.items()}
    return found


def sums_of_ranks(ranked: Ranked, asked: str) -> ItemSums:
    """Sum up the ranks by the entity that a query starts from: METRICS of vectors, others' MRR."""
    columns = {
        f"{method}.{metric}": values[:, place]
        for method, values in ranked.metrics.items()
        for place, metric in enumerate(METRICS if method == "vectors" else METRICS[:1])
    }
    return sums_by_item(ranked.sources, columns, asked)


def degree_groups(degrees: Rows) -> dict[str, NDArray[np.bool_]]:
    """Return which of the degrees (m,), from 1, are in each range that any is in: (m,) each."""
    found = {}
    for low, high in DEGREES:
        some = (degrees >= low) & (degrees <= (high or degrees.max(initial=0)))
        if some.any():
            found[f"{low}-{high}" if high else f"{low}+"] = some
    return found
