"""Cold start: how well the nearest known entities predict the edges of a hidden one."""

from typing import TYPE_CHECKING, Any

import numpy as np

from kgtextvec.evaluate.scores import (
    VECTOR_BASELINES,
    Score,
    ScoreResult,
    ScoringContext,
)

if TYPE_CHECKING:
    from kgtextvec.evaluate.graph import Graph
    from kgtextvec.space import Space


def score_cold_start(context: ScoringContext) -> ScoreResult:
    """Hide entities of the graph (or take the split given) and rank the answers of their edges."""
    from kgtextvec.device import choose_cuda_or_cpu
    from kgtextvec.evaluate.graph import graphs_of_files, left_out
    from kgtextvec.evaluate.ranking import rank_answers, summarize_ranks, sums_of_ranks
    from kgtextvec.evaluate.strata import strata_of_texts
    from kgtextvec.gpu_lock import leased

    space, seed = context.space, context.settings.seed
    if space.manifest["kind"] != "entities":
        return ScoreResult(notes=["cold_start: left out, it needs a table of entities"])
    if not context.triples:
        return ScoreResult(notes=["cold_start: left out, evaluate.triples names no file"])
    graphs, triples = graphs_of_files(
        space, context.triples, context.test_triples, context.edges, seed
    )
    graph = graphs[0]
    counts = graph.counts | {"turns": len(graphs)}
    for name in ("hidden", "queries", "left_out_answer_hidden"):
        counts[name] = sum(one.counts[name] for one in graphs)
    notes = [f"cold_start: {said}" for said in left_out(triples.counts)]
    if not counts["queries"]:
        notes += ["cold_start: left out, the graph is too small to hide anything"]
        return ScoreResult(notes=notes, counts=counts)
    n_entities = counts["entities"]
    device = choose_cuda_or_cpu(context.device, 0.1 * n_entities * n_entities * space.matrix.dims)
    with leased(device) as place:
        neighbours, methods = context.settings.neighbours, context.baselines.methods()
        asked = asked_of(graphs, space)
        shared = context.baselines.shared(
            "cold_start", [[asked]], neighbours=neighbours, device=device
        )
        ranked = rank_answers(graphs, methods, neighbours, seed, place, shared)
    items = sums_of_ranks(ranked, asked)
    scores = summarize_ranks(graph, ranked, seed, strata_of_texts(space, context.baselines, ranked))
    return ScoreResult(scores, notes + named_note(scores["answer_in_text"]), counts, items)


def named_note(groups: "dict[str, Any]") -> list[str]:
    """Return a note on queries whose answer appears in the text: how many, and what they score."""
    from kgtextvec.evaluate.strata import NAMED_GROUPS

    of_groups = [groups[name]["vectors"]["mrr"] for name in NAMED_GROUPS if name in groups]
    if len(of_groups) < len(NAMED_GROUPS):
        return []
    named, other = of_groups
    share = named["n"] / (named["n"] + other["n"])
    return [
        f"cold_start: in {share:.1%} of the queries the text names the answer; MRR of the vectors"
        f" {named['value']:.3f} there, {other['value']:.3f} in the others"
    ]


def asked_of(graphs: "list[Graph]", space: "Space") -> str:
    """Return a digest of what is asked: nodes, edges, and which of them are known."""
    import pyarrow as pa

    from kgtextvec.pairs import digest_of_parts

    graph = graphs[0]
    nodes = np.unique(graph.sources)
    parts = [nodes, space.column("node_id").take(pa.array(nodes)), graph.names, graph.sources]
    parts += [graph.relations, graph.answers, graph.labels[nodes]]
    parts += [part for one in graphs for part in (one.known, one.asked, np.flatnonzero(one.cold))]
    return digest_of_parts(parts)


SCORE = Score(
    title="Cold start",
    description="How well the edges of a hidden entity are predicted by the known entities nearest"
    " to it.",
    compute=score_cold_start,
    metrics={
        "mrr": "MRR",
        "hits_at_1": "Hits@1",
        "hits_at_10": "Hits@10",
        "mrr_gain_over_tfidf": "MRR over TF-IDF of words",
    },
    baselines={"chance": "chance", "popularity": "popularity", **VECTOR_BASELINES},
    inputs=("triples", "test_triples"),
    headline=("mrr", "cold-start MRR"),
)
