"""From a graph to the verdict: what was misleading once comes out right, by plain loops as well."""

import json
import random
import re
from collections import defaultdict
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from evaluate_fixtures import clusters, make_space, shards_of, write_triples
from manifests import space_manifest

from kgtextvec.evaluate.collect import collect_scores
from kgtextvec.evaluate.folds import grouped_folds
from kgtextvec.evaluate.scorecard import evaluate_space
from kgtextvec.pairs import read_item_sums
from kgtextvec.report.compare import compare_spaces
from kgtextvec.report.compare.rules import rules_verdict
from kgtextvec.report.compare.scores import ComparedSpace, ScoreValue
from kgtextvec.report.compare.verdict import table_verdict
from kgtextvec.settings.scores import Scoring


def compared_space(folder, score, triples=()):
    """A space as the page reads it, scored by one score."""
    out = folder / "scores.json"
    scoring = Scoring(scores=(score,))
    texts = shards_of(folder)
    evaluate_space(folder, texts=texts, out=out, triples=triples, scoring=scoring, threads=1)
    methods = json.loads(out.read_text())["scores"][score]["all"]["all"]
    scores = {
        (score, method, metric): ScoreValue(one["value"], *(one["interval"] or ()))
        for method, metrics in methods.items()
        for metric, one in metrics.items()
    }
    items = read_item_sums(folder / "scores_by_row.parquet")
    return ComparedSpace("toy", "things", folder.name, dims=8, scores=scores, items=items)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Where the spaces are, with their scores."""
    return tmp_path_factory.mktemp("verdicts")


@pytest.fixture(scope="module")
def spaces(root):
    """Things of one-word names that begin alike within a cluster; two spaces, one a bit noisier."""
    rng = np.random.default_rng(5)
    vectors, labels, triples = clusters(n_clusters=8, size=50)
    letters = list("bcdfgklmnprstvz")
    starts = ["".join(rng.choice(letters, 5)) for _ in range(8)]
    names = [starts[i // 50] + "".join(rng.choice(letters, 4)) for i in range(400)] + starts
    path = write_triples(root / "t.tsv", triples)
    noise = rng.normal(size=vectors.shape)
    found = []
    for space, amount in (("full", 0.5), ("pca8", 0.53)):
        given = vectors + amount * noise + 0.05 * rng.normal(size=vectors.shape)
        folder = make_space(root, given, labels, names, space=space)
        found.append(compared_space(folder, "cold_start", [path]))
    return found


def paired_by_hand(one, other, draws=2000):
    """The difference of two means over queries and its 95 % interval: entities drawn in a loop."""
    sums = defaultdict(lambda: [0.0, 0.0, 0])
    for place, (items, column) in enumerate((one, other)):
        for row, value, n in zip(items.rows, items.sums[column], items.counts, strict=True):
            sums[int(row)][place] += value
            sums[int(row)][2] = n
    entities = list(sums.values())

    def difference(some):
        return sum(a - b for a, b, _ in some) / sum(n for _, _, n in some)

    chance = random.Random(3)  # noqa: S311 (a bootstrap)
    drawn = sorted(difference(chance.choices(entities, k=len(entities))) for _ in range(draws))
    return difference(entities), drawn[int(0.025 * draws)], drawn[int(0.975 * draws)]


def test_the_baseline_to_beat_is_characters_where_names_are_one_word(spaces):
    said = table_verdict(spaces)
    best = spaces[0]
    values = {m: best.scores["cold_start", m, "mrr"].value for m in ("tfidf", "tfidf_chars")}
    assert values["tfidf_chars"] > values["tfidf"] + 0.2, "words have nothing to go by"
    assert "the best of all baselines, TF-IDF of characters at" in said[1]
    own = best.scores["cold_start", "vectors", "mrr"].value
    left, gain = own - values["tfidf_chars"], own - values["tfidf"]
    verb = "beats" if left > 0 else "loses to"
    assert f"toy full {verb} the best of all baselines" in said[1]
    assert f"Of its gain of {gain:+.3f} over TF-IDF of words" in said[2]
    items = best.items["cold_start"]
    value, low, high = paired_by_hand((items, "vectors.mrr"), (items, "tfidf_chars.mrr"))
    assert (low > 0 or high < 0) and f"difference {value:+.4f}" in said[1]


def test_a_small_loss_is_clear_although_intervals_overlap(spaces):
    full, reduced = spaces
    mine, its = (one.scores["cold_start", "vectors", "mrr"] for one in spaces)
    assert its.high > mine.low, "the intervals overlap"
    value, low, high = paired_by_hand(
        *((one.items["cold_start"], "vectors.mrr") for one in (reduced, full))
    )
    assert high < 0, "and yet it is a loss"
    (kept,) = [one for one in table_verdict(spaces) if "keeps" in one]
    assert f"clearly worse: {value:+.4f}, " in kept
    ends = kept.partition(f"{value:+.4f}, ")[2].partition(")")[0].split(" to ")
    assert [float(end) for end in ends] == pytest.approx([low, high], abs=0.15 * (high - low))
    assert "It is clearly better than all others" in table_verdict(spaces)[0]


def test_a_small_gain_of_a_text_rule_is_clear_although_intervals_overlap(spaces):
    """The same vectors as above, as if two text rules of one file had given them."""
    rules = {"long": "{name}. {description}", "short": "name"}
    group = [
        replace(one, table=table, text=text, file="e.tsv", space="full", rows=408)
        for one, (table, text) in zip(spaces, rules.items(), strict=True)
    ]
    value, low, _ = paired_by_hand(*((one.items["cold_start"], "vectors.mrr") for one in group))
    assert low > 0
    said = rules_verdict(group)
    mine, its = (one.scores["cold_start", "vectors", "mrr"] for one in group)
    assert its.high > mine.low, "the intervals overlap"
    assert said[0] == "long (“{name}. {description}”) and short (name) read one file."
    assert said[1].startswith(
        f"toy full: best with long, at cold-start MRR {mine.value:.3f} (95 % interval"
        f" {mine.low:.3f} to {mine.high:.3f}), before short ({its.value:.3f}; clearly better:"
        f" {value:+.4f}, "
    )


def test_every_number_of_the_summary_is_in_a_table_of_the_page(spaces, root):
    """Or the difference or the share of two such numbers, where a sentence says so."""
    scores, page = root / "scores.tsv", root / "compare.html"
    folders = [root / "toy/things" / one.space for one in spaces]
    for folder in folders:  # what the workflow's own manifests have besides
        path = folder / "manifest.json"
        path.write_text(json.dumps(space_manifest() | json.loads(path.read_text())))
    collect_scores([folder / "scores.json" for folder in folders], out=scores)
    compare_spaces(folders, scores=scores, out_html=page)
    html = page.read_text("utf-8").replace("\u00a0", " ")
    cells = [re.sub("<[^>]+>", " ", one) for one in re.findall(r"<td.*?</td>", html, re.DOTALL)]
    numbers = [float(one) for cell in cells for one in re.findall(r"[+-]?\d\.\d+", cell)]
    summary = html[html.index('class="words"') : html.index("</ul>", html.index('class="words"'))]
    said = re.findall(r"<li>(.*?)</li>", summary)
    assert len(said) == len(table_verdict(spaces))
    found = 0
    for sentence in said:
        gains = sentence.startswith("Of its gain")
        pairs = [a - b for a in numbers for b in numbers] if gains else []
        for one in re.findall(r"[+-]?\d\.\d{3,4}", sentence):
            near = 0.0011 if gains else 1e-9  # of two rounded numbers
            on_page = [*numbers, *(-number for number in numbers), *pairs]
            assert min(abs(float(one) - number) for number in on_page) < near, (one, sentence)
            found += 1
        for share in re.findall(r"(\d+) % of the full space's", sentence):
            reduced, full = map(float, re.findall(r"(\d\.\d{3}) of (\d\.\d{3})", sentence)[0])
            assert float(share) == pytest.approx(100 * reduced / full, abs=0.6)
    assert found > 15


def test_accuracies_of_45_rows_whose_intervals_overlap_are_clearly_different(tmp_path, monkeypatch):
    """Without triples the label probe ranks, on the same rows; here by McNemar's exact test."""
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(3), 15)
    names = ["".join(rng.choice(list("bcdfgklmnprstvz"), 9)) for _ in range(45)]  # none alike
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1])
    check = import_module("gallery.check_labels")
    noise, more = rng.normal(size=(2, 45, 8))
    kinds = [f"Kind{label}" for label in labels]
    clear = np.eye(3, 8)[labels] + 0.5 * noise
    vectors = [one.astype(np.float32) for one in (clear, clear + 0.6 * more)]
    full, worse = (
        compared_space(make_space(tmp_path, given, kinds, names, space=space), "labels")
        for space, given in zip(("full", "pca8"), vectors, strict=True)
    )
    mine, its = (one.scores["labels", "vectors", "knn_accuracy"] for one in (full, worse))
    assert its.high > mine.low, "the intervals overlap"
    folds = grouped_folds(labels, np.arange(45), 0)
    hits = [check.label_hits(given.astype(np.float64), labels, folds) for given in vectors]
    assert [one.mean() for one in hits] == pytest.approx([mine.value, its.value], abs=1e-6)
    assert check.mcnemar(*hits) < 0.02
    best = next(one for one in table_verdict([full, worse]) if one.startswith("The best of"))
    assert "It is clearly better than all others" in best
    assert f"{mine.value - its.value:+.4f}" in best
