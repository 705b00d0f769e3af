"""A graph's triples as row numbers of a table, and the split that makes entities unknown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kgtextvec.errors import InputError
from kgtextvec.evaluate.readers import Nodes
from kgtextvec.part_files import name_of_parts
from kgtextvec.settings.edges import EdgeReading
from kgtextvec.space import AMBIGUOUS, NO_ROW, Rows, as_rows, rows_of_bare_ids
from kgtextvec.triples import read_columns

PARTS = 10
FEWEST_ENTITIES = 10  # a label with fewer entities in the graph keeps them all
SMALL = 5_000  # entities; of fewer, every part is hidden in its turn whatever it costs
MOST_HIDDEN = 10_000  # hidden at a time: intervals are narrow by then
FEWEST_HIDDEN = 1_000  # of a large graph, whatever they cost
MOST_COSINES = 10**9  # over all turns: minutes of a core for all methods together
INVERSE = "^-1"


@dataclass(frozen=True)
class Triples:
    """A file's triples: row numbers of heads and tails, names of relations; each once.

    `counts`: how many the file has, and how many were left out and why.
    """

    heads: Rows
    tails: Rows
    relations: NDArray[np.object_]
    counts: dict[str, int]


@dataclass(frozen=True)
class Graph:
    """Directed edges (source, relation, answer): each triple forwards, then backwards.

    Arrays are (e,): `sources` and `answers` row numbers of the table, `relations` numbers of
    `names` (an inverse one ends in ^-1), `known` whether a scorer may see the edge, `asked`
    whether it is asked for. `cold` and `labels` are (n,), by row: which entities are unknown, and
    numbers of their labels; `degrees` (n,) counts an entity's edges before any was hidden.
    """

    sources: Rows
    relations: Rows
    answers: Rows
    names: list[str]
    labels: Rows
    cold: NDArray[np.bool_]
    known: NDArray[np.bool_]
    asked: NDArray[np.bool_]
    degrees: Rows
    counts: dict[str, int] = field(default_factory=dict)


def read_graph_triples(
    paths: Sequence[Path], space: Nodes, how: EdgeReading | None = None
) -> Triples:
    """Read edges and find the rows of their nodes.

    A node is `label::id` or, failing that, a bare id that one node has. A triple whose ends aren't
    both rows of the table, or are the same, is left out and counted. Raises InputError when the
    file can't be read, or when no triple is left.
    """
    table = read_columns(paths, how)
    heads, tails = (node_rows(table[name], space) for name in ("head", "tail"))
    relations = table["relation"].to_numpy().astype(object)
    there = (heads >= 0) & (tails >= 0)
    other = heads != tails
    frame = pa.table({"h": heads, "r": table["relation"], "t": tails}).filter(
        pa.array(there & other)
    )
    once = frame.group_by(["h", "r", "t"], use_threads=False).aggregate([])
    once = once.sort_by([("r", "ascending"), ("h", "ascending"), ("t", "ascending")])
    counts = {
        "triples": len(relations),
        "without_row": int((~there).sum()),
        "ambiguous": int(((heads == AMBIGUOUS) | (tails == AMBIGUOUS)).sum()),
        "loops": int((there & ~other).sum()),
        "repeated": frame.num_rows - once.num_rows,
        "used": once.num_rows,
    }
    if not once.num_rows:
        example = f"; the first is {table['head'][0]}" if table.num_rows else ""
        node = f"; the table's first is {space.column('node_id')[0]}" if space.rows else ""
        raise InputError(
            f"{paths[0].with_name(name_of_parts(paths))}: no triple has both ends among the rows of"
            f" {space.folder}{example}{node}. Name nodes as the table does (its key"
            " node_id), or give another file."
        )
    relation = once["r"].to_numpy().astype(object)
    return Triples(once["h"].to_numpy(), once["t"].to_numpy(), relation, counts)


def node_rows(nodes: pa.ChunkedArray, space: Nodes) -> Rows:
    """Return the row of each node, (m,): NO_ROW where none has it, AMBIGUOUS where several do."""
    if not len(nodes):
        return np.empty(0, np.int64)
    # Chunk by chunk: of several at once, each would hold the names of all, to be unified.
    encoded = pa.chunked_array([pc.dictionary_encode(chunk) for chunk in nodes.chunks])
    encoded = encoded.unify_dictionaries().combine_chunks()
    names = encoded.dictionary
    of_name = as_rows(pc.index_in(names, value_set=space.column("node_id")))
    left = np.flatnonzero(of_name == NO_ROW)
    if len(left):
        rest = names.take(pa.array(left))
        of_name[left] = rows_of_bare_ids(rest, space.column("id"), space.column("node_id"))
    found: Rows = of_name[encoded.indices.to_numpy(zero_copy_only=False)]
    return found


def left_out(counts: dict[str, int]) -> list[str]:
    """Return what to say of triples without a row, given the `counts` of them all."""
    lost, several = counts["without_row"], counts["ambiguous"]
    if not lost:
        return []
    said = f"{lost:,} of {counts['triples']:,} triples name a node without a row"
    if several:
        said += f", {several:,} of them by an id that occurs under several labels: write label::id"
    return [said]


def codes_of_names(names: NDArray[np.object_]) -> tuple[list[str], Rows]:
    """Return the distinct names, sorted, and the place of each of `names` among them: (m,)."""
    encoded = pc.dictionary_encode(pa.array(names, pa.string()))
    distinct = encoded.dictionary.to_pylist()
    order = sorted(range(len(distinct)), key=distinct.__getitem__)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    codes: Rows = place[encoded.indices.to_numpy()]
    return [distinct[i] for i in order], codes


def directed(triples: Triples, labels: Rows) -> Graph:
    """Lay each triple forwards and backwards; nothing is cold yet, all is known, none asked."""
    names, numbers = codes_of_names(triples.relations)
    both = np.concatenate([triples.heads, triples.tails])
    edges = len(both)
    return Graph(
        sources=both,
        relations=np.concatenate([numbers, numbers + len(names)]).astype(np.int64),
        answers=np.concatenate([triples.tails, triples.heads]),
        names=[*names, *(f"{name}{INVERSE}" for name in names)],
        labels=labels,
        cold=np.zeros(len(labels), bool),
        known=np.ones(edges, bool),
        asked=np.zeros(edges, bool),
        degrees=np.bincount(both, minlength=len(labels)).astype(np.int64),
        counts=dict(triples.counts),
    )


def hide(graph: Graph, seed: int, turn: int = 0, share: float | None = None) -> Graph:
    """Make a part of each label's entities cold: all of their edges become unknown.

    Entities of each label with at least FEWEST_ENTITIES in the graph are divided into PARTS parts
    by `seed`; part `turn` is cold, in a large graph a share of it (by default `share_hidden`).
    Asked is every edge from a cold entity to one that isn't. Returns a new graph.
    """
    rng = np.random.default_rng(seed)
    there = np.unique(graph.sources)
    share = share_hidden(graph) if share is None else share
    cold = np.zeros(len(graph.labels), bool)
    for label in np.unique(graph.labels[there]):
        rows = there[graph.labels[there] == label]
        if len(rows) >= FEWEST_ENTITIES:
            part = np.array_split(rng.permutation(rows), PARTS)[turn]
            cold[part[: max(round(len(part) * share), 1)]] = True
    return with_cold(graph, cold, graph.known & ~cold[graph.sources] & ~cold[graph.answers], cold)


def hide_in_turns(graph: Graph, seed: int) -> list[Graph]:
    """Hide each part in its turn, so that all entities count once; fewer in a large graph.

    In a graph of SMALL entities or more so many turns are taken as MOST_COSINES allow, at least
    one. The number depends on the graph alone, so that all spaces are asked the same.
    """
    small = len(np.unique(graph.sources)) < SMALL
    share = share_hidden(graph)
    cosines = 0 if small else max(int(share * cosines_of_part(graph)), 1)
    turns = PARTS if small else min(max(MOST_COSINES // cosines, 1), PARTS)
    return [hide(graph, seed, turn, share) for turn in range(turns)]


def graphs_of_files(
    nodes: Nodes,
    triples: Sequence[Path],
    test: Sequence[Path],
    how: EdgeReading | None,
    seed: int,
) -> tuple[list[Graph], Triples]:
    """Read a graph and return it with what is hidden in each turn, or as `test` splits it.

    Also returns the triples as read. Raises InputError as `read_graph_triples` does.
    """
    read = read_graph_triples(triples, nodes, how)
    if not test:
        return hide_in_turns(directed(read, nodes.label_codes), seed), read
    asked = read_graph_triples(test, nodes, how)
    return [split_known_and_test(read, asked, nodes.label_codes)], read


def share_hidden(graph: Graph) -> float:
    """Return which share of a part is hidden in its turn: all of it in a graph of less than SMALL.

    In a larger one as much as MOST_HIDDEN entities and MOST_COSINES allow, but FEWEST_HIDDEN.
    """
    entities = max(len(np.unique(graph.sources)), 1)
    if entities < SMALL:
        return 1.0
    by_work = max(MOST_COSINES / cosines_of_part(graph), FEWEST_HIDDEN * PARTS / entities)
    return min(1.0, MOST_HIDDEN * PARTS / entities, by_work)


def cosines_of_part(graph: Graph) -> int:
    """Estimate how many cosines a part compares: hidden times known, by relation and label."""
    n_labels = int(graph.labels.max(initial=0)) + 1
    kinds = graph.relations * n_labels + graph.labels[graph.sources]
    pairs = np.unique(kinds * len(graph.labels) + graph.sources)
    sizes = np.bincount(pairs // len(graph.labels)).astype(np.float64)
    return max(int(np.square(sizes).sum() * (PARTS - 1) / PARTS**2), 1)


def with_cold(
    graph: Graph,
    cold: NDArray[np.bool_],
    known: NDArray[np.bool_],
    asking: NDArray[np.bool_],
) -> Graph:
    """Ask for the edges that aren't known, from entities in `asking` (n,), to ones not cold."""
    unknown = ~known & asking[graph.sources]
    asked = unknown & ~cold[graph.answers]
    counts = graph.counts | {
        "entities": len(np.unique(graph.sources)),
        "hidden": int(cold.sum()),
        "queries": int(asked.sum()),
        "left_out_answer_hidden": int((unknown & ~asked).sum()),
    }
    return replace(graph, cold=cold, known=known, asked=asked, counts=counts)


def split_known_and_test(triples: Triples, test: Triples, labels: Rows) -> Graph:
    """Ask for the triples of `test`, both ways, and let the others of `triples` be known.

    An entity without a known edge is cold: it may be asked from, but not for. Returns a graph.
    """
    heads = np.concatenate([test.heads, triples.heads])
    tails = np.concatenate([test.tails, triples.tails])
    relations = np.concatenate([test.relations, triples.relations])
    frame = pa.table({"h": heads, "r": pa.array(relations, pa.string()), "t": tails})
    frame = frame.append_column("place", pa.array(np.arange(len(heads))))
    first = frame.group_by(["h", "r", "t"], use_threads=False).aggregate([("place", "min")])
    keep = np.sort(first["place_min"].to_numpy())
    counts = triples.counts | {f"test_{name}": n for name, n in test.counts.items()}
    graph = directed(Triples(heads[keep], tails[keep], relations[keep], counts), labels)
    known = np.tile(keep >= len(test.heads), 2)
    warm = np.zeros(len(labels), bool)
    warm[graph.sources[known]] = True
    cold = np.zeros(len(labels), bool)
    cold[graph.sources] = ~warm[graph.sources]
    return with_cold(graph, cold, known, np.ones(len(labels), bool))


@dataclass(frozen=True)
class Task:
    """All queries of one relation from entities of one label.

    `queries` (q,), `pool` (p,) and `candidates` (c,) are row numbers: who asks, who may vote, what
    can be the answer. `votes` (p, c) and `others` (q, c) are sparse 0/1: the answers that voters
    have, and what is left out of a query's ranking: all of its true answers, and itself. `asked`
    are places (2, a) in (q, c) of the answers to rank, sorted.
    """

    relation: int
    queries: Rows
    pool: Rows
    candidates: Rows
    votes: Any
    others: Any
    asked: Rows


def tasks_of(graph: Graph, seed: int) -> Iterator[Task]:
    """Yield the tasks of a graph, by relation and label.

    Voters are the known entities of the label that have the relation, in an order drawn by
    `seed`; candidates are the entities that aren't cold, of the labels that answers of the
    relation have.
    """
    in_graph = np.unique(graph.sources)
    warm = in_graph[~graph.cold[in_graph]]
    order = np.argsort(graph.relations, kind="stable")
    ends = np.searchsorted(graph.relations[order], np.arange(len(graph.names) + 1))
    rng = np.random.default_rng(seed)
    for relation in range(len(graph.names)):
        edges = order[ends[relation] : ends[relation + 1]]
        if not graph.asked[edges].any():
            continue
        of_answers = np.unique(graph.labels[graph.answers[edges]])
        candidates = warm[np.isin(graph.labels[warm], of_answers)]
        labels = graph.labels[graph.sources[edges]]
        for label in np.unique(labels[graph.asked[edges]]):
            yield task_of(graph, relation, edges[labels == label], candidates, rng)


def task_of(
    graph: Graph, relation: int, edges: Rows, candidates: Rows, rng: np.random.Generator
) -> Task:
    """Make the task of the given edges, all of one relation and from one label."""
    import scipy.sparse as sp

    known, asked = edges[graph.known[edges]], edges[graph.asked[edges]]
    queries = np.unique(graph.sources[asked])
    pool = rng.permutation(np.unique(graph.sources[known]))
    by_row = np.argsort(pool)

    def matrix(rows: Rows, columns: Rows, height: int) -> Any:
        ones = np.ones(len(rows), np.int64)
        found = sp.csr_array((ones, (rows, columns)), shape=(height, len(candidates)))
        found.data[:] = 1
        return found

    voter = by_row[np.searchsorted(pool, graph.sources[known], sorter=by_row)]
    votes = matrix(voter, np.searchsorted(candidates, graph.answers[known]), len(pool))
    true = edges[~graph.cold[graph.answers[edges]] & np.isin(graph.sources[edges], queries)]
    itself = queries[np.isin(queries, candidates)]
    rows = np.concatenate([graph.sources[true], itself])
    columns = np.concatenate([graph.answers[true], itself])
    others = matrix(
        np.searchsorted(queries, rows), np.searchsorted(candidates, columns), len(queries)
    )
    places = np.stack(
        [
            np.searchsorted(queries, graph.sources[asked]),
            np.searchsorted(candidates, graph.answers[asked]),
        ]
    )
    places = places[:, np.lexsort(places[::-1])]
    return Task(relation, queries, pool, candidates, votes, others, places)
