"""The benchmark suite runs: each at a size of seconds, its own checks included."""

import csv
import json
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TINY = {
    "start": {"rounds": 1},
    "reduce": {"rows": 3_000, "dims": 64, "components": 16, "equal_rows": 3_000, "rounds": 1},
    "export": {"rows": 1_500, "dims": 64, "part": 100, "rounds": 1},
    "texts": {"rows": 3_000, "fewer": 1_000, "rounds": 1},
    "formats": {"rows": 1_000, "more": 1_000, "facts": 1_000, "named": 1_000, "rounds": 1},
    "lengths": {"n_texts": 4, "counts": [30]},
    "e2e": {"counts": [120], "repeats": 0, "parts": ["e2e"]},
    "elmo_host": {"n_texts": 300},
    "products": {"n_texts": 8, "repeats": 1},
    # On a CPU: what it does is the same, its figures mean nothing.
    "decoder": {"n_texts": 4, "layers": 1},
    "gpu": {
        "n_texts": 60,
        "device": "cpu",
        "precisions": ("float32", "bfloat16"),
        "shape": {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 64,
        },
        "product": 64,
    },
}


@pytest.fixture(autouse=True)
def checkout(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.chdir(ROOT)


def test_small_and_full_sizes_are_for_the_same_benchmarks():
    runner = import_module("benchmarks.__main__")
    assert list(runner.SMALL) == list(runner.FULL)
    assert all((ROOT / f"benchmarks/bench_{name}.py").exists() for name in runner.SMALL)
    assert set(TINY) < set(runner.SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_it_runs_and_tells_its_rows(name):
    rows = list(import_module(f"benchmarks.bench_{name}").bench(**TINY[name]))
    assert rows and all({"name", "ours", "target"} <= set(row) for row in rows)
    assert all(row["ours"] > 0 for row in rows)
    json.dumps(rows)


def test_texts_for_the_gpu_are_as_long_as_entities():
    gpu = import_module("benchmarks.bench_gpu")
    texts = gpu.entity_texts(5_000)
    assert len(set(texts)) == 5_000
    words = sorted(len(text.split()) for text in texts)
    assert words[2_500] < sum(words) / 5_000 < 21 and words[-1] > 100  # a long tail


def test_without_a_gpu_its_rows_are_not_measured(tmp_path, monkeypatch, capsys):
    runner = import_module("benchmarks.__main__")
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr("sys.argv", ["benchmarks", "gpu"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    runner.keep("gpu", [{"benchmark": "gpu", "ours": 1}])
    runner.main()
    assert "not measured" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "results.json").read_text())) == 1


def test_rows_of_e2e_replace_their_like_in_results_table_and_picture(tmp_path, monkeypatch):
    runner, table = import_module("benchmarks.__main__"), import_module("benchmarks.e2e_table")
    plots = import_module("benchmarks.plots")
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(table, "TABLES", tmp_path / "RESULTS.md")
    monkeypatch.setattr(plots.draw_e2e, "__defaults__", (tmp_path / "e2e.svg",))
    (tmp_path / "RESULTS.md").write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    made = {"benchmark": "e2e", "date": "2026-01-02", "target": "<= 1.1"}
    pair = made | {"texts": 500, "rounds": 3, "theirs": 20.0, "kind": "e2e cpu", "name": "500, cpu"}
    one = made | {"name": "the demo, CPU seconds", "wall": 9, "peak_mb": 7, "ours": 5}
    for row in (
        pair | {"ours": 11.0, "ratio": 0.55, "processor": "A, avx2"},
        pair | {"ours": 12.0, "ratio": 0.6, "processor": "B, avx512f"},
        one | {"processor": "A, avx2"},
        pair | {"ours": 13.0, "ratio": 0.65, "processor": "A, avx2"},
        pair | {"ours": 8, "ratio": 0.4, "processor": "A, avx2", "kind": "e2e wall", "name": "w"},
    ):
        runner.keep_e2e(row)
    text = (tmp_path / "RESULTS.md").read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "| 500, cpu | 3 | 13.0 | 20.0 | 0.65 | <= 1.1 |" in text and "11.0" not in text
    assert "| 500, cpu | 3 | 12.0 | 20.0 | 0.6 | <= 1.1 |" in text
    assert "| the demo | 5 | 9 | 7 | <= 1.1 |" in text
    assert "A, avx2" in (tmp_path / "e2e.svg").read_text()
    assert len(json.loads((tmp_path / "results.json").read_text())) == 4


def test_results_of_one_run_leave_the_others(tmp_path, monkeypatch):
    runner = import_module("benchmarks.__main__")
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "results.json")
    for name, ours in (("a", [1, 1]), ("b", [2]), ("a", [3])):
        runner.keep(name, [{"benchmark": name, "ours": one} for one in ours])
    found = json.loads((tmp_path / "results.json").read_text())
    assert found == [{"benchmark": "b", "ours": 2}, {"benchmark": "a", "ours": 3}]


def test_the_picture_shows_what_was_measured(tmp_path):
    plots = import_module("benchmarks.plots")
    rows = [
        {"kind": kind, "precision": precision, "texts": n, "tokens_a_text": n, "seconds": n / 7}
        | {"tokens_per_second": 9000.0 + n, "texts_per_second": 5000 / n}
        for kind in ("length", "names")
        for precision in ("float32", "bfloat16")
        for n in (13, 1234)
    ]
    plots.draw(rows, tmp_path / "a.svg")
    plots.draw(rows, tmp_path / "b.svg")
    drawn = (tmp_path / "a.svg").read_text()
    assert all(text in drawn for text in ("float32", "bfloat16", "1,234", "tokens a second"))
    assert drawn == (tmp_path / "b.svg").read_text()


def test_the_picture_of_start_to_finish_has_both_sides(tmp_path):
    plots = import_module("benchmarks.plots")
    rows = [
        {"kind": f"e2e {what}", "texts": n, "ours": n / 7, "theirs": n / 5, "processor": "A, avx2"}
        for what in ("wall", "cpu")
        for n in (500, 2_000)
    ]
    plots.draw_e2e(rows, tmp_path / "a.svg")
    drawn = (tmp_path / "a.svg").read_text()
    assert all(text in drawn for text in ("kgtextvec", "script of 30 lines", "2,000", "A, avx2"))


def test_made_tables_have_as_many_distinct_texts_as_asked(tmp_path):
    e2e = import_module("benchmarks.bench_e2e")
    assert ("e2e", *e2e.PARTS) == import_module("benchmarks.e2e_table").ROWS
    e2e.write_tables(tmp_path / "tables", 3_000, None)
    with (tmp_path / "tables/entities.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    texts = [row["description"] or row["name"] for row in rows]
    assert len(rows) == 3_000
    assert len(set(texts)) > 2_990
    assert 0.15 < sum(bool(row["description"]) for row in rows) / 3_000 < 0.25


def test_the_cost_of_a_command_counts_what_outlives_it():
    """A process that is left behind is waited for, and its time is in the sum."""
    child = import_module("benchmarks.child")
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    leave = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {burn!r}])"
    cost = child.run_tree([sys.executable, "-c", leave])
    assert cost.cpu > 0.3
    with pytest.raises(RuntimeError, match="out of paper"):
        child.run_tree([sys.executable, "-c", "import sys; sys.exit('out of paper')"])
