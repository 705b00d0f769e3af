"""Tags and the entities that they spell."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import composite, integers, lists, sampled_from

from kgtextvec.probe.ner import entities_of_tags, entity_scores
from kgtextvec.probe.tags import (
    legal_steps,
    move_entities,
    read_tags,
    split_tag,
    tag_set,
    write_tags,
)


def read(words: str, ends: bool = False):
    return read_tags([split_tag(word) for word in words.split()], ends)


@composite
def entities_of_a_sentence(draw):
    """A number of words, and entities that don't overlap."""
    n_words = draw(integers(1, 12))
    edges = sorted(draw(lists(integers(0, n_words), max_size=8, unique=True)))
    kinds = draw(lists(sampled_from("AB"), min_size=8, max_size=8))
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    return n_words, [(a, b, kind) for (a, b), kind in zip(pairs, kinds, strict=False)]


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
@given(entities_of_a_sentence())
def test_tags_spell_the_entities_that_they_were_written_from(scheme, sentence):
    n_words, entities = sentence
    tags = write_tags(entities, n_words, scheme)
    assert set(tags) <= set(tag_set(["A", "B"], scheme))
    assert read_tags([split_tag(tag) for tag in tags], scheme == "bioes") == (entities, [])
    assert entities_of_tags(tags) == entities


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
@given(lists(integers(0, 8), min_size=1, max_size=6))
def test_legal_steps_are_those_without_a_fault(scheme, numbers):
    tags = tag_set(["A", "B"], scheme)
    path = [number % len(tags) for number in numbers]
    begin, steps, end = legal_steps(tags)
    inner = all(steps[a, b] for a, b in pairwise(path))
    faults = read_tags([split_tag(tags[i]) for i in path], scheme == "bioes")[1]
    assert bool(begin[path[0]] and inner and end[path[-1]]) == (not faults)


@pytest.mark.parametrize(
    ("tags", "entities", "places"),
    [
        ("I-A I-A O", [(0, 2, "A")], [0]),
        ("O I-A B-A", [(1, 2, "A"), (2, 3, "A")], [1]),
        ("B-A I-B", [(0, 1, "A"), (1, 2, "B")], [1]),
        ("B I O B", [(0, 2, "entity"), (3, 4, "entity")], []),
    ],
)
def test_faults_are_read_as_conlleval_reads_them(tags, entities, places):
    found, faults = read(tags)
    assert found == entities
    assert [place for place, _ in faults] == places


@pytest.mark.parametrize(
    ("tags", "entities", "n_faults"),
    [
        ("B-A E-A S-A O", [(0, 2, "A"), (2, 3, "A")], 0),
        ("B-A O", [(0, 1, "A")], 1),
        ("B-A I-A", [(0, 2, "A")], 1),
        ("E-A I-A", [(0, 1, "A"), (1, 2, "A")], 3),
        ("S-A E-A", [(0, 1, "A"), (1, 2, "A")], 1),
    ],
)
def test_bioes_entities_must_be_ended(tags, entities, n_faults):
    found, faults = read(tags, ends=True)
    assert found == entities
    assert len(faults) == n_faults


@pytest.mark.parametrize("tag", ["X-Gene", "B-", "", "o", "BGene", "b-Gene"])
def test_tags_of_no_scheme_are_none(tag):
    assert split_tag(tag) is None


@given(entities_of_a_sentence(), integers(0, 9))
def test_moved_entities_keep_number_length_and_type(sentence, seed):
    n_words, entities = sentence
    found = move_entities(entities, n_words, np.random.default_rng(seed))
    kept = [sorted((end - start, kind) for start, end, kind in one) for one in (entities, found)]
    assert kept[0] == kept[1]
    covered = [word for start, end, _ in found for word in range(start, end)]
    assert len(set(covered)) == len(covered)
    assert all(0 <= word < n_words for word in covered)


def test_moved_entities_come_to_all_places_equally_often():
    rng = np.random.default_rng(0)
    starts = [move_entities([(0, 2, "A")], 5, rng)[0][0] for _ in range(4000)]
    counts = np.bincount(starts, minlength=4)
    assert len(counts) == 4
    # Expected 1,000 each; five standard deviations of a binomial count are 137.
    assert abs(counts - 1000).max() < 137


@given(
    lists(entities_of_a_sentence(), min_size=1, max_size=5),
    lists(integers(0, 3), min_size=5, max_size=5),
)
def test_entity_scores_count_exact_matches(sentences, seeds):
    """nervaluate's strict figures against sets."""
    gold = [entities for _, entities in sentences]
    predicted = [
        entities if seed == 0 else move_entities(entities, n_words, np.random.default_rng(seed))
        for (n_words, entities), seed in zip(sentences, seeds, strict=False)
    ]
    found = entity_scores(gold, predicted)
    for kind in ("all", "A", "B"):
        a, b = (
            {(i, *one) for i, some in enumerate(side) for one in some if kind in ("all", one[2])}
            for side in (gold, predicted)
        )
        if kind != "all" and not a | b:
            assert kind not in found
            continue
        hits = len(a & b)
        assert found[kind]["precision"] == pytest.approx(hits / len(b) if b else 0)
        assert found[kind]["recall"] == pytest.approx(hits / len(a) if a else 0)
        assert found[kind]["f1"] == pytest.approx(2 * hits / (len(a) + len(b)) if a or b else 0)
