"""The cheap baselines against plain loops, and ties that favour no row."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from evaluate_fixtures import make_space, shards_of

from kgtextvec.evaluate import baselines
from kgtextvec.evaluate.baselines import Baselines
from kgtextvec.evaluate.folds import grouped_folds
from kgtextvec.evaluate.readers import units_of
from kgtextvec.evaluate.scores.labels import knn_hits
from kgtextvec.space import Space

TEXTS = ["Heart attack", "heart attacks, acute", "TP53", "TP63 protein", "liver", "-- !"]


def made_of(tmp_path, texts):
    folder = make_space(tmp_path, np.eye(len(texts), 8), ["A"] * len(texts), texts)
    return Baselines(Space(folder), shards_of(folder), 0)


def grams(text):
    """The n-grams of 3 to 5 characters of each word, with a space before and after the word."""
    found = Counter()
    for word in text.lower().split():
        padded = f" {word} "
        for n in (3, 4, 5):
            found.update(padded[i : i + n] for i in range(max(len(padded) - n + 1, 1)))
            if len(padded) <= n:  # a short word is one n-gram, counted once
                break
    return found


def words(text):
    cut = "".join(c if c.isalnum() or c == "_" else " " for c in text.lower()).split()
    return Counter(cut) + Counter(f"{a} {b}" for a, b in pairwise(cut))


def cosines(texts, terms):
    """Cosines of sublinear TF-IDF with smoothed idf, each text a dict of terms."""
    counts = [terms(text) for text in texts]
    n_texts = Counter(term for count in counts for term in count)
    found = []
    for count in counts:
        weights = {
            term: (1 + math.log(n)) * (math.log((1 + len(texts)) / (1 + n_texts[term])) + 1)
            for term, n in count.items()
        }
        length = math.sqrt(sum(weight**2 for weight in weights.values())) or 1.0
        found.append({term: weight / length for term, weight in weights.items()})
    return np.array(
        [[sum(w * b.get(term, 0.0) for term, w in a.items()) for b in found] for a in found]
    )


def test_character_n_grams_and_both_are_those_of_a_plain_loop(tmp_path):
    made, rows = made_of(tmp_path, TEXTS), np.arange(len(TEXTS))
    by_words, by_chars = cosines(TEXTS, words), cosines(TEXTS, grams)
    for method, expected in (
        (made.tfidf, by_words),
        (made.tfidf_chars, by_chars),
        (made.tfidf_both, (by_words + by_chars) / 2),
    ):
        vectors = method(rows)
        assert (vectors @ vectors.T).toarray() == pytest.approx(expected, abs=1e-12)
    assert by_chars[2, 3] > 0.04 and by_words[2, 3] == 0, "what words don't see, characters do"


def test_long_texts_lose_their_ends_so_that_all_fit_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(baselines, "CHARACTERS", 40)
    made = made_of(tmp_path, [*TEXTS, "x" * 1000])
    made.tfidf_chars(np.arange(7))
    cut = made.beginnings(made.texts_of(np.arange(7))[0])
    assert 34 <= sum(map(len, cut)) <= 40
    assert {"TP53", "liver", "-- !"} <= set(cut), "short ones are left as they are"
    (note,) = made.notes
    assert "only the first 6 characters of each text" in note
    monkeypatch.setattr(baselines, "CHARACTERS", 10_000)
    assert made.beginnings(TEXTS) == TEXTS


@pytest.mark.parametrize("share", [0.5, 0.8])
@pytest.mark.parametrize("seed", range(3))
def test_ties_alone_give_what_a_random_order_gives(share, seed):
    """Equal vectors, labels in the order of the file: the voters are as if drawn by lot."""
    n = 500
    labels = (np.arange(n) >= share * n).astype(np.int64)
    vectors = units_of(np.ones((n, 4)))
    hits = knn_hits(vectors, labels, grouped_folds(labels, np.arange(n), seed), 10, seed)
    # Ten voters drawn by lot: the majority label's hits are P(most votes are its) = 0.5 or 0.98.
    assert hits.mean() == pytest.approx(max(share, 1 - share), abs=0.02)


def test_votes_that_tie_count_as_their_share():
    """Of each label two rows at one place: their four voters elsewhere tie two to two."""
    labels = np.array([0, 1] * 10)
    vectors = units_of(np.repeat(np.eye(5), 4, axis=0))
    folds = np.tile([0, 0, 1, 1], 5)
    assert knn_hits(vectors, labels, folds, 2, 0).tolist() == [0.5] * 20
