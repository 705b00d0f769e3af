import json
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluate_fixtures import clusters, make_space, shards_of, write_triples
from hypothesis import given
from hypothesis.strategies import integers

from kgtextvec.errors import InputError
from kgtextvec.evaluate.graph import (
    directed,
    hide,
    left_out,
    read_graph_triples,
    split_known_and_test,
)
from kgtextvec.evaluate.ranking import expected_metrics, rank_answers, summarize_ranks
from kgtextvec.evaluate.readers import units_of
from kgtextvec.evaluate.scorecard import evaluate_space
from kgtextvec.evaluate.strata import names_in_texts, plain_words, shares_in_texts
from kgtextvec.pairs import compare_pairs, on_shared_items, read_item_sums
from kgtextvec.settings.scores import Scoring
from kgtextvec.space import Space


def scored(folder, triples, test_triples=None, **settings):
    out = folder / "scores.json"
    evaluate_space(
        folder,
        texts=shards_of(folder),
        out=out,
        triples=[triples] if triples else [],
        test_triples=[test_triples] if test_triples else [],
        scoring=Scoring(scores=("cold_start",), **settings),
        threads=1,
    )
    return json.loads(out.read_text())


def test_mrr_of_a_graph_worked_out_by_hand(tmp_path):
    # Compounds 0-3 are known, 4 is new, and 0 is its nearest, then 1, 2, 3. Diseases are 5-8.
    vectors = [[10, 0], [9, 1], [8, 3], [0, 5], [1, 0], [1, 1], [1, 2], [1, 3], [1, 4]]
    folder = make_space(tmp_path, vectors, ["Compound"] * 5 + ["Disease"] * 4)
    known = write_triples(
        tmp_path / "known.tsv",
        [
            ("Compound::0", "treats", "Disease::5"),
            ("Compound::1", "treats", "Disease::6"),
            ("Compound::2", "treats", "Disease::6"),
            ("Compound::3", "treats", "Disease::7"),
            ("Compound::3", "treats", "Disease::8"),
        ],
    )
    test = write_triples(
        tmp_path / "test.tsv",
        [("Compound::4", "treats", "Disease::5"), ("Compound::4", "treats", "Disease::7")],
    )
    card = scored(folder, known, test_triples=test, neighbours=2)
    found = card["scores"]["cold_start"]["all"]["all"]
    # Two vote: compound 0 for disease 5 with 1, compound 1 for disease 6 with 1 / log2(3) = 0.63.
    # Asked for 5 (7, true too, is left out): 5 beats 6 and 8, rank 1, so 1.
    # Asked for 7 (5 left out): 6 is above, 8 is level at no vote, ranks 2 and 3: (1/2 + 1/3) / 2.
    assert found["vectors"]["mrr"]["value"] == pytest.approx((1 + 5 / 12) / 2, abs=1e-6)
    assert found["vectors"]["hits_at_1"]["value"] == 0.5
    assert found["vectors"]["hits_at_10"]["value"] == 1.0
    # Popularity: 6 is liked twice, 5, 7 and 8 once, so both answers are level with 8 and behind 6.
    assert found["popularity"]["mrr"]["value"] == pytest.approx(5 / 12, abs=1e-6)
    # Chance: three are left to rank in each query: (1 + 1/2 + 1/3) / 3.
    assert found["chance"]["mrr"]["value"] == pytest.approx(11 / 18, abs=1e-6)
    # Backwards the answer would be the new compound, for which nobody can vote.
    assert card["counts"]["cold_start"]["queries"] == 2
    assert card["counts"]["cold_start"]["left_out_answer_hidden"] == 2
    assert list(card["scores"]["cold_start"]["relation"]) == ["treats"]
    assert list(card["scores"]["cold_start"]["degree"]) == ["1-2"]


def test_vectors_that_tell_the_answer_score_one(tmp_path):
    vectors, labels, triples = clusters()
    folder = make_space(tmp_path, vectors, labels)
    found = scored(folder, write_triples(tmp_path / "t.tsv", triples))
    overall = found["scores"]["cold_start"]["all"]["all"]
    for metric in ("mrr", "hits_at_1", "hits_at_10"):
        assert overall["vectors"][metric]["value"] == 1.0
        assert overall["vectors"][metric]["interval"] == [1.0, 1.0]
    assert overall["vectors"]["mrr"]["n"] == 320  # each thing is hidden once, and has one edge
    assert overall["vectors"]["mrr_gain_over_random"]["interval"][0] > 0.3


def test_shuffled_and_random_vectors_score_as_chance(tmp_path):
    # Answers are liked equally often, so that all there is to know lies in the vectors. The
    # interval covers chance in 19 of 20 draws; these two are fixed by their seeds.
    vectors, labels, triples = clusters(size=100)
    vectors[:800] = np.random.default_rng(1).permutation(vectors[:800])
    folder = make_space(tmp_path, vectors, labels)
    found = scored(folder, write_triples(tmp_path / "t.tsv", triples))
    overall = found["scores"]["cold_start"]["all"]["all"]
    chance = overall["chance"]["mrr"]["value"]
    assert chance == pytest.approx(sum(1 / np.arange(1, 9)) / 8, abs=1e-6)
    for method in ("vectors", "random"):
        low, high = overall[method]["mrr"]["interval"]
        assert low < chance < high
        assert high - low < 0.2
    low, high = overall["vectors"]["mrr_gain_over_chance"]["interval"]
    assert low < 0 < high


def test_equal_vectors_gain_nothing_by_the_order_of_the_file(tmp_path):
    # The first hundred things of the file like answer 0. If ties went by row, they alone would
    # vote, and answer 0 (with a third of the edges) would come first in all of the 20 draws.
    n = 300
    likes = np.r_[np.zeros(100, int), np.arange(200) % 4 + 1]
    labels = ["Thing"] * n + ["Answer"] * 5
    triples = [(f"Thing::{i}", "likes", f"Answer::{n + likes[i]}") for i in range(n)]
    folder = make_space(tmp_path, np.ones((n + 5, 4)), labels)
    space = Space(folder)
    read = read_graph_triples([write_triples(tmp_path / "t.tsv", triples)], space)
    votes_for_0 = []
    for seed in range(20):
        graph = hide(directed(read, space.label_codes), seed)
        ranked = rank_answers(
            [graph], [("vectors", lambda rows: np.ones((len(rows), 1), np.float32))], 1, seed, "cpu"
        )
        first = ranked.metrics["vectors"][:, 1] == 1.0
        liked = likes[ranked.sources[first]]
        votes_for_0.append(len(liked) > 0 and set(liked.tolist()) == {0})
    assert 1 <= sum(votes_for_0) <= 15


def by_brute_force(graph, vectors, k):
    """Rank plainly, query by query, by dense scores; without vectors by popularity."""
    edges = list(zip(graph.sources, graph.relations, graph.answers, graph.known, strict=True))
    true, has = defaultdict(set), defaultdict(set)
    of_answers = defaultdict(set)
    for source, relation, answer, known in edges:
        true[source, relation].add(answer)
        of_answers[relation].add(graph.labels[answer])
        if known:
            has[source, relation].add(answer)
    in_graph = sorted(set(graph.sources.tolist()))
    found = {}
    for source, relation, answer in zip(
        graph.sources[graph.asked],
        graph.relations[graph.asked],
        graph.answers[graph.asked],
        strict=True,
    ):
        voters = [
            one
            for one in in_graph
            if one != source and has[one, relation] and graph.labels[one] == graph.labels[source]
        ]
        if vectors is None:
            weights = dict.fromkeys(voters, 1.0)
        else:
            cosine = {one: float(vectors[one] @ vectors[source]) for one in voters}
            best = sorted(voters, key=lambda one: -cosine[one])[:k]
            weights = {one: 1 / np.log2(place + 2) for place, one in enumerate(best)}
        scores = {
            one: sum(weight for voter, weight in weights.items() if one in has[voter, relation])
            for one in in_graph
            if not graph.cold[one]
            and graph.labels[one] in of_answers[relation]
            and (one == answer or one not in true[source, relation])
            and one != source
        }
        above = sum(score > scores[answer] + 1e-4 for score in scores.values())
        level = sum(abs(score - scores[answer]) <= 1e-4 for score in scores.values())
        ranks = np.arange(above + 1, above + level + 1)
        found[source, relation, answer] = (
            (1 / ranks).mean(),
            (ranks <= 1).mean(),
            (ranks <= 10).mean(),
        )
    return found


@pytest.mark.parametrize("given_split", [False, True])
def test_scores_are_those_of_a_plain_loop(tmp_path, given_split):
    rng = np.random.default_rng(5)
    labels = np.array(["A"] * 40 + ["B"] * 30)
    vectors = rng.normal(size=(70, 5))
    node = [f"{label}::{i}" for i, label in enumerate(labels)]
    triples = {(node[rng.integers(40)], "r", node[rng.integers(40, 70)]) for _ in range(150)} | {
        (node[rng.integers(40)], "s", node[rng.integers(40)]) for _ in range(80)
    }
    triples = sorted(one for one in triples if one[0] != one[2])
    space = Space(make_space(tmp_path, vectors, labels))
    read = read_graph_triples([write_triples(tmp_path / "t.tsv", triples)], space)
    if given_split:
        test = read_graph_triples([write_triples(tmp_path / "test.tsv", triples[::7])], space)
        graph = split_known_and_test(read, test, space.label_codes)
        assert graph.asked.sum() + graph.counts["left_out_answer_hidden"] == 2 * len(triples[::7])
    else:
        graph = hide(directed(read, space.label_codes), 3)
        assert graph.counts["hidden"] == 7
    assert graph.asked.sum() > 20
    units = units_of(vectors)
    ranked = rank_answers([graph], [("vectors", lambda rows: units[rows])], 4, 0, "cpu")
    for method, given_vectors in (("vectors", units), ("popularity", None)):
        plain = by_brute_force(graph, given_vectors, 4)
        by_source = defaultdict(list)
        for (source, relation, _), metrics in sorted(plain.items()):
            by_source[source, relation].append(metrics)
        ours = defaultdict(list)
        for source, relation, metrics in zip(
            ranked.sources, ranked.relations, ranked.metrics[method], strict=True
        ):
            ours[source, relation].append(tuple(metrics))
        assert by_source.keys() == ours.keys()
        for key, metrics in by_source.items():
            assert np.allclose(sorted(metrics), sorted(ours[key]), atol=1e-9)
    total = summarize_ranks(graph, ranked, 0)["all"]["all"]["vectors"]["mrr"]["value"]
    assert total == pytest.approx(
        np.mean([metrics[0] for metrics in by_brute_force(graph, units, 4).values()]), abs=1e-6
    )


@given(integers(0, 200), integers(1, 200))
def test_ties_count_as_all_their_orders_on_average(above, level):
    ranks = np.arange(above + 1, above + level + 1)
    expected = [(1 / ranks).mean(), (ranks <= 1).mean(), (ranks <= 10).mean()]
    assert np.allclose(
        expected_metrics(np.array([above]), np.array([level])), [expected], atol=1e-9
    )


@pytest.mark.parametrize("packing", ["plain", "gz", "xz"])
def test_triples_are_read_with_or_without_header_and_by_bare_ids(tmp_path, packing):
    import gzip
    import lzma

    space = Space(make_space(tmp_path, np.eye(4), ["A", "A", "B", "B"]))
    text = 'A::0\tr "x\tB::2\n1\tr "x\t3\nA::0\tr "x\tB::2\nA::9\tr\tB::2\nA::1\tr\tA::1\n'
    for header in ("", "head\trelation\ttail\n"):
        path = tmp_path / f"t.tsv.{packing}"
        data = (header + text).encode()
        path.write_bytes({"gz": gzip.compress, "xz": lzma.compress}.get(packing, bytes)(data))
        read = read_graph_triples([path], space)
        assert sorted(zip(read.heads, read.tails, read.relations, strict=True)) == [
            (0, 2, 'r "x'),
            (1, 3, 'r "x'),
        ]
        assert (read.counts["triples"], read.counts["used"]) == (5, 2)
        left = ("without_row", "ambiguous", "loops", "repeated")
        assert [read.counts[why] for why in left] == [1, 0, 1, 1]


def test_a_bare_id_under_several_labels_is_not_guessed(tmp_path):
    folder = make_space(tmp_path, np.eye(4), list("ABAB"))
    index = pq.read_table(folder / "index.parquet").to_pydict()
    index |= {"id": ["7", "7", "8", "9"], "node_id": ["A::7", "B::7", "A::8", "B::9"]}
    pq.write_table(pa.table(index), folder / "index.parquet")
    triples = [("7", "r", "8"), ("A::7", "r", "8"), ("8", "r", "none")]
    read = read_graph_triples([write_triples(tmp_path / "t.tsv", triples)], Space(folder))
    assert (read.heads.tolist(), read.tails.tolist()) == ([0], [2])
    (said,) = left_out(read.counts)
    assert said.startswith("2 of 3 triples name a node without a row, 1 of them by an id that")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("A::0\tr\tB::2\nA::0\tr\n", "line 2 has 2 fields"),
        ("C::0\tr\tC::2\n", "no triple has both ends"),
        ("", "is empty"),
        (None, "not there"),
    ],
)
def test_triples_that_cannot_be_used_are_told_in_one_line(tmp_path, text, says):
    space = Space(make_space(tmp_path, np.eye(4), ["A", "A", "B", "B"]))
    path = tmp_path / "t.tsv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=says) as caught:
        read_graph_triples([path], space)
    assert "\n" not in str(caught.value)


def test_without_triples_or_with_a_tiny_graph_the_cold_start_is_left_out(tmp_path):
    folder = make_space(tmp_path, np.eye(4), ["A", "A", "B", "B"])
    assert "names no file" in scored(folder, None)["notes"][0]
    tiny = write_triples(tmp_path / "t.tsv", [("A::0", "r", "B::2"), ("A::0", "r", "B::7")])
    card = scored(folder, tiny)
    assert card["scores"] == {}
    assert "1 of 2 triples name a node without a row" in card["notes"][0]
    assert "too small" in card["notes"][1]


def test_equal_inputs_give_equal_bytes_and_another_seed_another_split(tmp_path):
    vectors, labels, triples = clusters()
    vectors = vectors + np.random.default_rng(0).normal(0, 1, vectors.shape)
    folder = make_space(tmp_path, vectors, labels)
    path = write_triples(tmp_path / "t.tsv", triples)
    outs = [tmp_path / f"{i}.json" for i in range(3)]
    for out, seed in zip(outs, (0, 0, 1), strict=True):
        scoring = Scoring(seed=seed)
        evaluate_space(
            folder, texts=shards_of(folder), out=out, triples=[path], scoring=scoring, threads=1
        )
    first, _, other = (json.loads(out.read_text()) for out in outs)
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert first["scores"]["cold_start"] != other["scores"]["cold_start"]


def test_sums_by_entity_give_the_scores_and_pair_spaces_of_one_split(tmp_path):
    """Paired by a plain loop over the entities' own sums, as the file has them."""
    rng = np.random.default_rng(0)
    vectors, labels, triples = clusters(size=20)
    path = write_triples(tmp_path / "t.tsv", triples)
    noisy = vectors + rng.normal(0, 0.6, vectors.shape)
    found, cards = [], []
    for number, (space, made) in enumerate((("full", vectors), ("pca8", noisy))):
        folder = make_space(tmp_path, made, labels, space=space)
        cards.append(scored(folder, path)["scores"]["cold_start"]["all"]["all"])
        found.append(read_item_sums(folder / "scores_by_row.parquet")["cold_start"])
        for method in ("vectors", "tfidf_chars", "popularity"):
            mean = found[number].sums[f"{method}.mrr"].sum() / found[number].counts.sum()
            assert mean == pytest.approx(cards[number][method]["mrr"]["value"], abs=1e-6)
    one, other = found
    assert one.asked == other.asked and (one.rows == other.rows).all()
    gaps = [a - b for a, b in zip(one.sums["vectors.mrr"], other.sums["vectors.mrr"], strict=True)]
    sums, counts = on_shared_items(found, ["vectors.mrr"] * 2)
    (pair,) = compare_pairs(sums, counts, [(0, 1)])
    assert pair.value == pytest.approx(sum(gaps) / sum(one.counts))
    assert pair.clear
    other_seed = scored(tmp_path / "toy/things/full", path, seed=1)
    assert other_seed["counts"] == {"cold_start": other_seed["counts"]["cold_start"]}
    again = read_item_sums(tmp_path / "toy/things/full/scores_by_row.parquet")["cold_start"]
    assert again.asked != one.asked, "another split asks other questions"


def test_a_planted_leak_is_found_and_its_share_is_told(tmp_path):
    """Half of the things name their answer in the text; a plain loop over words finds which."""
    vectors, labels, triples = clusters(size=30)
    names = [f"thing{i}" for i in range(240)] + [f"the answer-{j} kind" for j in range(8)]
    texts = [
        f"Thing{i} binds The Answer {i // 30} Kind." if i % 2 else f"thing{i} binds answers"
        for i in range(240)
    ]
    folder = make_space(tmp_path, vectors, labels, texts + names[240:])
    index = pq.read_table(folder / "index.parquet")
    index = index.set_column(index.column_names.index("name"), "name", pa.array(names))
    pq.write_table(index, folder / "index.parquet")
    card = scored(folder, write_triples(tmp_path / "t.tsv", triples))
    found = card["scores"]["cold_start"]["answer_in_text"]
    assert found["answer named"]["vectors"]["mrr"]["n"] == 120
    assert found["answer not named"]["vectors"]["mrr"]["n"] == 120
    (note,) = [one for one in card["notes"] if "names the answer" in one]
    assert note.startswith("cold_start: in 50.0% of the queries the text names the answer; MRR")
    words = card["scores"]["cold_start"]["text_words"]
    assert {group: one["vectors"]["mrr"]["n"] for group, one in words.items()} == {
        "0-3": 120,  # thing1 binds answers
        "4-10": 120,  # Thing1 binds The Answer 0 Kind
    }


def test_names_are_looked_for_as_complete_words():
    texts = [plain_words(text) for text in ("Beta-1 receptor", "receptors of IL", "")]
    names = [plain_words(name) for name in ("RECEPTOR", "beta 1", "il", "", "receptors")]
    place, which = (one.reshape(-1) for one in np.meshgrid(np.arange(3), np.arange(5)))
    found = names_in_texts(texts, names, place, which).reshape(5, 3)
    assert found.tolist() == [
        [True, False, False],
        [True, False, False],
        [False, False, False],  # too short to tell
        [False, False, False],
        [False, True, False],
    ]


def test_lexical_overlap_is_the_share_of_the_names_words():
    texts, names = ["binds lung cancer cells", "of no use"], ["Lung cancer of mice", "EGFR", "of"]
    place, which = np.repeat([0, 1], 3), np.tile([0, 1, 2], 2)
    plain = [[plain_words(one) for one in some] for some in (texts, names)]
    # Words of three letters: lung, cancer and mice; egfr; none.
    found = shares_in_texts(*plain, place, which)
    assert found == pytest.approx([2 / 3, 0, 0, 0, 0, 0])
