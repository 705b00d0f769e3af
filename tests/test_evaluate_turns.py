"""Which entities the cold start hides, and in how many turns."""

import numpy as np
from evaluate_fixtures import clusters, make_space, write_triples

from kgtextvec.evaluate import graph as graphs
from kgtextvec.evaluate.graph import directed, hide, hide_in_turns, read_graph_triples
from kgtextvec.space import Space


def test_a_hidden_entity_has_no_known_edge_and_each_large_label_hides_a_tenth(tmp_path):
    vectors, labels, triples = clusters(n_clusters=12, size=5, dims=12)
    space = Space(make_space(tmp_path, vectors, labels))
    read = read_graph_triples([write_triples(tmp_path / "t.tsv", triples)], space)
    graph = hide(directed(read, space.label_codes), 0)
    assert not graph.known[graph.cold[graph.sources] | graph.cold[graph.answers]].any()
    assert not (graph.known & graph.asked).any()
    assert graph.cold[:60].sum() == 6
    assert graph.cold[60:].sum() == 2
    assert not np.array_equal(graph.cold, hide(directed(read, space.label_codes), 1).cold)


def test_a_small_graph_hides_every_entity_once_and_a_large_one_a_tenth(tmp_path, monkeypatch):
    vectors, labels, triples = clusters(n_clusters=12, size=5, dims=12)
    space = Space(make_space(tmp_path, vectors, labels))
    read = read_graph_triples([write_triples(tmp_path / "t.tsv", triples)], space)
    turns = hide_in_turns(directed(read, space.label_codes), 0)
    assert (np.sum([graph.cold for graph in turns], axis=0) == 1).all()
    monkeypatch.setattr(graphs, "SMALL", 72)
    # 60 things like an answer, 12 answers are liked: a turn compares 0.1 x 0.9 of 60² + 12² pairs.
    for budget, n_turns in ((1, 1), (336 * 3 + 1, 3), (10**9, 10)):
        monkeypatch.setattr(graphs, "MOST_COSINES", budget)
        assert len(hide_in_turns(directed(read, space.label_codes), 0)) == n_turns
    monkeypatch.setattr(graphs, "MOST_COSINES", 1)
    (large,) = hide_in_turns(directed(read, space.label_codes), 0)
    monkeypatch.setattr(graphs, "MOST_HIDDEN", 4)
    (huge,) = hide_in_turns(directed(read, space.label_codes), 0)
    assert (large.cold.sum(), huge.cold.sum()) == (8, 4)
    assert not (huge.cold & ~large.cold).any()


def test_a_turn_of_a_large_graph_hides_no_more_than_its_work_allows(tmp_path, monkeypatch):
    vectors, labels, triples = clusters(n_clusters=12, size=50, dims=12)
    space = Space(make_space(tmp_path, vectors, labels))
    read = read_graph_triples([write_triples(tmp_path / "t.tsv", triples)], space)
    monkeypatch.setattr(graphs, "SMALL", 600)
    monkeypatch.setattr(graphs, "FEWEST_HIDDEN", 3)
    # All 600 things like, so a hidden thing is compared with 540 or more known ones.
    for budget, n_things in ((540 * 60, 60), (540 * 15, 15), (1, 3)):
        monkeypatch.setattr(graphs, "MOST_COSINES", budget)
        (graph,) = hide_in_turns(directed(read, space.label_codes), 0)
        assert abs(graph.cold[:600].sum() - n_things) <= 1
        assert graph.counts["hidden"] == graph.cold.sum() and graph.counts["queries"]
