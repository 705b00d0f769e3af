"""Scores of large tables: what bounds their memory and work changes no score that it need not."""

import json

import numpy as np
import pyarrow as pa
import pytest
from evaluate_fixtures import make_space, shards_of, write_triples

from kgtextvec.errors import InputError
from kgtextvec.evaluate import baselines
from kgtextvec.evaluate.graph import node_rows
from kgtextvec.evaluate.readers import UnitsOnDemand, take_units
from kgtextvec.evaluate.scorecard import evaluate_space
from kgtextvec.evaluate.scores.retention import number_asking
from kgtextvec.settings.scores import Scoring
from kgtextvec.space import Space


def scores_of(root, n=240):
    """Cold start of two labels of things with clusters of vectors, words and answers."""
    rng = np.random.default_rng(2)
    cluster = np.arange(n) % 8
    vectors = np.vstack([np.eye(8, 12)[cluster] + 0.3 * rng.normal(size=(n, 12)), np.eye(8, 12)])
    labels = [*(f"Thing{i % 3}" for i in range(n)), *["Answer"] * 8]
    words = [f"common{c} own{rng.integers(30)} rare{i}" for i, c in enumerate(cluster)]
    texts = [*words, *(f"answer {i}" for i in range(8))]
    triples = [(f"Thing{i % 3}::{i}", "likes", f"Answer::{n + i % 8}") for i in range(n)]
    folder = make_space(root, vectors, labels, texts)
    out = root / "scores.json"
    evaluate_space(
        folder,
        texts=shards_of(folder),
        out=out,
        triples=[write_triples(root / "t.tsv", triples)],
        scoring=Scoring(scores=("cold_start",)),
        threads=1,
    )
    card = json.loads(out.read_text())
    methods = card["scores"]["cold_start"]["all"]["all"]
    return {name: one["mrr"]["value"] for name, one in methods.items()}, card["notes"]


def test_vectors_taken_part_by_part_score_as_those_held_at_once(tmp_path, monkeypatch):
    before, _ = scores_of(tmp_path / "held")
    taken = []
    monkeypatch.setattr(baselines, "HELD", 100)
    monkeypatch.setattr(
        baselines, "UnitsOnDemand", lambda *args: taken.append(args) or UnitsOnDemand(*args)
    )
    after, notes = scores_of(tmp_path / "parts")
    assert len(taken) == 2, "the space's and the random ones"
    assert after.pop("random") == pytest.approx(before.pop("random"), abs=0.08)
    assert after == before and before["vectors"] > 0.7
    assert not [note for note in notes if "tfidf_svd" in note]


@pytest.mark.parametrize("held", [1 << 28, 100])
def test_an_svd_fitted_on_a_part_of_the_texts_serves_all(tmp_path, monkeypatch, held):
    before, _ = scores_of(tmp_path / "all")
    monkeypatch.setattr(baselines, "SVD_TEXTS", 150)
    monkeypatch.setattr(baselines, "HELD", held)
    after, notes = scores_of(tmp_path / "part")
    assert "tfidf_svd: fitted on 150 of 240 texts" in notes
    assert after["tfidf_svd"] == pytest.approx(before["tfidf_svd"], abs=0.05)
    assert after["tfidf_svd"] > 2 * after["random"] and after["tfidf"] == before["tfidf"]


def test_vectors_on_demand_may_be_followed_by_others():
    table = np.arange(20.0, dtype=np.float32).reshape(10, 2)
    asked = []

    def take(places):
        asked.append(places.tolist())
        return table[:7][places]

    both = UnitsOnDemand((7, 2), take).followed_by(table[7:])
    for places in ([0, 3, 6, 7, 9], [8], [2, 5]):
        assert both.take(np.array(places)).tolist() == table[places].tolist()
    assert both.shape == (10, 2) and asked == [[0, 3, 6], [], [2, 5]]


def test_few_rows_of_many_are_read_as_in_blocks_and_refused_alike(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)
    vectors[70] = 0
    matrix = Space(make_space(tmp_path, vectors, ["A"] * 100)).matrix
    every = take_units(matrix, np.arange(100))
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    assert every == pytest.approx(vectors / lengths, abs=1e-6)
    few = np.array([3, 70, 71])
    assert take_units(matrix, few).tobytes() == every[few].tobytes()
    vectors[71, 2] = np.nan
    bad = Space(make_space(tmp_path, vectors, ["A"] * 100, table="bad")).matrix
    with pytest.raises(InputError, match="first at row 71"):
        take_units(bad, few)


def test_nodes_are_found_alike_in_one_chunk_and_in_many(tmp_path):
    space = Space(make_space(tmp_path, np.eye(6), list("AABBCC")))
    names = ["B::2", "5", "none", "A::0", "B::2", "C::4", "0"]
    chunks = pa.chunked_array([names[:2], [], names[2:3], names[3:]], pa.string())
    expected = [2, 5, -1, 0, 2, 4, 0]
    assert node_rows(chunks, space).tolist() == expected
    assert node_rows(pa.chunked_array([names]), space).tolist() == expected
    assert node_rows(pa.chunked_array([], pa.string()), space).tolist() == []


@pytest.mark.parametrize(
    ("texts", "asking"),
    [(3, 3), (5_000, 5_000), (200_000, 5_000), (400_000, 2_500), (10**6, 1_000), (10**7, 1_000)],
)
def test_of_a_large_table_fewer_ask_for_neighbours(texts, asking):
    """5,000 at most, 10^9 cosines at most, but 1,000 of any table."""
    assert number_asking(texts) == asking
