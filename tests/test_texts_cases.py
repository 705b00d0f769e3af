import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from table_builders import build

from kgtextvec.__main__ import main

CASES = yaml.safe_load((Path(__file__).parent / "inputs" / "cases.yaml").read_text("utf-8"))[
    "cases"
]
every_case = pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])


@pytest.fixture
def words(case, tmp_path):
    """What to type for a case: the table's path, its kind and the policies."""
    path = tmp_path / case.get("file", "table.tsv")
    path.write_bytes(build(case["id"]))
    typed = [str(path), "--kind", case.get("kind", "entities")]
    for name, value in case.get("settings", {}).items():
        typed.append(f"--{name.replace('_', '-')}")
        typed += [] if value is True else [value]
    return typed


def check_message(case, told):
    assert re.search(case.get("message", ""), told), told
    assert all(line.isprintable() for line in told.splitlines()), repr(told)


@every_case
def test_lint_tells_what_is_wrong(case, words, capsys):
    code = main(["lint", *words, "--json"])
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert (code, report["outcome"]) == (2 if case["outcome"] == "error" else 0, case["outcome"])
    check_message(case, err)
    messages = " ".join(finding["message"] for finding in report["findings"])
    # In the report findings stand by kind, so that parts of one message may stand apart.
    for part in re.split(r"; |\.\*", case.get("message", "")):
        assert re.search(part, messages), messages
    assert bool(report["findings"]) == (case["outcome"] != "ok")
    for finding in report["findings"]:
        assert finding["count"] >= 1
        assert finding["line"] is None or finding["line"] >= 1
    if case["outcome"] == "error":
        assert err.count("ERROR") == 1
        return
    assert report["rows"] == case["rows"] == len(report["ids"]) == len(report["texts"])
    assert report["ids"] == case.get("ids", report["ids"])
    for row, text in case.get("texts", {}).items():
        assert report["texts"][row] == text


@every_case
def test_read_texts_writes_all_or_nothing(case, words, tmp_path, capsys):
    out = tmp_path / "results" / "texts"
    code = main(["read-texts", *words, "--table", "t", "--shards", "3", "--out-dir", str(out)])
    err = capsys.readouterr().err
    check_message(case, err)
    if case["outcome"] == "error":
        assert code == 2
        assert [line.startswith("ERROR: ") for line in err.splitlines()] == [True]
        assert not (tmp_path / "results").exists()
        return
    assert code == 0
    assert ("WARNING" in err) == (case["outcome"] == "warn")
    rows = pq.read_table(out / "rows.parquet").to_pydict()
    names = [f"{n:03d}-of-003" for n in range(3)]
    shards = [pq.read_table(out / "shards" / f"{name}.parquet").to_pydict() for name in names]
    sorted_texts = [text for shard in shards for text in shard["text"]]
    assert rows["row"] == list(range(case["rows"]))
    assert rows["id"] == case.get("ids", rows["id"])
    assert rows["label"] == case.get("labels", rows["label"])
    assert rows["line"] == case.get("lines", rows["line"])
    for row, text in case.get("texts", {}).items():
        assert sorted_texts[rows["text_index"][row]] == text
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert manifest["rows"] == case["rows"]
    assert manifest["texts"] == len(sorted_texts) == len(set(rows["text_sha256"]))
    findings = json.loads((out / "findings.json").read_text("utf-8"))
    assert findings["outcome"] == case["outcome"]
    assert sorted(one.name for one in out.iterdir()) == [
        "findings.json",
        "manifest.json",
        "rows.parquet",
        "shards",
    ]


def test_every_case_has_one_builder():
    names = [case["id"] for case in CASES]
    assert len(set(names)) == len(names)
    for name in names:
        assert isinstance(build(name), bytes)
