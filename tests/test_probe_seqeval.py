"""Saved predictions of entities, scored by seqeval. Needs requirements/lock-consumers.txt."""

import gzip
import json

import numpy as np
import pytest
from test_consumers import library

from kgtextvec.probe.corpora import TaggedCorpus
from kgtextvec.probe.inputs import Corpora, Sentences
from kgtextvec.probe.ner import entities_of_tags, entity_scores
from kgtextvec.probe.predictions import write_predictions
from kgtextvec.probe.tags import move_entities, read_tags, split_tag, tag_set

CASES = 297
KINDS = ["Gene", "Disease", "Drug"]

pytestmark = pytest.mark.slow


def random_tags(rng, scheme):
    """Tags of a sentence, each drawn on its own: most sentences break the scheme."""
    tags = tag_set(KINDS, scheme)
    chances = np.full(len(tags), 0.6 / (len(tags) - 1))
    chances[0] = 0.4
    return [tags[i] for i in rng.choice(len(tags), rng.integers(1, 15), p=chances)]


def random_case(rng, scheme):
    """Entities of one to eight sentences, gold and predicted, and how many words these have.

    A sentence is predicted correctly, with entities moved or lost or of another type, or by chance.
    """
    gold, predicted, lengths = [], [], []
    for _ in range(rng.integers(1, 9)):
        tags = random_tags(rng, scheme)
        own = found = entities_of_tags(tags)
        kind = rng.integers(5)
        if kind == 1:
            found = move_entities(own, len(tags), rng)
        elif kind == 2:
            found = [one for one in own if rng.random() < 0.5]
        elif kind == 3:
            found = [(start, end, str(rng.choice(KINDS))) for start, end, _ in own]
        elif kind == 4:
            other = (random_tags(rng, scheme) + ["O"] * len(tags))[: len(tags)]
            found = entities_of_tags(other)
        gold.append(own)
        predicted.append(found)
        lengths.append(len(tags))
    return gold, predicted, lengths


@pytest.mark.filterwarnings("ignore")  # seqeval's, where nothing is predicted
@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_saved_predictions_have_the_scores_that_seqeval_gives_them(scheme, tmp_path):
    """297 random cases in each scheme: precision, recall and F1 over all types and of each type.

    seqeval reads the tags of the file in both its modes: as conlleval does, and by the scheme.
    """
    seqeval = library("seqeval.metrics")
    schemes = library("seqeval.scheme")
    strict = {"mode": "strict", "scheme": schemes.IOB2 if scheme == "bio" else schemes.IOBES}
    rng = np.random.default_rng(297)
    path = tmp_path / "ner.predictions.jsonl.gz"
    partly = 0
    for case in range(CASES):
        gold, predicted, lengths = random_case(rng, scheme)
        words = [tuple(f"w{i}" for i in range(length)) for length in lengths]
        test = TaggedCorpus(sentences=words, entities=gold, counts={})
        corpora = Corpora("ner", {}, {"test": test}, {}, (), Sentences(words))
        run = {"method": "vectors", "seed": case, "predicted": predicted}
        write_predictions(path, corpora, [run], scheme)
        lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        tags = [[line[side] for line in lines] for side in ("gold", "predicted")]
        if not any(tag != "O" for side in tags for one in side for tag in one):
            continue
        ours = entity_scores(gold, predicted)
        partly += 0 < ours["all"]["f1"] < 1
        for mode in ({}, strict):
            theirs = seqeval.classification_report(
                *tags, output_dict=True, zero_division=0, digits=12, **mode
            )
            theirs["all"] = theirs.pop("micro avg")
            for kind, scores in ours.items():
                found = theirs[kind]
                assert [scores["precision"], scores["recall"], scores["f1"]] == pytest.approx(
                    [found["precision"], found["recall"], found["f1-score"]]
                ), (case, kind, mode)
            assert set(theirs) == {*ours, "macro avg", "weighted avg"}
    assert partly > CASES / 2, "the cases say little"


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_tags_that_break_the_scheme_are_read_as_seqeval_reads_them(scheme):
    get_entities = library("seqeval.metrics.sequence_labeling").get_entities
    rng = np.random.default_rng(3)
    faulty = 0
    for _ in range(CASES):
        tags = random_tags(rng, scheme)
        found, faults = read_tags([split_tag(tag) for tag in tags], ends=scheme == "bioes")
        theirs = [(start, last + 1, kind) for kind, start, last in get_entities(tags)]
        assert found == theirs, tags
        faulty += bool(faults)
    assert faulty > CASES / 2
