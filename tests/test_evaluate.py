import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from evaluate_fixtures import clusters, make_space, shards_of, write_triples

from kgtextvec import neighbours
from kgtextvec.__main__ import main
from kgtextvec.device import choose_cuda_or_cpu
from kgtextvec.errors import InputError
from kgtextvec.evaluate.baselines import Baselines
from kgtextvec.evaluate.collect import SCORE_TABLE_COLUMNS, collect_scores
from kgtextvec.evaluate.readers import take_units, units_of
from kgtextvec.evaluate.scorecard import evaluate_space
from kgtextvec.evaluate.scores import labels as label_probe
from kgtextvec.neighbours import nearest_in_pool
from kgtextvec.settings.scores import Scoring
from kgtextvec.space import Space
from kgtextvec.stats import mean_with_interval


def scored(folder, *names, **more):
    out = folder / "scores.json"
    scoring = Scoring(scores=names)
    evaluate_space(folder, texts=shards_of(folder), out=out, scoring=scoring, threads=1, **more)
    return json.loads(out.read_text())


# --- neighbours ------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [False, True])
def test_of_many_equal_neighbours_the_first_in_the_pool_are_taken(sparse):
    vectors = np.zeros((200, 3), np.float32)
    vectors[:100, 0] = vectors[100:, 1] = 1  # two heaps of equal vectors
    vectors[150] = [0.6, 0.8, 0]
    given = sp.csr_array(vectors.astype(np.float64)) if sparse else vectors
    pool = np.random.default_rng(0).permutation(200)
    found = nearest_in_pool(given, np.array([3, 120, 150]), pool, 10)
    ours = [pool[places].tolist() for places in found]
    first = [row for row in pool.tolist() if row < 100 and row != 3]
    second = [row for row in pool.tolist() if row >= 100 and row not in (120, 150)]
    assert ours[0] == first[:10]
    assert ours[1] == second[:10]
    assert ours[2] == [row for row in pool.tolist() if row >= 100 and row != 150][:10]


@pytest.mark.parametrize("cells", [1, 700, 1 << 24])
@pytest.mark.parametrize("sparse", [False, True])
def test_neighbours_are_those_of_a_full_sort_whatever_the_blocks(monkeypatch, cells, sparse):
    monkeypatch.setattr(neighbours, "COSINES_AT_ONCE", cells)
    rng = np.random.default_rng(2)
    vectors = units_of(rng.normal(size=(90, 6)))
    pool, queries = rng.permutation(90)[:60], np.arange(0, 90, 2)
    given = sp.csr_array(vectors.astype(np.float64)) if sparse else vectors
    found = nearest_in_pool(given, queries, pool, 5)
    for query, places in zip(queries, found, strict=True):
        cosines = vectors[pool].astype(np.float64) @ vectors[query].astype(np.float64)
        cosines[pool == query] = -np.inf
        assert places.tolist() == np.argsort(-cosines)[:5].tolist()


@pytest.mark.parametrize("sparse", [False, True])
def test_equal_cosines_go_by_place_and_too_few_leave_gaps(sparse):
    vectors = np.array([[1, 0], [0, 1], [1, 0], [1, 0]], np.float32)
    given = sp.csr_array(vectors.astype(np.float64)) if sparse else vectors
    found = nearest_in_pool(given, np.array([0, 1]), np.array([3, 0, 2]), 3)
    assert found.tolist() == [[0, 2, -1], [0, 1, 2]]
    assert nearest_in_pool(given, np.array([0]), np.empty(0, np.int64), 3).shape == (1, 0)


def test_a_gpu_that_is_not_there_is_an_error_only_when_asked_for(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_cuda_or_cpu("auto", 1e15) == "cpu"
    with pytest.raises(InputError, match="no CUDA device"):
        choose_cuda_or_cpu("cuda", 1.0)


# --- intervals -------------------------------------------------------------------------------


def test_intervals_are_as_wide_as_theory_says():
    # For a mean of n independent values the 95 % interval is ± 1.96 sd / sqrt(n); the bootstrap's
    # own noise at 1,000 draws is some 5 % of that.
    rng = np.random.default_rng(0)
    values = rng.normal(3, 2, 400)
    means, (low, high) = mean_with_interval(values[:, None], np.arange(400), 0)
    expected = 2 * 1.96 * values.std() / 20
    assert means[0] == pytest.approx(values.mean())
    assert high[0] - low[0] == pytest.approx(expected, rel=0.15)
    # Ten copies of each value by one owner tell nothing more.
    _, (low, high) = mean_with_interval(np.repeat(values, 10)[:, None], np.arange(4000) // 10, 0)
    assert high[0] - low[0] == pytest.approx(expected, rel=0.15)
    assert mean_with_interval(values[:, None], np.zeros(400, np.int64), 0)[1] is None


# --- baselines -------------------------------------------------------------------------------


def test_tfidf_finds_shared_words_and_svd_keeps_the_dims_texts_allow(tmp_path):
    texts = ["heart muscle disease", "liver enzyme", "the heart muscle", "a liver enzyme test"]
    folder = make_space(tmp_path, np.eye(4, 300), list("AABB"), texts)
    made = Baselines(Space(folder), shards_of(folder), 0)
    rows = np.arange(4)
    for vectors in (made.tfidf(rows).toarray(), made.tfidf_svd(rows), made.random(rows)):
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert made.tfidf_svd(rows).shape == (4, 3)
    assert made.random(rows).shape == (4, 300)
    for vectors in (made.tfidf(rows).toarray(), made.tfidf_svd(rows)):
        cosines = vectors @ vectors.T
        assert cosines[0, 2] > 0.3
        assert abs(cosines[0, 1]) < 0.01
        assert cosines[1, 3] > 0.3


def test_texts_without_words_and_equal_texts_do_not_stop_the_scores(tmp_path):
    labels = ["A"] * 12 + ["B"] * 12
    vectors = np.random.default_rng(0).normal(size=(24, 3))
    for table, texts in (("signs", ["-" * (i + 1) for i in range(24)]), ("one", ["same"] * 24)):
        folder = make_space(tmp_path, vectors, labels, texts, table=table)
        triples = [(f"A::{i}", "r", f"B::{12 + i}") for i in range(12)]
        card = scored(
            folder,
            "cold_start",
            "labels",
            "geometry",
            triples=[write_triples(tmp_path / "t.tsv", triples)],
        )
        assert "geometry" in card["scores"]


def test_missing_texts_are_told(tmp_path):
    folder = make_space(tmp_path, np.eye(30), ["A", "B"] * 15)
    lost = shards_of(folder) / "001-of-002.parquet"
    lost.unlink()
    with pytest.raises(InputError, match="lacks 15 texts"):
        scored(folder, "labels")


# --- labels ----------------------------------------------------------------------------------


def test_labels_are_told_from_separable_vectors_and_not_from_noise(tmp_path):
    rng = np.random.default_rng(3)
    labels = ["A"] * 80 + ["B"] * 40 + ["few"] * 3
    centres = np.repeat(np.eye(2, 6) * 20, [80, 40], axis=0)
    apart = np.vstack([centres, np.zeros((3, 6))]) + rng.normal(size=(123, 6)) + 50
    folder = make_space(tmp_path, apart, labels)
    card = scored(folder, "labels")
    found = card["scores"]["labels"]["all"]["all"]
    for metric in ("knn_accuracy", "logistic_accuracy", "knn_balanced", "logistic_balanced"):
        assert found["vectors"][metric]["value"] == 1.0
        assert found["random"][metric]["value"] < 0.75
    assert found["vectors"]["knn_accuracy"]["n"] == 120
    assert found["majority"]["knn_accuracy"]["value"] == pytest.approx(80 / 120, abs=1e-6)
    assert found["majority"]["knn_balanced"]["value"] == 0.5
    assert "few" in card["notes"][0]


def test_the_label_probe_counts_equal_texts_once_and_samples_large_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(label_probe, "SAMPLE", 40)
    labels = ["A"] * 200 + ["B"] * 100
    texts = [f"t{i // 2}" for i in range(300)]
    space = Space(make_space(tmp_path, np.ones((300, 2)), labels, texts))
    rows, notes = label_probe.label_probe_rows(space, 0)
    assert (space.label_codes[rows] == 0).sum() == 27
    assert (space.label_codes[rows] == 1).sum() == 13
    assert (rows % 2 == 0).all()
    assert notes == ["labels: a sample of 40 of 150 rows, stratified by label"]


def test_a_text_rule_that_holds_the_label_is_noted(tmp_path):
    folder = make_space(tmp_path, np.eye(30), ["A", "B"] * 15, text="{label}: {name}")
    assert any(
        "label, which is in the text, alone predicts 100%" in note
        for note in scored(folder, "labels")["notes"]
    )


# --- retention and geometry ------------------------------------------------------------------


def test_a_space_retains_all_of_itself_and_noise_retains_chance(tmp_path):
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(500, 12))
    full = make_space(tmp_path, vectors, ["A"] * 500)
    turned = vectors @ np.linalg.qr(rng.normal(size=(12, 12)))[0] * 3
    same = make_space(tmp_path, turned, ["A"] * 500, space="pca12")
    found = scored(same, "retention", full=full)["scores"]["retention"]["all"]["all"]
    assert found["vectors"]["recall_at_10"]["value"] == 1.0
    assert found["vectors"]["variance_kept"]["value"] == pytest.approx(9, rel=1e-4)
    noise = make_space(tmp_path, rng.normal(size=(500, 12)), ["A"] * 500, space="pca13")
    found = scored(noise, "retention", full=full)["scores"]["retention"]["all"]["all"]
    low, high = found["vectors"]["recall_at_10"]["interval"]
    assert low < found["chance"]["recall_at_10"]["value"] < high
    assert found["chance"]["recall_at_10"]["value"] == pytest.approx(10 / 499, abs=1e-6)


def test_recall_is_that_of_a_full_sort(tmp_path):
    vectors = np.random.default_rng(6).normal(size=(200, 9))
    full = make_space(tmp_path, vectors, ["A"] * 200)
    pca = {"explained_variance_share": 0.25, "rank": 4, "fit_rows": 77}
    part = make_space(tmp_path, vectors[:, :4], ["A"] * 200, space="pca4", pca=pca)
    found = scored(part, "retention", full=full / "embeddings.npy")
    found = found["scores"]["retention"]["all"]["all"]["vectors"]

    def top(some):
        units = some / np.linalg.norm(some, axis=1, keepdims=True)
        cosines = units @ units.T - 2 * np.eye(200)
        return np.argsort(-cosines, axis=1)[:, :10]

    pairs = zip(top(vectors), top(vectors[:, :4]), strict=True)
    plain = np.mean([len(set(a) & set(b)) / 10 for a, b in pairs])
    assert found["recall_at_10"]["value"] == pytest.approx(plain, abs=1e-3)
    kept = vectors[:, :4].var(axis=0).sum() / vectors.var(axis=0).sum()
    assert found["variance_kept"]["value"] == pytest.approx(kept, abs=1e-5)
    assert found["variance_kept_fit"] == {"value": 0.25, "interval": None, "n": 77}
    assert found["rank"]["value"] == 4


def test_all_neighbours_at_the_distance_of_the_tenth_count(tmp_path):
    """Many texts have one vector in the full space, such as zero, and differ in the reduced one."""
    rng = np.random.default_rng(2)
    vectors, reduced = rng.normal(size=(120, 9)), rng.normal(size=(120, 4))
    vectors[40:80], vectors[80:] = vectors[40], 0
    full = make_space(tmp_path, vectors, ["A"] * 120)
    space = make_space(tmp_path, reduced, ["A"] * 120, space="pca4")
    found = scored(space, "retention", full=full)["scores"]["retention"]["all"]["all"]["vectors"]

    def cosines(some):
        units = some / np.maximum(np.linalg.norm(some, axis=1, keepdims=True), 1e-9)
        return units @ units.T - 2 * np.eye(len(some))

    near = cosines(vectors) >= np.sort(cosines(vectors))[:, [-10]] - 1e-6
    top = np.argsort(-cosines(reduced))[:, :10]
    kept = np.take_along_axis(near, top, axis=1)
    assert kept[80:].all()
    assert found["recall_at_10"]["value"] == pytest.approx(kept.mean(), abs=1e-6)


def test_retention_refuses_spaces_of_other_rows_and_notes_what_is_missing(tmp_path):
    full = make_space(tmp_path, np.eye(5), ["A"] * 5)
    other = make_space(tmp_path, np.eye(5), ["A"] * 5, list("vwxyz"), space="pca5")
    with pytest.raises(InputError, match="aren't those of"):
        scored(other, "retention", full=full)
    assert scored(other, "retention")["notes"] == ["retention: left out, --full wasn't given"]
    assert scored(full, "retention")["notes"] == []


def test_geometry_is_that_of_all_pairs(tmp_path):
    rng = np.random.default_rng(7)
    vectors = (rng.normal(size=(50, 5)) + 1).astype(np.float32)
    vectors[49] = vectors[48]
    vectors[47] = 0
    texts = [f"t{min(i, 48)}" for i in range(50)]
    folder = make_space(tmp_path, vectors, ["A"] * 50, texts)
    found = scored(folder, "geometry")["scores"]["geometry"]["all"]["all"]["vectors"]
    once = np.delete(vectors, [47, 49], axis=0).astype(np.float64)
    once /= np.linalg.norm(once, axis=1, keepdims=True)
    pairs = (once @ once.T)[np.triu_indices(48, 1)]
    assert found["mean_cosine"]["value"] == pytest.approx(pairs.mean(), abs=2e-6)
    assert found["deviation_of_cosine"]["value"] == pytest.approx(pairs.std(), abs=2e-6)
    assert found["duplicate_share"]["value"] == 0.02
    assert found["zero_share"]["value"] == 0.02
    norms = np.linalg.norm(vectors, axis=1)
    assert found["norm_median"]["value"] == pytest.approx(np.median(norms), abs=1e-5)
    assert found["norm_min"]["value"] == 0


def test_relation_types_get_no_cold_start(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(30, 4))
    folder = make_space(tmp_path, vectors, ["A:B"] * 15 + ["B:B"] * 15, kind="relation_types")
    card = scored(folder, "cold_start", "labels", "geometry", triples=[tmp_path / "unread.tsv"])
    assert set(card["scores"]) == {"labels", "geometry"}
    assert card["notes"] == ["cold_start: left out, it needs a table of entities"]


def test_nan_and_a_damaged_space_are_told(tmp_path):
    vectors = np.eye(6)
    vectors[3, 2] = np.nan
    folder = make_space(tmp_path, vectors, ["A"] * 6)
    with pytest.raises(InputError, match="NaN or Inf, first at row 3"):
        take_units(Space(folder).matrix, np.arange(6))
    with pytest.raises(InputError, match="NaN or Inf, first at row 3"):
        scored(folder, "geometry")
    np.save(folder / "embeddings.npy", np.eye(5, dtype=np.float32))
    with pytest.raises(InputError, match=r"has 5 rows, index\.parquet has 6"):
        scored(folder, "geometry")


# --- the table of all scores -------------------------------------------------------------------


def test_scores_of_many_spaces_make_one_sorted_table(tmp_path):
    vectors, labels, triples = clusters(size=12)
    path = write_triples(tmp_path / "t.tsv", triples)
    full = make_space(tmp_path, vectors, labels)
    part = make_space(tmp_path, vectors[:, :4], labels, space="pca4")
    cards = [
        scored(full, "cold_start", "labels", "geometry", triples=[path]),
        scored(part, "cold_start", "retention", triples=[path], full=full),
    ]
    files = [folder / "scores.json" for folder in (full, part)]
    collect_scores(files, out=tmp_path / "a.tsv")
    collect_scores(files[::-1], out=tmp_path / "b.tsv")
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()
    header, *lines = [line.split("\t") for line in (tmp_path / "a.tsv").read_text().splitlines()]
    assert tuple(header) == SCORE_TABLE_COLUMNS
    assert {len(line) for line in lines} == {len(SCORE_TABLE_COLUMNS)}
    assert lines == sorted(lines)
    assert len({tuple(line[:9]) for line in lines}) == len(lines)
    expected = cards[0]["scores"]["cold_start"]["relation"]["likes"]["vectors"]["mrr"]
    row = ["toy", "things", "full", "8", "cold_start", "relation", "likes", "vectors", "mrr"]
    [found] = [line for line in lines if line[:9] == row]
    assert [float(field) for field in found[9:]] == [
        expected["value"],
        *expected["interval"],
        expected["n"],
    ]
    assert any(line[10] == "" and line[11] == "" for line in lines if line[4] == "geometry")
    with pytest.raises(InputError, match="Name each once"):
        collect_scores([files[0], files[0]], out=tmp_path / "c.tsv")
    collect_scores([], out=tmp_path / "none.tsv")
    assert (tmp_path / "none.tsv").read_text() == "\t".join(SCORE_TABLE_COLUMNS) + "\n"


def test_collecting_refuses_what_is_no_scorecard(tmp_path):
    bad = tmp_path / "scores.json"
    bad.write_text('{"model": "m", "table": "t", "space": "full", "scores": {}}')
    with pytest.raises(InputError, match="not a file of evaluate-space"):
        collect_scores([bad], out=tmp_path / "c.tsv")


# --- the command line --------------------------------------------------------------------------


def test_the_command_line_scores_a_space_and_collects_what_it_wrote(tmp_path, capsys):
    folder = make_space(tmp_path, np.eye(4), ["A"] * 4)
    card = tmp_path / "s.json"
    words = ["evaluate-space", folder, "--texts", shards_of(folder), "--triples", "--full"]
    words += ["--out", card]

    def run(*more):
        return main([str(word) for word in (*words, *more)])

    assert run() == 0
    assert json.loads(card.read_text())["settings"] == {
        "scores": ["cold_start", "labels", "retention", "geometry"],
        "seed": 0,
        "neighbours": 10,
    }
    assert main(["collect-scores", str(card), "--out", str(tmp_path / "s.tsv")]) == 0
    assert "geometry" in (tmp_path / "s.tsv").read_text()
    capsys.readouterr()
    assert run("--test-triples", tmp_path / "t.tsv") == 2
    assert "evaluate.triples" in capsys.readouterr().err
    assert run("--neighbours", 0) == 2
    assert "neighbours" in capsys.readouterr().err
    assert run("--scores", "labels,luck") == 2
    assert "'luck' is unknown. Choose one of cold_start, geometry" in capsys.readouterr().err


def test_the_verbs_module_starts_light():
    heavy = "('numpy', 'pyarrow', 'torch', 'sklearn')"
    names = ("evaluate", "evaluate.scorecard", "evaluate.collect", "evaluate.links")
    ours = ", ".join(f"kgtextvec.{name}" for name in names)
    code = f"import sys, {ours}; print([m for m in {heavy} if m in sys.modules])"
    source = Path(__file__).resolve().parents[1] / "src"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
