"""What baselines find is computed once for all spaces of a table, and changes no score."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluate_fixtures import clusters, make_space, shards_of, write_triples
from test_embed import environment

from kgtextvec.__main__ import main
from kgtextvec.kept_results import FOLDER, KeptResult, KeptResults

BASELINES = ("random", "tfidf", "tfidf_svd", "tfidf_chars", "tfidf_both")
SCORES = ("cold_start", "labels")


def make(folder: Path, seed: int = 0, dims: int = 12, name: str = "pca12") -> Path:
    """A space of a table whose texts say something of their cluster."""
    vectors, labels, _ = clusters(12, 30, 12)
    rng = np.random.default_rng(seed)
    noisy = np.hstack([vectors, np.zeros((len(vectors), dims - 12))]) + 0.3 * rng.standard_normal(
        (len(vectors), dims)
    )
    return make_space(folder, noisy, labels, distinct_texts(labels, own=3), name)


def distinct_texts(labels: list[str], own: int) -> list[str]:
    """Texts that hold their label, and `own` words that no other text has."""
    draws = np.random.default_rng(5).choice(list("abcdefghiklmnoprstuvw"), (len(labels), own, 7))
    return [
        f"{label} {' '.join(map(''.join, words))}"
        for label, words in zip(labels, draws, strict=True)
    ]


def words(space: Path, triples: Path, out: Path, *more: object) -> list[str]:
    """What scores a space, as `kgtextvec` takes it."""
    given = [
        "evaluate-space", space, "--texts", shards_of(space), "--triples", triples, "--out", out,
        "--threads", 1, "--device", "cpu", "--scores", ",".join(SCORES), *more,
    ]  # fmt: skip
    return [*map(str, given)]


@pytest.fixture
def score(capfd):
    """Score a space; return the bytes of both files, and the log."""

    def run(space: Path, triples: Path, out: Path, *more: object) -> tuple[bytes, bytes, str]:
        capfd.readouterr()
        assert main(words(space, triples, out, *more)) == 0
        log = capfd.readouterr().err
        return out.read_bytes(), out.with_name("scores_by_row.parquet").read_bytes(), log

    return run


def counted(log: str) -> tuple[int, int]:
    """How many results were taken, and how many computed."""
    found = re.search(r"baselines: (\d+) results taken from .*, (\d+) computed", log)
    assert found, log
    return int(found[1]), int(found[2])


@pytest.fixture
def triples(tmp_path) -> Path:
    return write_triples(tmp_path / "triples.tsv", clusters(12, 30, 12)[2])


def test_another_space_of_the_table_takes_what_baselines_found(tmp_path, triples, score):
    store = tmp_path / "store"
    first, second = make(tmp_path, 1), make(tmp_path, 2, name="other")
    _, _, log = score(first, triples, tmp_path / "1/scores.json", "--store", store)
    assert counted(log) == (0, 10)
    assert len(KeptResults(store / FOLDER).paths()) == 10
    *shared, log = score(second, triples, tmp_path / "2/scores.json", "--store", store)
    assert counted(log) == (10, 0)
    *alone, log = score(second, triples, tmp_path / "3/scores.json")
    assert shared == alone
    assert "baselines: " not in log
    methods = json.loads(shared[0])["scores"]["cold_start"]["all"]["all"]
    assert {*BASELINES, "vectors"} <= set(methods)
    assert methods["vectors"]["mrr"]["value"] > methods["random"]["mrr"]["value"]


def test_a_space_of_other_dims_computes_what_depends_on_them(tmp_path, triples, score):
    store = tmp_path / "store"
    score(make(tmp_path), triples, tmp_path / "1/scores.json", "--store", store)
    other = make(tmp_path, 1, 16, "pca16")
    *shared, log = score(other, triples, tmp_path / "2/scores.json", "--store", store)
    assert counted(log) == (6, 4)  # random and tfidf_svd, for each score
    assert shared == [*score(other, triples, tmp_path / "3/scores.json")[:2]]


@pytest.mark.parametrize(
    "change",
    [("--seed", 1), ("--neighbours", 3), ("--threads", 2), "texts", "triples"],
    ids=str,
)
def test_nothing_is_taken_that_was_found_for_something_else(tmp_path, triples, score, change):
    store = tmp_path / "store"
    space = make(tmp_path)
    score(space, triples, tmp_path / "1/scores.json", "--store", store)
    more = change if isinstance(change, tuple) else ()
    expected = 0
    if change == "texts":
        vectors, labels, _ = clusters(12, 30, 12)
        texts = distinct_texts(labels, own=4)
        space = make_space(tmp_path / "other", vectors, labels, texts, "pca12")
    elif change == "triples":
        write_triples(triples, clusters(12, 30, 12)[2][:-1])
        expected = 5  # labels don't depend on the graph
    *shared, log = score(space, triples, tmp_path / "2/scores.json", "--store", store, *more)
    assert counted(log) == (expected, 10 - expected)
    assert shared == [*score(space, triples, tmp_path / "3/scores.json", *more)[:2]]


def test_damaged_results_are_computed_again(tmp_path, triples, score):
    store, space = tmp_path / "store", make(tmp_path)
    *right, _ = score(space, triples, tmp_path / "1/scores.json", "--store", store)
    kept = KeptResults(store / FOLDER).paths()
    rng = np.random.default_rng(0)
    for path in kept[:6]:
        data = bytearray(path.read_bytes())
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
    kept[6].write_bytes(b"")
    kept[7].write_bytes(kept[7].read_bytes()[:20])
    *again, log = score(space, triples, tmp_path / "2/scores.json", "--store", store)
    assert counted(log) == (2, 8)
    assert log.count("WARNING: ") == log.count("damaged; computed again.") == 8
    assert again == right


def test_jobs_at_the_same_time_share_the_work(tmp_path, triples, score):
    store, space = tmp_path / "store", make(tmp_path)
    *right, _ = score(space, triples, tmp_path / "0/scores.json")
    program = [sys.executable, "-m", "kgtextvec"]
    jobs = [
        subprocess.Popen(
            [*program, *words(space, triples, tmp_path / f"{n}/scores.json", "--store", store)],
            env=environment(), stderr=subprocess.PIPE, text=True,
        )
        for n in (1, 2, 3)
    ]  # fmt: skip
    counts = [counted(job.communicate()[1]) for job in jobs]
    assert [sum(count) for count in counts] == [10, 10, 10]
    assert sum(computed for _, computed in counts) == 10
    for n in (1, 2, 3):
        names = ("scores.json", "scores_by_row.parquet")
        assert [(tmp_path / str(n) / name).read_bytes() for name in names] == right


def test_a_job_does_what_no_other_is_at_and_waits_at_the_end(tmp_path):
    kept, other = KeptResults(tmp_path), KeptResults(tmp_path)
    order: list[str] = []
    about = {name: {"method": name} for name in "abc"}

    def compute(name: str) -> KeptResult:
        order.append(name)
        return KeptResult({"x": np.array([ord(name)])}, [f"note of {name}"])

    def compute_first(name: str) -> KeptResult:
        if name == "a":  # while the other job does the others
            found = other.find_all({one: about[one] for one in "bc"}, compute)
            assert [*found] == ["b", "c"]
        return compute(name)

    found = kept.find_all(about, compute_first)
    assert order == ["b", "c", "a"]
    assert [*found] == ["a", "b", "c"]
    assert [int(one.arrays["x"][0]) for one in found.values()] == [97, 98, 99]
    assert [one.notes for one in found.values()] == [[f"note of {name}"] for name in "abc"]
    assert (kept.computed, kept.taken, other.computed) == (1, 2, 2)


def test_a_store_that_cannot_be_written_is_named_and_changes_nothing(tmp_path, triples, score):
    (tmp_path / "store").write_text("a file")
    space = make(tmp_path)
    *shared, log = score(space, triples, tmp_path / "1/s.json", "--store", tmp_path / "store")
    assert counted(log) == (0, 10)
    (line,) = [line for line in log.splitlines() if line.endswith("is not kept there")]
    assert str(tmp_path / "store") in line
    assert shared == [*score(space, triples, tmp_path / "2/s.json")[:2]]


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everything")
def test_results_are_taken_from_a_store_that_others_wrote(tmp_path):
    about = {"a": {"method": "a"}, "b": {"method": "b"}}
    one = KeptResults(tmp_path / "kept")
    one.find_all({"a": about["a"]}, lambda name: KeptResult({"x": np.arange(2)}, []))
    for folder in (tmp_path / "kept/computing", tmp_path / "kept"):
        folder.chmod(0o555)
    other = KeptResults(tmp_path / "kept")
    other.find_all(about, lambda name: KeptResult({"x": np.arange(3)}, []))
    assert (other.taken, other.computed) == (1, 1)
    assert len(other.paths()) == 1
