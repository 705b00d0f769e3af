"""Rows of one node made one row."""

import json

import pyarrow.parquet as pq
import pytest

from kgtextvec.__main__ import main

ROWS = [
    ("1", "Gene", "short", ""),
    ("2", "Gene", "only one", ""),
    ("1", "Gene", "a longer one", "a"),
    ("1", "Disease", "another node", ""),
    ("1", "Gene", "short", ""),
    ("1", "Gene", "", ""),
]


def read(tmp_path, how, *more):
    lines = ["id\tlabel\tname\tnote", *("\t".join(row) for row in ROWS)]
    (tmp_path / "t.tsv").write_text("\n".join(lines) + "\n")
    words = ["--table", "t", "--kind", "entities", "--text", "name", "--empty-text", "skip"]
    words += ["--merge", how, "--out-dir", str(tmp_path / "out"), *more]
    assert main(["read-texts", str(tmp_path / "t.tsv"), *words]) == 0
    shards = pq.read_table(tmp_path / "out/shards").to_pylist()
    texts = {one["text_sha256"]: one["text"] for one in shards}
    rows = pq.read_table(tmp_path / "out/rows.parquet").to_pylist()
    return [(row["line"], row["id"], row["label"], texts[row["text_sha256"]]) for row in rows]


@pytest.mark.parametrize(
    ("how", "text"),
    [("first", "short"), ("longest", "a longer one"), ("join", "short; a longer one")],
)
def test_rows_of_a_node_are_one_row_with_the_text_of_the_policy(tmp_path, capsys, how, text):
    assert read(tmp_path, how) == [
        (2, "1", "Gene", text),
        (3, "2", "Gene", "only one"),
        (5, "1", "Disease", "another node"),
    ]
    said = capsys.readouterr().err
    assert f"row merged into an earlier row of the same node (merge: {how}) x2" in said
    assert "repeats" not in said
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert (manifest["rows"], manifest["policies"]["merge"]) == (3, how)


def test_by_default_all_rows_stay_and_nothing_is_recorded(tmp_path):
    assert len(read(tmp_path, "none")) == 5
    assert "merge" not in json.loads((tmp_path / "out/manifest.json").read_text())["policies"]


def test_only_rows_in_use_are_merged(tmp_path):
    (tmp_path / "used.tsv").write_text("Gene::1\tr\tGene::1\n")
    assert read(tmp_path, "join", "--used-by", str(tmp_path / "used.tsv")) == [
        (2, "1", "Gene", "short; a longer one")
    ]
