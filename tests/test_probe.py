"""Probes on made-up data with a known answer; the cache of word vectors; controls; determinism."""

import json
import os
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from probe_corpora import elmo, write_ner, write_nli
from scipy import stats

from kgtextvec.__main__ import main
from kgtextvec.errors import InputError
from kgtextvec.evaluate.collect import collect_scores
from kgtextvec.probe.cache import cache_tokens
from kgtextvec.probe.inputs import Sentences
from kgtextvec.probe.nli import NliProbe
from kgtextvec.probe.run import probe_model
from kgtextvec.probe.vectors import RandomVectors, StoredVectors, padded, write_vectors
from kgtextvec.settings.models import Device
from kgtextvec.settings.training import CorpusReading, CorpusScheme, ProbeTraining, TokenCache
from kgtextvec.stats import mean_over_seeds

ALL_CONTROLS = ("random", "shuffled_labels", "token_layer")


def run(folder: Path, probe: str, model: Path, train: Path, test: Path, **more) -> dict:
    """Both verbs; what probe-model wrote."""
    files = {"train": [train], "dev": more.pop("dev", []), "test": [test]}
    given = {"probe": probe, "model": model, **files, "threads": 1}
    labels = {"labels": more.pop("labels")} if "labels" in more else {}
    cache_tokens(
        **given,
        out=folder / "v.npy",
        reading=CorpusReading(**labels),
        cache=TokenCache(device="cpu"),
    )
    probe_model(
        **given,
        vectors=folder / "v.npy",
        out=folder / f"{probe}.json",
        reading=CorpusScheme(**labels),
        training=ProbeTraining(**{"least_steps": 0} | more),
        device=Device(device="cpu"),
    )
    return json.loads((folder / f"{probe}.json").read_text())


@pytest.fixture(scope="module")
def ner(tmp_path_factory):
    """A tag that depends on the word before, asked of an ELMo of random weights."""
    folder = tmp_path_factory.mktemp("ner")
    train = write_ner(folder / "train.tsv", 600, seed=0)
    test = write_ner(folder / "test.tsv", 150, seed=1)
    more = {"controls": ALL_CONTROLS, "seeds": (0,), "batch_size": 8, "epochs": 5}
    return folder, run(folder, "ner", elmo(folder / "elmo"), train, test, **more)


@pytest.fixture(scope="module")
def nli(tmp_path_factory):
    """Inference that depends on the order of words, asked of an ELMo of random weights."""
    folder = tmp_path_factory.mktemp("nli")
    train = write_nli(folder / "train.jsonl", slice(0, 300))
    test = write_nli(folder / "test.jsonl", slice(300, 360))
    more = {"controls": ALL_CONTROLS, "seeds": (0,), "batch_size": 16, "epochs": 10}
    model = elmo(folder / "elmo", layers=1)
    return folder, run(folder, "nli", model, train, test, labels=("entailment", "neutral"), **more)


def test_a_tag_of_the_word_before_is_learnt_from_context_and_not_from_the_token_layer(ner):
    scores = ner[1]["scores"]["entity_probe"]["all"]["all"]
    assert scores["vectors"]["f1"]["value"] > 0.8
    assert scores["token_layer"]["f1"]["value"] <= scores["chance"]["f1"]["value"]


def test_the_controls_of_entities_are_at_chance(ner):
    scores = ner[1]["scores"]["entity_probe"]["all"]["all"]
    for control in ("random", "shuffled_labels"):
        assert scores[control]["f1"]["value"] <= scores["chance"]["f1"]["value"]
    assert scores["chance"]["f1"]["value"] < 0.5
    # Where places alone are drawn anew, there are as many entities as there should be.
    chance = scores["chance"]
    assert chance["precision"]["value"] == chance["recall"]["value"]


def test_inference_from_word_order_is_learnt_from_context_and_not_from_the_token_layer(nli):
    scores = nli[1]["scores"]["inference_probe"]["all"]["all"]
    assert scores["vectors"]["accuracy"]["value"] > 0.7
    # All premises have the same words: to the token layer all pairs are one, exactly.
    assert scores["token_layer"]["accuracy"]["value"] == 0.5


def test_the_controls_of_inference_are_at_chance(nli):
    scores = nli[1]["scores"]["inference_probe"]["all"]["all"]
    assert scores["random"]["accuracy"]["value"] == 0.5
    assert scores["majority"]["accuracy"]["value"] == 0.5
    # 120 pairs: five standard deviations of a coin's share of hits are 0.23
    assert abs(scores["shuffled_labels"]["accuracy"]["value"] - 0.5) < 0.23


def test_layer_weights_are_told_per_seed_and_sum_to_one(ner):
    (weights,) = [r["layer_weights"] for r in ner[1]["runs"] if r["method"] == "vectors"]
    assert len(weights) == 3 and sum(weights) == pytest.approx(1, abs=1e-5)
    by_layer = ner[1]["scores"]["entity_probe_layers"]["layer"]
    assert [by_layer[f"{i:02}"]["vectors"]["weight"]["value"] for i in range(3)] == weights
    assert len(set(weights)) == 3, "they are learnt"


def test_the_result_tells_what_was_used(ner):
    found = ner[1]
    assert found["counts"]["train"]["sentences"] == 600
    assert found["counts"]["test"]["entities"] > 100
    assert found["settings"]["seeds"] == [0]
    assert found["settings"]["files"]["test"][0]["file"] == "test.tsv"
    assert found["vectors"]["layers"] == 3 and found["vectors"]["stored"] == "float16"
    assert {"torch", "nervaluate", "kgtextvec"} <= set(found["versions"])


def test_scores_go_into_the_table_of_all_scores(ner, nli, tmp_path):
    collect_scores([ner[0] / "ner.json", nli[0] / "nli.json"], out=tmp_path / "scores.tsv")
    lines = [line.split("\t") for line in (tmp_path / "scores.tsv").read_text().splitlines()]
    rows = [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
    f1 = [row for row in rows if row["metric"] == "f1" and row["method"] == "vectors"]
    assert [(row["model"], row["table"], row["space"]) for row in f1] == [
        ("tiny-elmo", "ner", "tokens")
    ]
    value = ner[1]["scores"]["entity_probe"]["all"]["all"]["vectors"]["f1"]["value"]
    assert float(f1[0]["value"]) == pytest.approx(value)
    assert {row["score"] for row in rows} == {
        f"{name}_probe{part}" for name in ("entity", "inference") for part in ("", "_layers")
    }
    assert {row["method"] for row in rows if row["table"] == "nli" and row["by"] == "all"} == {
        *("vectors", "random", "shuffled_labels", "token_layer", "majority")
    }


def test_padding_has_no_part_in_relations():
    """Pairs of other lengths beside it change nothing, even where all relations are negative."""
    rng = np.random.default_rng(0)
    sides = [[rng.standard_normal((n, 2, 5), np.float32) for n in ns] for ns in ((2, 6), (5, 1))]
    torch.manual_seed(0)
    model = NliProbe(2, 5, 3)
    with torch.no_grad():
        model.relations.copy_(-torch.eye(5) * 50)
        for side in sides:
            side[0] = np.abs(side[0])
        together = model(*(padded(side, "cpu") for side in sides))
        alone = model(*(padded(side[:1], "cpu") for side in sides))
        by_hand = max(float(-50 * p.mean(0) @ h.mean(0)) for p in sides[0][0] for h in sides[1][0])
        expected = model.out(torch.full((1, 16), by_hand))
    assert by_hand < 0
    assert torch.allclose(together[:1], alone, atol=1e-4)
    assert torch.allclose(alone, expected, atol=1e-4)


@pytest.mark.parametrize("probe", ["ner", "nli"])
def test_one_seed_gives_the_same_numbers_again_and_another_seed_others(probe, tmp_path):
    model = elmo(tmp_path / "elmo")
    if probe == "ner":
        files = [write_ner(tmp_path / f"{i}.tsv", 60, seed=i) for i in range(2)]
    else:
        files = [write_nli(tmp_path / f"{i}.jsonl", slice(40 * i, 40 * i + 40)) for i in range(2)]
    more = {"seeds": (3, 4), "controls": ALL_CONTROLS[:2], "epochs": 2, "batch_size": 8}
    first = run(tmp_path, probe, model, *files, **more)
    assert run(tmp_path, probe, model, *files, **more)["runs"] == first["runs"]
    by_seed = {run["seed"]: run["losses"] for run in first["runs"] if run["method"] == "vectors"}
    assert by_seed[3] != by_seed[4]


def test_the_best_epoch_on_the_dev_pairs_counts(tmp_path):
    files = [write_nli(tmp_path / f"{i}.jsonl", slice(60 * i, 60 * i + 60)) for i in range(3)]
    model = elmo(tmp_path / "elmo", layers=1)
    settings = {"seeds": (1,), "controls": (), "epochs": 12, "batch_size": 8}
    settings["labels"] = ("entailment", "neutral")
    (found, _) = run(tmp_path, "nli", model, *files[:2], dev=[files[2]], **settings)["runs"]
    looks = dict(found["dev"])
    assert list(looks) == [15 * i for i in range(1, 13)], "once an epoch of 15 steps"
    best = found["best_step"] // 15
    assert looks[found["best_step"]] == max(looks.values())
    assert len(set(looks.values())) > 1, "else nothing is chosen here"
    stopped = run(tmp_path, "nli", model, *files[:2], **settings | {"epochs": best})["runs"][0]
    assert stopped["metrics"] == found["metrics"]


class Counting:
    """A reader whose vectors tell their sentence, word and layer."""

    layers, dims, precision = 3, 4, "float32"

    def __init__(self, scale: float = 1.0) -> None:
        self.counts: dict[str, int] = {}
        self.scale = scale

    def read(self, sentences):
        for row in reversed(range(len(sentences))):
            n = len(sentences[row])
            places = np.arange(n)[:, None, None] + 100 * row + np.arange(3)[:, None] / 4
            yield row, (np.broadcast_to(places, (n, 3, 4)) * self.scale).astype(np.float32)


@pytest.mark.parametrize("stored", ["float16", "float32"])
def test_what_is_stored_comes_back_by_sentence(stored, tmp_path):
    sentences = Sentences([("a",), ("b", "c"), ("a",), ("d", "e", "f")])
    assert sentences.all == [("a",), ("b", "c"), ("d", "e", "f")]
    write_vectors(tmp_path / "v.npy", sentences, Counting(), stored)
    whole = np.load(tmp_path / "v.npy")
    assert whole.shape == (6, 3, 4) and whole.dtype == stored
    expected = dict(Counting().read(sentences.all))
    rows = sentences.rows([("d", "e", "f"), ("a",), ("b", "c")])
    assert rows.tolist() == [2, 0, 1]
    found = StoredVectors(tmp_path / "v.npy", sentences.offsets).sentences(rows)
    for row, vectors in zip(rows, found, strict=True):
        assert vectors.dtype == np.float32
        assert np.array_equal(vectors, expected[row])
    (first,) = StoredVectors(tmp_path / "v.npy", sentences.offsets, only_token=True).sentences(
        rows[:1]
    )
    assert np.array_equal(first, expected[2][:, :1])


def test_numbers_beyond_float16_are_refused(tmp_path):
    sentences = Sentences([("a", "b")])
    with pytest.raises(InputError, match=r"beyond what float16 holds.*probe.stored: float32"):
        write_vectors(tmp_path / "v.npy", sentences, Counting(1e5), "float16")
    write_vectors(tmp_path / "v.npy", sentences, Counting(1e5), "float32")
    with pytest.raises(InputError, match="NaN or Inf, at 'a b'"):
        write_vectors(tmp_path / "v.npy", sentences, Counting(np.nan), "float32")


def test_a_large_cache_is_never_whole_in_memory(tmp_path):
    """300 MB of vectors, written and read in batches, in less than 100 MB more memory."""
    sentences = Sentences([tuple(f"{i} {j}" for j in range(50)) for i in range(1000)])
    reader = Counting()
    reader.dims = 500
    wide = np.zeros((50, 3, 500), dtype=np.float32)
    reader.read = lambda all_of_them: ((row, wide) for row in range(len(all_of_them)))
    process = psutil.Process(os.getpid())
    before = process.memory_info().rss
    write_vectors(tmp_path / "v.npy", sentences, reader, "float32")
    given = StoredVectors(tmp_path / "v.npy", sentences.offsets)
    assert (tmp_path / "v.npy").stat().st_size > 299e6
    for start in range(0, 1000, 32):
        given.sentences(np.arange(start, min(start + 32, 1000)))
    assert process.memory_info().rss - before < 100e6


@pytest.mark.parametrize("probe", ["ner", "nli"])
def test_test_sentences_that_were_learnt_from_are_told(probe, tmp_path):
    if probe == "ner":
        corpora = ["a\tB-X\n\nb\tO\n\nc\tO\n", "b\tO\n\nd\tB-X\n"]
    else:
        pairs = [{"premise": p, "hypothesis": "x", "label": "neutral"} for p in "abcbd"]
        lines = [json.dumps(pair) for pair in pairs]
        corpora = ["\n".join(lines[:3]), "\n".join(lines[3:])]
    files = [tmp_path / "train", tmp_path / "test"]
    for file, text in zip(files, corpora, strict=True):
        file.write_text(text)
    model = elmo(tmp_path / "elmo")
    found = run(tmp_path, probe, model, *files, seeds=(0,), controls=(), epochs=1)
    what = "sentences" if probe == "ner" else "pairs"
    assert found["notes"] == [f"1 of 2 test {what} are in the training corpus too"]


def test_a_cache_of_other_corpora_is_refused(tmp_path, capsys):
    model = elmo(tmp_path / "elmo")
    train, test, other = (write_ner(tmp_path / f"{i}.tsv", 20, seed=i) for i in range(3))
    files = ["ner", "--model", model, "--train", train, "--device", "cpu"]
    out = ["--out", tmp_path / "v.npy"]
    assert main([str(word) for word in ["cache-tokens", *files, "--test", test, *out]]) == 0
    more = ["--vectors", tmp_path / "v.npy", "--out", tmp_path / "r.json"]
    assert main([str(word) for word in ["probe-model", *files, "--test", other, *more]]) == 2
    assert "made from other corpora" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "value", "told"),
    [
        ("--seeds", "1,x", "--seeds: ['1', 'x'] is not allowed"),
        ("--seeds", "1,1", "--seeds: ['1', '1'] holds a value twice"),
        (
            "--controls",
            "random,luck",
            "--controls: ['random', 'luck'] is not allowed: choose from",
        ),
    ],
)
def test_odd_settings_are_refused_with_one_line(flag, value, told, tmp_path, capsys):
    train = write_ner(tmp_path / "a.tsv", 20, seed=0)
    words = ["probe-model", "ner", "--model", tmp_path, "--train", train, "--test", train]
    words += ["--vectors", tmp_path / "v.npy", "--out", tmp_path / "r.json", flag, value]
    assert main([str(word) for word in words]) == 2
    assert f"ERROR: {told}" in capsys.readouterr().err


def test_random_vectors_belong_to_the_word_and_the_seed():
    sentences = Sentences([("a", "b", "a"), ("b",)])
    one, two = RandomVectors(sentences, 8, seed=0).sentences(np.array([0, 1]))
    assert one.shape == (3, 1, 8) and np.array_equal(one[0], one[2])
    assert np.array_equal(one[1], two[0]) and not np.array_equal(one[0], one[1])
    (again,) = RandomVectors(sentences, 8, seed=1).sentences(np.array([1]))
    assert not np.array_equal(again, two)


def test_intervals_over_seeds_are_students():
    values = [0.5, 0.6, 0.55, 0.65]
    found = mean_over_seeds(values, 4)
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert found["value"] == pytest.approx(0.575)
    assert found["interval"] == pytest.approx([low, high], abs=1e-6)
    assert mean_over_seeds([0.5], 1)["interval"] is None
    assert mean_over_seeds([0.0, 0.9], 2)["interval"] == [0.0, 1.0]
