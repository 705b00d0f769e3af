"""Link prediction without PyKEEN: the split, the ranking, the sums, the error in its absence."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluate_fixtures import make_space, write_triples
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from kgtextvec.errors import InputError
from kgtextvec.evaluate.graph import Triples, read_graph_triples
from kgtextvec.evaluate.link_models import popularity_scorer, rank_test_triples
from kgtextvec.evaluate.link_scores import group_means, groups_of, summarize_runs
from kgtextvec.evaluate.link_split import Split, split_for_links, split_for_links_as_given
from kgtextvec.evaluate.link_training import check_trainable
from kgtextvec.evaluate.ranking import DEGREES, degree_groups
from kgtextvec.space import Space
from kgtextvec.stats import mean_over_seeds

ROOT = Path(__file__).resolve().parents[1]


def triples_of(numbered):
    """Triples of row numbers, each once; relation j is called r<j>."""
    once = np.unique(np.array(numbered, np.int64).reshape(-1, 3), axis=0)
    names = np.array([f"r{j}" for j in once[:, 1]], object)
    return Triples(once[:, 0], once[:, 2], names, {"triples": len(once), "without_row": 0})


def as_rows(cut, part):
    """A part of a split, as row numbers of the table and names."""
    found = getattr(cut, part)
    return {(int(cut.rows[h]), cut.names[r], int(cut.rows[t])) for h, r, t in found}


graphs = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 3), st.integers(31, 60)), min_size=20, max_size=200
)


@given(graphs, st.integers(0, 5))
def test_all_that_is_asked_for_was_seen_in_training(numbered, seed):
    triples = triples_of(numbered)
    try:
        cut = split_for_links(triples, seed)
    except InputError:
        return
    train, test = as_rows(cut, "train"), as_rows(cut, "test")
    assert not train & test
    assert len(train) + len(test) == len(triples.heads)
    assert len(test) <= len(triples.heads) // 10
    seen = {end for h, _, t in train for end in (h, t)}
    assert seen == set(cut.rows.tolist())
    assert {h for h, _, _ in test} | {t for _, _, t in test} <= seen
    assert {r for _, r, _ in test} <= {r for _, r, _ in train}
    for place, row in enumerate(cut.rows):
        assert cut.degrees[place] == sum((h == row) + (t == row) for h, _, t in train)


def test_the_split_is_the_seeds_alone():
    triples = triples_of([(i, 0, 40 + (i * j) % 17) for i in range(40) for j in range(6)])
    once, again, other = (as_rows(split_for_links(triples, seed), "test") for seed in (3, 3, 4))
    assert once == again != other
    assert len(once) == len(triples.heads) // 10


def test_a_graph_too_sparse_is_refused():
    with pytest.raises(InputError, match="none can be set aside"):
        split_for_links(triples_of([(i, 0, 100 + i) for i in range(50)]), 0)


def test_a_given_split_leaves_out_what_training_has_not_seen():
    known = [(0, 0, 10), (1, 0, 10), (1, 0, 11), (2, 1, 11)]
    cut = split_for_links_as_given(
        triples_of([*known, (0, 0, 11)]),  # the last one is asked for, so it isn't trained on
        triples_of([(0, 0, 11), (0, 0, 12), (5, 0, 10), (2, 0, 10), (0, 7, 10)]),
    )
    assert as_rows(cut, "train") == {(h, f"r{r}", t) for h, r, t in known}
    assert as_rows(cut, "test") == {(0, "r0", 11), (2, "r0", 10)}
    assert cut.rows.tolist() == [0, 1, 2, 10, 11]
    assert cut.counts["left_out_unseen"] == 3
    with pytest.raises(InputError, match="test_triples"):
        split_for_links_as_given(triples_of(known), triples_of([(8, 0, 9)]))


def test_pairs_that_training_links_otherwise_are_counted():
    cut = split_for_links_as_given(
        triples_of([(0, 0, 10), (0, 1, 10), (1, 0, 11), (11, 1, 2), (2, 0, 10)]),
        triples_of([(0, 1, 10), (2, 0, 11), (1, 0, 10)]),
    )
    assert cut.counts["test"] == 3
    assert cut.counts["test_pairs_linked_in_training"] == 2


def toy_split(seed=0, n=12, relations=3, m=60, t=9):
    rng = np.random.default_rng(seed)
    every = np.unique(rng.integers(0, [n, relations, n], (m, 3)), axis=0)
    every = rng.permutation(every[every[:, 0] != every[:, 2]])
    train, test = every[t:], every[:t]
    degrees = np.bincount(train[:, [0, 2]].reshape(-1), minlength=n)
    names = [f"r{j}" for j in range(relations)]
    return Split(np.arange(n), names, train, test, degrees, {})


def ranked_slowly(scores, cut):
    """Mean reciprocal rank and hits over all orders of level ones, by going through them."""
    known = {tuple(one) for one in [*cut.train.tolist(), *cut.test.tolist()]}
    found = []
    for side in (2, 0):
        for query, triple in enumerate(cut.test.tolist()):
            mine = scores[side][query][triple[side]]
            above = level = 0
            for other in range(len(cut.rows)):
                put = list(triple)
                put[side] = other
                if other != triple[side] and tuple(put) in known:
                    continue
                above += scores[side][query][other] > mine
                level += scores[side][query][other] == mine
            places = np.arange(above + 1, above + level + 1)
            found.append([(1 / places).mean(), (places <= 1).mean(), (places <= 10).mean()])
    return np.array(found)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dims", [1, 1 << 24])
def test_ranks_are_those_of_a_plain_loop(seed, dims):
    """Whole numbers as scores, so that many are level; by one block, and query by query."""
    cut = toy_split(seed)
    rng = np.random.default_rng(seed + 100)
    scores = {side: rng.integers(0, 4, (len(cut.test), len(cut.rows))) for side in (2, 0)}
    place = {tuple(triple): i for i, triple in enumerate(cut.test.tolist())}

    def scorer(some, side):
        at = [place[tuple(triple)] for triple in some.tolist()]
        return torch.from_numpy(scores[side][at].astype(np.float32))

    np.testing.assert_allclose(rank_test_triples(scorer, cut, dims), ranked_slowly(scores, cut))


def test_popularity_counts_who_is_at_that_side_of_the_relation():
    cut = toy_split(3)
    scores = {
        side: [
            [sum(one[1] == r and one[side] == e for one in cut.train.tolist()) for e in cut.rows]
            for _, r, _ in cut.test.tolist()
        ]
        for side in (2, 0)
    }
    np.testing.assert_allclose(
        rank_test_triples(popularity_scorer(cut), cut, 4), ranked_slowly(scores, cut)
    )


def test_scores_that_are_no_numbers_are_an_error_with_advice():
    cut = toy_split()
    with pytest.raises(InputError, match="Lower its learning_rate"):
        rank_test_triples(
            lambda some, side: torch.full((len(some), len(cut.rows)), torch.nan), cut, 4
        )


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60))
def test_every_degree_is_in_one_range(degrees):
    found = degree_groups(np.array(degrees))
    assert np.sum(list(found.values()), axis=0).tolist() == [1] * len(degrees)
    for name, some in found.items():
        low, high = next((a, b) for a, b in DEGREES if name in (f"{a}-{b}", f"{a}+"))
        assert all(low <= d <= (high or d) for d in np.array(degrees)[some])


def test_groups_add_up_to_the_whole():
    """By degree of the one asked from and of the answer: in either, all queries, once each."""
    cut = toy_split(1, n=40, m=200, t=30)
    metrics = np.random.default_rng(0).random((60, 3))
    groups = groups_of(cut)
    values = group_means(metrics, groups)
    for by in ("degree", "answer_degree"):
        sizes = {group: some.sum() for group, some in groups[by].items()}
        assert sum(sizes.values()) == 60
        whole = sum(values[by][group] * n for group, n in sizes.items()) / 60
        np.testing.assert_allclose(whole, metrics.mean(axis=0))
    head, tail = cut.test[0, [0, 2]]
    for by, of_tails, of_heads in (("degree", head, tail), ("answer_degree", tail, head)):
        for query, entity in ((0, of_tails), (30, of_heads)):
            (name,) = [group for group, some in groups[by].items() if some[query]]
            assert name in degree_groups(cut.degrees[[entity]])


def test_means_and_intervals_are_mean_over_seeds():
    values = np.array([0.2, 0.3, 0.4, 0.3])
    found = mean_over_seeds(values, 70)
    low, high = student.interval(0.95, 3, loc=0.3, scale=values.std(ddof=1) / 2)
    assert found == {"value": 0.3, "interval": [round(low, 6), round(high, 6)], "n": 70}
    assert mean_over_seeds(values[:1], 70)["interval"] is None


def test_gains_are_paired_by_seed():
    """Seeds that differ much, and a gain that doesn't: its interval is a point."""
    everything = {"all": {"all": np.ones(4, bool)}}

    def run(mrr):
        return {"all": {"all": np.array([mrr, 0.0, 0.0])}}

    runs = {
        "popularity": [run(0.1)],
        "random": [run(0.1), run(0.5)],
        "vectors": [run(0.2), run(0.6)],
    }
    found = summarize_runs(runs, everything)["all"]["all"]
    assert found["vectors"]["mrr_gain_over_random"] == {
        "value": 0.1, "interval": [0.1, 0.1], "n": 4
    }  # fmt: skip
    assert found["vectors"]["mrr_gain_over_popularity"]["value"] == 0.3
    assert found["popularity"]["mrr"] == {"value": 0.1, "interval": None, "n": 4}
    assert found["random"]["mrr"]["interval"] == [0, 1]  # two seeds far apart tell nothing
    low, high = mean_over_seeds(np.array([-0.1, 0.3]), 4, lowest=-1.0)["interval"]
    assert low == -1
    assert high == 1


def test_odd_dims_and_relation_types_are_refused(tmp_path):
    odd = Space(make_space(tmp_path / "odd", np.eye(9, 5), ["A"] * 9))
    with pytest.raises(InputError, match="RotatE takes two numbers for a complex one, and 5 dims"):
        check_trainable(odd, ("TransE", "RotatE"))
    check_trainable(odd, ("TransE",))
    types = make_space(tmp_path / "types", np.eye(9, 4), ["A"] * 9, kind="relation_types")
    with pytest.raises(InputError, match="not of a table of entities"):
        check_trainable(Space(types), ("TransE",))


def test_without_pykeen_one_line_tells_what_to_install(tmp_path):
    """Nothing else was looked at: the space isn't there either."""
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "sitecustomize.py").write_text("import sys\nsys.modules['pykeen'] = None\n")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(shadow), str(ROOT / "src")])}
    words = ["predict-links", "nowhere", "--triples", "t.tsv", "--out", "out.json"]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "kgtextvec", *words],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
    )
    lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert done.returncode == 2
    assert len(lines) == 1
    assert lines[0].startswith("ERROR: evaluate.link_prediction: PyKEEN isn't there")
    assert "make links" in lines[0]
    assert "requirements/lock-links.txt" in lines[0]
    assert not re.search(r"\| +(torch|numpy)$", done.stderr, flags=re.M)
    assert not (tmp_path / "out.json").exists()


def test_the_lock_has_what_the_error_names():
    assert "\npykeen==" in (ROOT / "requirements/lock-links.txt").read_text()


def test_triples_without_rows_are_counted(tmp_path):
    space = Space(make_space(tmp_path, np.eye(30, 4), ["A"] * 30))
    edges = [(f"A::{i}", "r", f"A::{j}") for i in range(12) for j in range(12, 30)]
    path = write_triples(tmp_path / "t.tsv", [*edges, ("A::1", "r", "B::77")])
    cut = split_for_links(read_graph_triples([path], space), 0)
    assert cut.counts["without_row"] == 1
    assert (cut.counts["train"], cut.counts["test"]) == (len(edges) - len(edges) // 10, 21)
    assert len(cut.rows) == 30
