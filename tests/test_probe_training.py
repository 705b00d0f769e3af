"""How probes are trained: independent of scale, long enough, the best step kept; their records."""

import gzip
import json
import math

import numpy as np
import pytest
import torch
from probe_corpora import elmo, write_ner, write_nli
from test_probe import run

from kgtextvec.probe.corpora import read_tagged
from kgtextvec.probe.mentions import Mentions, mentions_of
from kgtextvec.probe.ner import NerProbe, entity_scores
from kgtextvec.probe.nli import NliProbe
from kgtextvec.probe.run import training_notes
from kgtextvec.probe.tags import read_tags, split_tag
from kgtextvec.probe.train import TrainedProbe
from kgtextvec.probe.vectors import StandardVectors


class Scaled:
    """Vectors of sentences with a mean far from 0, times a factor; the last dim is constant."""

    layers, dims = 2, 5

    def __init__(self, factor):
        rng = np.random.default_rng(0)
        spread = np.array([1, 10, 0.1, 3, 0])
        self.all = [
            (rng.normal(100, 1, (n, 2, 5)) * spread * factor).astype(np.float32)
            for n in rng.integers(1, 9, 150)
        ]

    def sentences(self, rows):
        return [self.all[row] for row in rows.tolist()]


def test_vectors_are_standardised_by_the_training_words_whatever_their_scale():
    learned, rows = np.arange(0, 150, 2), np.arange(150)
    found = [StandardVectors(Scaled(f), learned).sentences(rows) for f in (1.0, 0.25)]
    for one, quarter in zip(*found, strict=True):
        assert one == pytest.approx(quarter, abs=1e-3)
    words = np.concatenate([Scaled(1.0).all[i] for i in learned]).astype(np.float64)
    expected = (words - words.mean(0)) / np.where(words.std(0) > 1e-9, words.std(0), np.inf)
    ours = np.concatenate([found[0][i] for i in learned])
    assert ours == pytest.approx(expected, abs=2e-3)
    assert not ours[:, :, 4].any(), "a dim that does not vary says nothing"


def test_few_sentences_are_read_until_there_are_enough_steps(tmp_path):
    files = [write_ner(tmp_path / f"{i}.tsv", 20, seed=i) for i in range(2)]
    more = {"seeds": (0,), "controls": (), "epochs": 1, "batch_size": 8}
    model = elmo(tmp_path / "elmo")
    (first, _) = run(tmp_path, "ner", model, *files, least_steps=10, **more)["runs"]
    assert first["steps"] == 12 and len(first["losses"]) == 4, "passes of three steps"
    found = run(tmp_path, "ner", model, *files, **more)
    assert found["runs"][0]["steps"] == 3
    assert found["settings"]["least_steps"] == 0 and found["settings"]["standardised"] is True


def test_the_step_of_the_lowest_loss_on_the_dev_sentences_counts(tmp_path):
    files = [write_ner(tmp_path / f"{i}.tsv", 40, seed=i) for i in range(3)]
    more = {"seeds": (0,), "controls": (), "epochs": 8, "batch_size": 8, "check_every": 4}
    found = run(tmp_path, "ner", elmo(tmp_path / "elmo"), *files[:2], dev=[files[2]], **more)
    looks = dict(found["runs"][0]["dev"])
    assert list(looks) == list(range(4, 41, 4))
    assert looks[found["runs"][0]["best_step"]] == max(looks.values())
    assert all(value < 0 for value in looks.values()), "minus the loss"
    assert found["counts"]["dev"]["sentences"] == 40


def test_what_was_trained_too_short_or_learned_nothing_is_noted():
    made = {"method": "vectors", "still_falling": False, "predicted": [[], []]}
    falling = made | {"method": "random", "still_falling": True, "predicted": [[], [(0, 1, "X")]]}
    right = [[(0, 1, "X")], []]
    nothing, short = training_notes([made, falling, falling], right)
    assert nothing.startswith("vectors: all test items get the same prediction with 1 of 1 seeds")
    assert short.startswith("random: the loss still fell by 5 % in the last epoch with 2 of 2")
    assert training_notes([made], [[], []]) == [], "where all answers are the same, so be it"
    for losses, checks, expected in (
        ([1.0, 0.94], [], True),
        ([1.0, 0.96], [], False),
        ([1.0, 0.5], [(3, 0.1)], False),
        ([1.0], [], False),
    ):
        assert TrainedProbe(losses, 9, checks, 3).still_falling == expected


@pytest.mark.parametrize("probe", ["ner", "nli"])
def test_predictions_are_kept_and_give_the_scores(tmp_path, probe):
    if probe == "ner":
        files = [write_ner(tmp_path / f"{i}.tsv", 60, seed=i) for i in range(2)]
    else:
        files = [write_nli(tmp_path / f"{i}.jsonl", slice(40 * i, 40 * i + 40)) for i in range(2)]
    more = {"seeds": (0, 1), "controls": ("random",), "epochs": 4, "batch_size": 8}
    found = run(tmp_path, probe, elmo(tmp_path / "elmo"), *files, **more)
    packed = (tmp_path / f"{probe}.predictions.jsonl.gz").read_bytes()
    lines = [json.loads(line) for line in gzip.decompress(packed).decode().splitlines()]
    runs = [one for one in found["runs"] if one["method"] in ("vectors", "random")]
    assert all("predicted" not in one for one in runs)
    for one in runs:
        mine = [
            line for line in lines if (line["method"], line["seed"]) == (one["method"], one["seed"])
        ]
        if probe == "nli":
            share = np.mean([line["gold"] == line["predicted"] for line in mine])
            assert share == pytest.approx(one["metrics"]["all"]["accuracy"])
            continue
        spelled = [
            [read_tags([split_tag(tag) for tag in line[key]], ends=False)[0] for line in mine]
            for key in ("gold", "predicted")
        ]
        assert entity_scores(*spelled) == one["metrics"]
        assert all(len(line["words"]) == len(line["predicted"]) for line in mine)


def test_the_papers_protocol_has_its_first_weights_and_relu():
    torch.manual_seed(0)
    made = NliProbe(3, 64, 3, jin2019=True)
    # Xavier's normal of a (16, D, D) tensor: fans D x D and 16 x D.
    assert float(made.relations.detach().std()) == pytest.approx(
        math.sqrt(2 / (64 * 64 + 16 * 64)), rel=0.02
    )
    assert made.out.bias is None and NliProbe(3, 64, 3).out.bias is not None
    emissions = NerProbe(2, 8, ["O", "B-X"], relu=True)(torch.randn(3, 4, 2, 8))
    assert float(emissions.detach().min()) == 0


def test_the_papers_protocol_leaves_layers_as_they_are_and_looks_at_dev_as_it_does(tmp_path):
    files = [write_nli(tmp_path / f"{i}.jsonl", slice(60 * i, 60 * i + 60)) for i in range(3)]
    more = {"seeds": (0,), "controls": (), "epochs": 8, "batch_size": 8, "protocol": "jin2019"}
    found = run(tmp_path, "nli", elmo(tmp_path / "elmo"), *files[:2], dev=[files[2]], **more)
    assert [step for step, _ in found["runs"][0]["dev"]] == [50, 100, 120]
    assert found["settings"]["standardised"] is False
    files = [write_ner(tmp_path / f"{i}.tsv", 20, seed=i) for i in range(2)]
    more["epochs"] = 1
    found = run(tmp_path, "ner", elmo(tmp_path / "elmo2"), *files, **more)
    assert found["settings"]["scheme"] == "bioes" and found["settings"]["check_every"] == 200


def test_alternative_mentions_count_as_right_each_gene_once():
    genes = [[(0, 8), (20, 25)], [(3, 5)], []]
    others = [[(0, 4), (5, 8), (50, 60)], [], [(1, 2)]]
    kept = Mentions(genes, others)

    def counted(*predicted):
        found = kept.scores(predicted)
        return tuple(found[f"biocreative_{name}"] for name in ("precision", "recall", "f1"))

    assert counted([(0, 8), (20, 25)], [(3, 5)], []) == (1, 1, 1)
    assert counted([(0, 4)], [], []) == pytest.approx((1, 1 / 3, 0.5))
    assert counted([(0, 4), (5, 8)], [], [])[0] == 0.5, "both are of one gene, matched once"
    assert counted([(0, 8), (0, 4)], [], [])[0] == 0.5, "the gene itself goes first"
    assert counted([(50, 60)], [(3, 6)], [(1, 2)]) == (0, 0, 0), "of no gene; not exact; no gene"
    assert counted([], [], []) == (0, 0, 0)


def test_biocreatives_scores_stand_beside_the_strict_ones(tmp_path):
    names = ("s", "g", "a")
    paths = [tmp_path / name for name in names]
    texts = ("P1 the IL 2 gene binds\nP2 none here\n", "P1|3 9|IL 2 gene\n", "P1|3 5|IL 2\n")
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    found = read_tagged(paths)
    assert found.entities == [[(1, 4, "GENE")], []]
    spans = mentions_of(found.sentences[0], [(1, 3, "GENE")])
    assert spans == [(3, 5)], "IL 2, without gene"
    assert found.mentions.scores([spans, []])["biocreative_f1"] == 1
    assert entity_scores(found.entities, [[(1, 3, "GENE")], []])["all"]["f1"] == 0
    assert read_tagged(paths[:2]).mentions is None
