"""Check the verdicts of the gallery by plain numpy: no score or interval is taken from the engine.

    python gallery/check.py gallery/results gallery/hpo

Only which entities are hidden in which turn is read from the engine. Ranks, the TF-IDF baselines
(scikit-learn's, as documented), means, and paired bootstraps are computed here. Stops at the first
number or verdict that differs.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from sklearn.feature_extraction.text import TfidfVectorizer

from kgtextvec.evaluate.graph import graphs_of_files
from kgtextvec.space import Space

MODEL = "all-MiniLM-L6-v2"
TABLES = ("names", "definitions", "both")
ENTITIES_ASKED = 100  # of the first turn, so that the plain loops take a minute


def units(folder):
    """Vectors of a space at length 1, in float64."""
    vectors = np.load(folder / "embeddings.npy").astype(np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def text_of(table, row):
    """The text of a row under a text rule of gallery/config.yaml."""
    name, definition = (" ".join(row[column].split()) for column in ("name", "description"))
    if table == "both":
        return f"{name}. {definition}" if definition else f"{name}."
    return (table == "definitions" and definition) or name


def counts_of(texts, **how):
    """TF-IDF of all texts in the graph, by scikit-learn."""
    return TfidfVectorizer(sublinear_tf=True, **how).fit_transform(texts)


def reciprocal_rank(voters, answers_of, candidates, others, answer):
    """1 / rank of an answer by the votes of the nearest, ties in any order, others left out."""
    votes = dict.fromkeys(candidates, 0.0)
    for place, voter in enumerate(voters):
        for one in answers_of[voter]:
            votes[one] += 1 / np.log2(2 + place)
    mine = votes[answer]
    rest = [vote for one, vote in votes.items() if one not in others and one != answer]
    above = sum(vote > mine + 1e-9 for vote in rest)
    tied = 1 + sum(abs(vote - mine) <= 1e-9 for vote in rest)
    return float(np.mean([1 / (above + 1 + i) for i in range(tied)]))


def sums_by_loops(graph, labels, cosines, chosen):
    """The sum of reciprocal ranks of each of `chosen` entities (or None where it asks nothing)."""
    edges = list(
        zip(graph.sources.tolist(), graph.relations.tolist(), graph.answers.tolist(), strict=True)
    )
    known = [edge for edge, yes in zip(edges, graph.known, strict=True) if yes]
    by_relation, true, kinds = {}, {}, {}
    for source, relation, answer in known:
        by_relation.setdefault((relation, labels[source]), {}).setdefault(source, []).append(answer)
    for source, relation, answer in edges:
        kinds.setdefault(relation, set()).add(labels[answer])
        true.setdefault((source, relation), set()).add(answer)
    warm = [row for row in np.unique(graph.sources).tolist() if not graph.cold[row]]
    found, candidates_of = {}, {}
    for (source, relation, answer), asked in zip(edges, graph.asked, strict=True):
        if not asked or source not in chosen:
            continue
        answers_of = by_relation.get((relation, labels[source]), {})
        pool = np.array(list(answers_of))
        near = (
            pool[np.argsort(-cosines(source, pool), kind="stable")[:10]].tolist()
            if len(pool)
            else []
        )
        if relation not in candidates_of:
            candidates_of[relation] = [row for row in warm if labels[row] in kinds[relation]]
        candidates = candidates_of[relation]
        others = true[source, relation] | {source}
        found.setdefault(source, []).append(
            reciprocal_rank(near, answers_of, candidates, others, answer)
        )
    return {source: (sum(ranks), len(ranks)) for source, ranks in found.items()}


def paired(first, second, counts, draws=2000):
    """The difference of two means over queries and its 95 % interval: entities drawn anew."""
    rng = np.random.default_rng(7)
    difference = first - second
    drawn = []
    for _ in range(draws):
        some = rng.integers(0, len(counts), len(counts))
        drawn.append(difference[some].sum() / counts[some].sum())
    low, high = np.quantile(drawn, [0.025, 0.975])
    return difference.sum() / counts.sum(), low, high


def verdicts(results, tables):
    """Print the page's comparisons and check each by the sums of each hidden entity.

    Returns (difference, low, high) by name.
    """

    def read(table, space):
        file = results / MODEL / table / space / "scores_by_row.parquet"
        rows = pq.read_table(file).to_pandas()
        return rows[rows["score"] == "cold_start"].set_index("row")

    def strongest(table):
        rows = read(table, "full")
        means = {
            name: rows[name].sum() / rows["n"].sum()
            for name in rows.columns
            if name.endswith(".mrr") and name != "vectors.mrr" and rows[name].notna().all()
        }
        return max(means, key=means.get).partition(".")[0]

    page = (results / "compare.html").read_text("utf-8")
    asked = [("full over words, names", ("names", "full", "vectors"), ("names", "full", "tfidf"))]
    for table in tables:
        own, best = (table, "full", "vectors"), strongest(table)
        asked.append((f"full over the best counts ({best}), {table}", own, (table, "full", best)))
        asked.append((f"pca64 minus full, {table}", (table, "pca64", "vectors"), own))
    for table, other in (("definitions", "names"), ("both", "names"), ("both", "definitions")):
        if table in tables and other in tables:
            asked.append(
                (f"{table} minus {other}", (table, "full", "vectors"), (other, "full", "vectors"))
            )
    differences = {}
    for name, one, other in asked:
        a, b = read(*one[:2]), read(*other[:2])
        assert (a.index == b.index).all() and (a["n"] == b["n"]).all(), "not the same questions"
        found = paired(
            a[f"{one[2]}.mrr"].to_numpy(), b[f"{other[2]}.mrr"].to_numpy(), a["n"].to_numpy()
        )
        differences[name] = found
        print(f"{name}: {found[0]:+.4f} ({found[1]:+.4f} to {found[2]:+.4f})", end="")
        on_page = f"{found[0]:+.4f}" in page or f"{-found[0]:+.4f}" in page
        print("" if on_page else ", not on the page")
        assert on_page or other[2] == "tfidf" or one[1] == "pca64", f"{name} is not on the page"
    return differences


def main(results, source, tables=TABLES):
    """Check ranks of some entities of the first turn, then the verdicts; return the differences.

    `source` is where gallery/hpo.py put the tables and triples.
    """
    for table in tables:
        space = Space(results / MODEL / table / "full")
        labels = space.column("label").to_pylist()
        graph = graphs_of_files(space, [source / "triples.tsv"], (), None, 0)[0][0]
        hidden = np.flatnonzero(graph.cold)
        chosen = set(
            np.random.default_rng(1).choice(hidden, ENTITIES_ASKED, replace=False).tolist()
        )
        with (source / "entities.tsv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        texts = [text_of(table, row) for row in rows]
        chars = counts_of(texts, analyzer="char_wb", ngram_range=(3, 5))
        sums = pq.read_table(space.folder / "scores_by_row.parquet").to_pandas()
        sums = sums[sums["score"] == "cold_start"].set_index("row")
        for method, vectors in (("vectors", units(space.folder)), ("tfidf_chars", chars)):

            def cosines(source, pool, of=vectors):
                product = of[pool] @ of[source].T
                return np.asarray(
                    product.todense() if hasattr(product, "todense") else product
                ).ravel()

            mine = sums_by_loops(graph, labels, cosines, chosen)
            theirs = sums.loc[list(mine), [f"{method}.mrr", "n"]].to_numpy()
            ours = np.array(list(mine.values()))
            assert (ours[:, 1] == theirs[:, 1]).all()
            # Where cosines tie, voters are ordered by the seed there and by row here.
            gap = abs(ours[:, 0].sum() / ours[:, 1].sum() - theirs[:, 0].sum() / theirs[:, 1].sum())
            print(
                f"{table}, {method}: MRR {ours[:, 0].sum() / ours[:, 1].sum():.4f}, {gap:.4f} away"
            )
            assert gap < 0.003
    return verdicts(results, tables)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
