"""Check a verdict on accuracies of few rows, whose intervals overlap, by McNemar's exact test.

    python gallery/check_labels.py gallery/results

Rows of the gallery, the same number of each label, are scored by their labels alone, as a table
without a graph is. Neighbours, hits and the test are computed here by plain loops; only the folds
are the engine's. Stops unless the page's sentence agrees.
"""

import json
import math
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.feature_extraction.text import TfidfVectorizer

from kgtextvec.evaluate.folds import grouped_folds, near_duplicates
from kgtextvec.evaluate.scorecard import evaluate_space
from kgtextvec.pairs import read_item_sums
from kgtextvec.report.compare.scores import ComparedSpace, ScoreValue
from kgtextvec.report.compare.verdict import table_verdict
from kgtextvec.settings.scores import Scoring

ROWS = 300  # of each label
TABLE = "names"
MODELS = ("all-MiniLM-L6-v2", "wordllama")


def label_hits(vectors, labels, folds, k=10):
    """1 where most of a row's k nearest of other folds have its label, shared where several do."""
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    hits = []
    for row in range(len(labels)):
        others = [i for i in range(len(labels)) if folds[i] != folds[row]]
        cosines = units @ units[row]
        others.sort(key=lambda i: -cosines[i])
        votes = [labels[i] for i in others[:k]]
        first = [one for one in set(votes) if votes.count(one) == max(map(votes.count, votes))]
        hits.append((labels[row] in first) / len(first))
    return np.array(hits)


def mcnemar(first, second):
    """The chance that rows which only one gets right are shared so unevenly: exact, two-sided."""
    gained, lost = int((first > second).sum()), int((first < second).sum())
    tail = sum(math.comb(gained + lost, i) for i in range(min(gained, lost) + 1))
    return min(tail / 2 ** (gained + lost - 1), 1.0)


def chosen_rows(index):
    """Rows of a space, ascending: ROWS of each label, by a hash of their ids."""
    labels, ids = (index[name].to_pylist() for name in ("label", "id"))
    found = []
    for label in sorted(set(labels)):
        rows = [row for row, own in enumerate(labels) if own == label]
        rows.sort(key=lambda row: sha256(ids[row].encode()).hexdigest())
        found += rows[:ROWS]
    return sorted(found)


def part_of(space, folder, rows):
    """Write a space of some rows of another one."""
    folder.mkdir(parents=True)
    np.save(folder / "embeddings.npy", np.load(space / "embeddings.npy", mmap_mode="r")[rows])
    index = pq.read_table(space / "index.parquet").take(rows)
    place = index.schema.get_field_index("row")
    index = index.set_column(
        place, "row", pa.array(range(len(rows)), index.schema.field(place).type)
    )
    pq.write_table(index, folder / "index.parquet")
    record = json.loads((space / "manifest.json").read_text("utf-8"))
    kept = ("model", "table", "kind", "space", "dims", "text")
    about = {name: record[name] for name in kept if name in record} | {"rows": len(rows)}
    (folder / "manifest.json").write_text(json.dumps(about))
    return index


def main(results):
    """Score both models on the rows, print and check the verdict; return McNemar's p."""
    rows = chosen_rows(pq.read_table(results / MODELS[0] / TABLE / "full/index.parquet"))
    spaces, hits = [], []
    with tempfile.TemporaryDirectory() as name:
        for model in MODELS:
            folder = Path(name) / model
            index = part_of(results / model / TABLE / "full", folder, rows)
            evaluate_space(
                folder,
                texts=results / "texts" / TABLE / "shards",
                out=folder / "scores.json",
                scoring=Scoring(scores=("labels",)),
            )
            methods = json.loads((folder / "scores.json").read_text())["scores"]["labels"]
            scores = {
                ("labels", method, metric): ScoreValue(one["value"], *(one["interval"] or ()))
                for method, metrics in methods["all"]["all"].items()
                for metric, one in metrics.items()
            }
            items = read_item_sums(folder / "scores_by_row.parquet")
            spaces.append(ComparedSpace(model, TABLE, "full", scores=scores, items=items))
            labels = np.unique(index["label"].to_pylist(), return_inverse=True)[1]
            texts = index["name"].to_pylist()
            grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
            groups = near_duplicates(texts, grams.fit_transform(texts).tocsr())[0]
            folds = grouped_folds(labels, groups, 0)
            hits.append(label_hits(np.load(folder / "embeddings.npy").astype(float), labels, folds))
            mine = scores["labels", "vectors", "knn_accuracy"]
            assert abs(hits[-1].mean() - mine.value) < 1e-6, f"{model}: {hits[-1].mean()}"
            print(f"{model}: {mine.value:.4f} ({mine.low:.3f} to {mine.high:.3f})")
    chance, difference = mcnemar(*hits), hits[0].mean() - hits[1].mean()
    said = next(one for one in table_verdict(spaces) if one.startswith("The best of"))
    print(f"{len(rows)} rows, difference {difference:+.4f}, McNemar's exact test {chance:.4f}")
    print(said)
    clear = "clearly better than all others" in said
    assert f"{abs(difference):+.4f}" in said
    assert clear == (chance < 0.05), "the page and the test disagree"
    return chance


if __name__ == "__main__":
    main(Path(sys.argv[1]))
