"""Leakage: how much of the cold start is read off names in the hidden entities' texts."""

from typing import TYPE_CHECKING, Any

import numpy as np

from kgtextvec.errors import InputError
from kgtextvec.evaluate.scores import VECTOR_BASELINES, Score, ScoreResult, ScoringContext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from kgtextvec.evaluate.graph import Graph
    from kgtextvec.evaluate.ranking import Ranked
    from kgtextvec.space import Rows, Space

METHODS = ("vectors", "tfidf_chars")
ASKING = ("", "_masked", "_control")  # with which text an entity asks
LEAKAGE_METRICS = {
    "mrr": "MRR",
    "mrr_masked": "MRR, names masked",
    "mrr_control": "MRR, other words masked",
    "mrr_drop": "Drop by names",
    "mrr_read_off": "Of it beyond other words",
}


def score_leakage(context: ScoringContext) -> ScoreResult:
    """Rank the answers as the cold start does, of entities that ask with masked texts."""
    from kgtextvec.device import choose_cuda_or_cpu
    from kgtextvec.evaluate.graph import graphs_of_files
    from kgtextvec.evaluate.ranking import rank_answers
    from kgtextvec.gpu_lock import leased
    from kgtextvec.space import checked_space

    space, seed = context.space, context.settings.seed
    why = reason_left_out(context)
    if why or context.masked is None or context.masked_texts is None or not context.triples:
        return ScoreResult(notes=[f"leakage: left out, {why}"])
    masked = checked_space(context.masked)
    rows = rows_of_masked(masked, space)
    graphs, _ = graphs_of_files(space, context.triples, (), context.edges, seed)
    graphs = [asked_only_from(graph, rows) for graph in graphs]
    device = choose_cuda_or_cpu(
        context.device, 0.1 * len(rows) * graphs[0].counts["entities"] * space.matrix.dims
    )
    with leased(device) as place, masked.vectors_checked():
        makers, neighbours = methods_of(context, masked, len(rows)), context.settings.neighbours
        asked = asked_with_masks(graphs, space, masked)
        shared = context.baselines.shared(
            "leakage", [[asked]], neighbours=neighbours, device=device
        )
        ranked = rank_answers(graphs, makers, neighbours, seed, place, shared)
    if not np.array_equal(np.unique(ranked.sources), rows):
        raise InputError(f"{masked.folder}: masked for another graph or seed. Delete it and rerun.")
    changed = rows[texts_changed(space, masked, rows)]
    counts = {
        "queries": len(ranked.sources),
        "entities": len(rows),
        "texts_with_names": len(changed),
        "turns": len(graphs),
    }
    scores = summarize_drops(ranked, graphs[0], changed, seed)
    return ScoreResult(
        scores=scores,
        notes=[
            f"leakage: the texts of {len(changed):,} of {len(rows):,} hidden entities name another"
            f" end of their edges{largest_drops(scores['relation'])}"
        ],
        counts=counts,
        items=sums_of_masked(ranked, asked),
    )


def reason_left_out(context: ScoringContext) -> str:
    """Return why the score can't be computed; "" if it can."""
    if context.space.manifest["kind"] != "entities":
        return "it needs a table of entities"
    if not context.triples:
        return "graph.file (or evaluate.triples) names no file"
    if context.test_triples:
        return "evaluate.test_triples hides no entities"
    if context.masked is None or context.masked_texts is None:
        return "texts that are names have no descriptions to mask"
    return ""


def rows_of_masked(masked: "Space", space: "Space") -> "Rows":
    """Return the rows of the entities whose texts were masked, (m,), ascending.

    Raises InputError unless the space has them twice: masked, then the controls.
    """
    import pyarrow as pa

    from kgtextvec.evaluate.graph import node_rows

    found = node_rows(pa.chunked_array([masked.column("node_id")]), space)
    first, second = np.split(found, [len(found) // 2])
    if not (
        np.array_equal(first, second) and len(first) and (np.diff(first, prepend=-1) > 0).all()
    ):
        raise InputError(f"{masked.folder}: not made of this table's texts. Delete it and rerun.")
    return first


def asked_only_from(graph: "Graph", rows: "Rows") -> "Graph":
    """Return a graph in which only these rows ask."""
    from dataclasses import replace

    return replace(graph, asked=graph.asked & np.isin(graph.sources, rows))


def methods_of(
    context: ScoringContext, masked: "Space", n: int
) -> "Iterator[tuple[str, Callable[[Rows], Any]]]":
    """Yield name and maker of vectors by method and asking text; n entities ask."""
    import scipy.sparse as sp

    from kgtextvec.evaluate.readers import UnitsOnDemand, read_texts_of, take_units

    baselines = context.baselines
    halves = {"_masked": np.arange(n), "_control": np.arange(n, 2 * n)}

    def own(ending: str) -> "Callable[[Rows], Any]":
        def made(rows: "Rows") -> Any:
            units = baselines.vectors(rows)
            if not ending:
                return units
            others = take_units(masked.matrix, halves[ending])
            if isinstance(units, UnitsOnDemand):
                return units.followed_by(others)
            return np.concatenate([units, others])

        return made

    def characters(ending: str) -> "Callable[[Rows], Any]":
        def made(rows: "Rows") -> Any:
            found = baselines.tfidf_chars(rows)
            if not ending or context.masked_texts is None:
                return found
            texts, where = read_texts_of(context.masked_texts, masked, halves[ending])
            asking = baselines.characters_of([texts[place] for place in where.tolist()])
            return sp.vstack([found, asking], "csr")

        return made

    for method, maker in zip(METHODS, (own, characters), strict=True):
        for ending in ASKING:
            yield method + ending, maker(ending)


def texts_changed(space: "Space", masked: "Space", rows: "Rows") -> "NDArray[np.bool_]":
    """Return which of the entities have another text when names are masked: (m,)."""
    import pyarrow as pa

    mine = space.column("text_sha256").take(pa.array(rows)).to_numpy(zero_copy_only=False)
    theirs = masked.column("text_sha256").to_numpy(zero_copy_only=False)[: len(rows)]
    changed: NDArray[np.bool_] = mine != theirs
    return changed


def summarize_drops(ranked: "Ranked", graph: "Graph", changed: "Rows", seed: int) -> dict[str, Any]:
    """Return the MRRs and their differences: over all, by relation, by what the text names.

    Differences are paired by query; intervals are over entities (stats.py).
    """
    from kgtextvec.stats import mean_with_interval, score_entry

    mrr = {method: values[:, 0] for method, values in ranked.metrics.items()}
    columns: dict[tuple[str, str], NDArray[np.float64]] = {}
    for method in METHODS:
        plain, masked, control = (mrr[method + ending] for ending in ASKING)
        values = (plain, masked, control, plain - masked, control - masked)
        columns |= {(method, name): one for name, one in zip(LEAKAGE_METRICS, values, strict=True)}
    columns |= {(method, "mrr"): mrr[method] for method in ("popularity", "chance")}
    table = np.stack(list(columns.values()), axis=1)

    def summed(some: "NDArray[np.bool_]") -> dict[str, Any]:
        means, ends = mean_with_interval(table[some], ranked.sources[some], seed)
        found: dict[str, Any] = {}
        for place, (method, metric) in enumerate(columns):
            interval = None if ends is None else ends[:, place]
            found.setdefault(method, {})[metric] = score_entry(means[place], interval, some.sum())
        return found

    named = np.isin(ranked.sources, changed)
    groups = {
        "all": {"all": np.ones(len(table), bool)},
        "relation": {
            graph.names[one]: ranked.relations == one for one in np.unique(ranked.relations)
        },
        "text": {"names an answer": named, "names none": ~named},
    }
    return {
        by: {group: summed(some) for group, some in of_groups.items() if some.any()}
        for by, of_groups in groups.items()
    }


def largest_drops(relations: dict[str, Any]) -> str:
    """Return the relations whose MRR drops most, of those where the interval is above zero."""
    drops = {name: methods["vectors"]["mrr_drop"] for name, methods in relations.items()}
    clear = {name: one for name, one in drops.items() if one["interval"] and one["interval"][0] > 0}
    largest = sorted(clear, key=lambda name: (-clear[name]["value"], name))[:3]
    listed = ", ".join(f"{name} {clear[name]['value']:.3f}" for name in largest)
    return f"; largest clear drops of MRR by relation: {listed}" if listed else ""


def sums_of_masked(ranked: "Ranked", asked: str) -> Any:
    """Return the sums by which spaces are compared in pairs: the MRR with names masked."""
    from kgtextvec.pairs import sums_by_item

    columns = {f"{one}.mrr_masked": ranked.metrics[f"{one}_masked"][:, 0] for one in METHODS}
    return sums_by_item(ranked.sources, columns, asked)


def asked_with_masks(graphs: "list[Graph]", space: "Space", masked: "Space") -> str:
    """Return a digest of what is asked, and with which masked texts."""
    from kgtextvec.evaluate.scores.cold_start import asked_of
    from kgtextvec.pairs import digest_of_parts

    return digest_of_parts([[asked_of(graphs, space)], masked.column("text_sha256")])


SCORE = Score(
    title="Leakage",
    description="How much of the cold start is read off names: the score drops when the names of an"
    " entity's neighbours are masked in its text.",
    compute=score_leakage,
    metrics=LEAKAGE_METRICS,
    baselines={
        "chance": "chance",
        "popularity": "popularity",
        "tfidf_chars": VECTOR_BASELINES["tfidf_chars"],
    },
    inputs=("triples",),
)
