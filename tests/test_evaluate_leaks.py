"""Text rules that tell the label are found by measuring; near-duplicates stay in one fold."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluate_fixtures import make_space, shards_of

from kgtextvec.evaluate.baselines import Baselines
from kgtextvec.evaluate.folds import FOLDS, grouped_folds, near_duplicates
from kgtextvec.evaluate.leaks import value_hits
from kgtextvec.evaluate.scorecard import evaluate_space
from kgtextvec.settings.scores import Scoring
from kgtextvec.space import Space

LABELS = ["Gene"] * 60 + ["Disease"] * 40
WORDS = [f"{chr(97 + i % 26)}{chr(97 + i // 26)}lo{i}" for i in range(100)]


def probed(tmp_path, rule, texts, **columns):
    """The label probe's part of scores.json; `columns` replace those of the index."""
    vectors = np.random.default_rng(0).normal(size=(100, 4))
    folder = make_space(tmp_path, vectors, LABELS, texts, text=rule)
    index = pq.read_table(folder / "index.parquet")
    for name, values in columns.items():
        index = index.set_column(index.column_names.index(name), name, pa.array(values))
    pq.write_table(index, folder / "index.parquet")
    out = folder / "scores.json"
    scoring = Scoring(scores=("labels",))
    evaluate_space(folder, texts=shards_of(folder), out=out, scoring=scoring, threads=1)
    return json.loads(out.read_text())


def told(card):
    """The columns that are reported as telling the label."""
    methods = card["scores"]["labels"]["all"]["all"]
    return {name: methods[name]["knn_accuracy"]["value"] for name in methods if "column" in name}


@pytest.mark.parametrize("noise", [0, 10])
def test_a_column_that_tells_the_label_is_found_whatever_its_name(tmp_path, noise):
    """A resource that goes with the label, but for some rows."""
    resource = ["NCBI" if label == "Gene" else "MESH" for label in LABELS]
    for row in range(noise):
        resource[row] = "MESH"
    texts = [f"{r}: {word}" for r, word in zip(resource, WORDS, strict=True)]
    card = probed(tmp_path, "{resource}: {name}", texts, resource=resource, name=WORDS)
    assert told(card) == {"column_resource": pytest.approx(1 - noise / 100)}
    (note,) = [one for one in card["notes"] if "resource" in one]
    assert f"alone predicts {100 - noise}% of labels" in note


def test_a_column_that_the_index_lacks_is_cut_from_the_texts(tmp_path):
    taxa = ["9606" if label == "Gene" else "" for label in LABELS]
    texts = [f"{w} (taxon {t})" for w, t in zip(WORDS, taxa, strict=True)]
    card = probed(tmp_path, "{name} (taxon {taxid})", texts, name=WORDS)
    assert told(card) == {"column_taxid": 1.0}


def test_the_prefix_of_an_id_is_found(tmp_path):
    ids = [("ENTREZ:" if x == "Gene" else "DOID:") + str(i) for i, x in enumerate(LABELS)]
    texts = [f"{word} {i}" for word, i in zip(WORDS, ids, strict=True)]
    assert told(probed(tmp_path, "{name} {id}", texts, id=ids)) == {"column_id_prefix": 1.0}


def test_columns_that_say_nothing_of_labels_are_no_leak(tmp_path):
    both = ["A" if i % 2 else "B" for i in range(100)]
    texts = [f"{r} {word}" for r, word in zip(both, WORDS, strict=True)]
    assert told(probed(tmp_path, "{resource} {name}", texts, resource=both)) == {}


def test_a_value_predicts_by_the_other_folds_alone():
    """Against a plain loop; a value that they lack predicts their commonest label."""
    rng = np.random.default_rng(0)
    labels, folds = rng.integers(0, 3, 200), rng.integers(0, 5, 200)
    values = [f"v{v}" for v in labels + rng.integers(0, 4, 200)]
    expected = []
    for row in range(200):
        others = [labels[i] for i in range(200) if folds[i] != folds[row]]
        same = [
            labels[i] for i in range(200) if folds[i] != folds[row] and values[i] == values[row]
        ]
        expected.append(float(np.bincount(same or others).argmax() == labels[row]))
    assert value_hits(values, labels, folds).tolist() == expected


def test_near_duplicates_are_grouped_and_short_names_are_not(tmp_path):
    texts = [
        "mutation of chromosome 12 in mice",
        "Mutation of chromosome 7 in mice.",
        "a rare disease of the heart that begins in early childhood",
        "a rare disease of the heart that begins in early childhoods",
        "TP53",
        "TP63",
        "IL2",
    ]
    folder = make_space(tmp_path, np.eye(7), ["A"] * 7, texts)
    characters = Baselines(Space(folder), shards_of(folder), 0)
    own, where = characters.texts_of(np.arange(7))
    groups, several = near_duplicates([own[i] for i in where], characters.tfidf_chars(np.arange(7)))
    assert groups[0] == groups[1] and groups[2] == groups[3]
    assert len(set(groups.tolist())) == 5 and several == 4


def test_groups_stay_together_and_labels_are_spread_over_folds():
    rng = np.random.default_rng(1)
    groups = np.sort(rng.integers(0, 150, 400))
    groups = np.unique(groups, return_inverse=True)[1]
    labels = (groups % 3 == 0).astype(np.int64)
    folds = grouped_folds(labels, groups, 0)
    for group in range(groups.max() + 1):
        assert len(set(folds[groups == group].tolist())) == 1
    for label in (0, 1):
        sizes = np.bincount(folds[labels == label], minlength=FOLDS)
        assert sizes.max() - sizes.min() <= 3
    alone = grouped_folds(np.repeat([0, 1], [37, 63]), np.arange(100), 0)
    assert np.bincount(alone).tolist() == [20] * 5
    assert sorted(np.bincount(alone[:37]).tolist()) == [7, 7, 7, 8, 8]


def test_a_planted_copy_no_longer_makes_a_label_look_predictable(tmp_path):
    """Random vectors, but each text has a near-copy with the same label and nearly its vector."""
    rng = np.random.default_rng(2)
    vectors = np.repeat(rng.normal(size=(60, 8)), 2, axis=0) + rng.normal(0, 0.01, (120, 8))
    labels = np.repeat(rng.permutation(["A", "B"] * 30), 2).tolist()
    first = [f"{''.join(rng.choice(list('abcdefgh'), 12))} of the {i} kind" for i in range(60)]
    texts = [text + end for text in first for end in ("", ".")]
    folder = make_space(tmp_path, vectors, labels, texts)
    out = folder / "scores.json"
    scoring = Scoring(scores=("labels",), neighbours=1)
    evaluate_space(folder, texts=shards_of(folder), out=out, scoring=scoring, threads=1)
    found = json.loads(out.read_text())
    assert "labels: 120 of 120 texts have near-duplicates, which stay in one fold" in found["notes"]
    accuracy = found["scores"]["labels"]["all"]["all"]["vectors"]["knn_accuracy"]["value"]
    assert 0.3 < accuracy < 0.7, "1.0 where copies are in other folds"
