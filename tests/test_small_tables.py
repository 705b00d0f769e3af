"""What makes small tables fast gives what the general way gives."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from workflow_run import ROOT

from kgtextvec.evaluate.scores.labels import INVERSE_PENALTY, in_own_span
from kgtextvec.export.floats import LONGEST, spell_rows
from kgtextvec.export.plain_floats import spell_few_rows
from kgtextvec.neighbours import CpuSearch, NearestSearch

sys.path.insert(0, str(ROOT / "workflow"))
from lib.jobs import FEW_TEXTS, SMALL_TABLE, JobThreads
from lib.plan import Plan


def unit_rows(rng: np.random.Generator, n: int, dims: int) -> np.ndarray:
    rows = rng.standard_normal((n, dims)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("k", [1, 7, 60])
def test_a_search_without_torch_finds_what_a_plain_loop_finds(k):
    """60 of 50: all of the pool but the row itself, then -1."""
    rng = np.random.default_rng(k)
    units = unit_rows(rng, 50, 8)
    ids = np.array([3, 20, 49])
    searches = [CpuSearch(units[ids], ids, k), NearestSearch(units[ids], ids, k)]
    for search in searches:
        for start in range(0, 50, 20):
            search.offer(np.arange(start, min(start + 20, 50)), units[start : start + 20])
    for row, own in enumerate(ids):
        cosines = [(float(units[own] @ units[other]), other) for other in range(50) if other != own]
        expected = [other for _, other in sorted(cosines, reverse=True)][:k]
        for search in searches:
            found = search.result()[0][row]
            assert found[: len(expected)].tolist() == expected
            assert (found[len(expected) :] == -1).all()


def test_the_span_of_sparse_rows_keeps_their_products_and_what_a_linear_model_predicts():
    rng = np.random.default_rng(0)
    rows = sp.random_array((90, 4_000), density=0.01, rng=rng, format="csr")
    rows = sp.vstack([rows, rows[:5]]).tocsr()  # equal rows add no direction
    spanned = in_own_span(rows)
    assert spanned.shape == (95, 90)
    assert np.abs(spanned @ spanned.T - (rows @ rows.T).toarray()).max() < 1e-12
    labels = rng.integers(0, 3, 95)
    models = [LogisticRegression(C=INVERSE_PENALTY, max_iter=5_000, tol=1e-9) for _ in range(2)]
    asked = [given[70:] for given in (rows, spanned)]
    shares = [
        model.fit(given[:70], labels[:70]).predict_proba(some)
        for model, given, some in zip(models, (rows, spanned), asked, strict=True)
    ]
    assert np.abs(shares[0] - shares[1]).max() < 1e-4


def test_few_numbers_have_the_text_of_many():
    rng = np.random.default_rng(0)
    any_bits = rng.integers(0, 1 << 32, 6_000, dtype=np.uint32).view(np.float32)
    tens = np.array([f"{sign}1e{k}" for sign in ("", "-") for k in range(-45, 39)], np.float32)
    more = np.array([0.0, -0.0, 1e-45, 3.4028235e38, 0.0001, 1e16, 9999999.0], np.float32)
    steps = rng.standard_normal(3_000, dtype=np.float32)
    numbers = np.concatenate([any_bits[np.isfinite(any_bits)], tens, more, steps])
    vectors = numbers[: len(numbers) // 25 * 25].reshape(-1, 25)
    heads = np.frombuffer("".join(f"{i}\tµ\t" for i in range(len(vectors))).encode(), np.uint8)
    sizes = [len(f"{i}\tµ\t".encode()) for i in range(len(vectors))]
    bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    for separator, closing in (("|", ""), (",", "]")):
        out = np.empty((vectors.size + 1) * LONGEST + len(heads), np.uint8)
        codes = ord(separator), ord(closing or "\0")
        n = spell_rows(vectors.view(np.uint32), heads, bounds, out, *codes)
        few = spell_few_rows(vectors, heads, bounds, separator, closing)
        assert few.tobytes() == out[:n].tobytes()


def test_jobs_of_small_tables_have_one_thread(tmp_path):
    """Several jobs run side by side then; a table that can't be seen may be large."""
    for name, size in (("tiny", 1_000), ("some", FEW_TEXTS), ("large", SMALL_TABLE)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(int(size))
    tables = {name: {"file": name, "kind": "entities"} for name in ("tiny", "some", "large")}
    tables["remote"] = {"file": "s3://bucket/table.tsv", "kind": "entities"}
    (tmp_path / "models.yaml").write_text('bert: {source: "path:raw"}\n')
    raw = {"tables": tables, "models": ["bert"], "reduce": {"fit_on": "tiny"}}
    plan = Plan(raw, tmp_path / "models.yaml", tmp_path, in_conda=False)

    threads = JobThreads(plan)
    wildcards = [SimpleNamespace(table=name, model="bert") for name in tables]
    assert list(map(threads.table(4), wildcards)) == [1, 1, 4, 4]
    assert list(map(threads.model, wildcards)) == [1, 8, 8, 8]
    assert threads.table(4)(SimpleNamespace(model="bert")) == 4


@pytest.mark.parametrize(
    ("asked", "given"),
    [("cuda", "auto"), ("cuda:1", "auto"), ("cpu", "cpu"), ("mps", "mps"), ("auto", "auto")],
)
def test_scores_take_a_gpu_where_there_is_one_since_their_rule_requests_none(
    tmp_path, asked, given
):
    (tmp_path / "t.tsv").write_text("")
    (tmp_path / "models.yaml").write_text('bert: {source: "path:raw"}\n')
    raw = {
        "tables": {"t": {"file": "t.tsv", "kind": "entities"}},
        "models": ["bert"],
        "embed": {"device": asked},
    }
    plan = Plan(raw, tmp_path / "models.yaml", tmp_path, in_conda=False)
    devices = [
        one.device
        for one in plan.of_scoring(SimpleNamespace(table="t", model="bert"))
        if hasattr(one, "device")
    ]
    assert devices == [given]
