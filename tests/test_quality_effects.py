"""What texts do to vectors, counted on a table made by hand, with examples on the page."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kgtextvec.errors import InputError
from kgtextvec.report.effects import effects_on_vectors
from kgtextvec.report.quality import draw_quality

# (name, text); the numbers that the tests expect are counted on these lines.
ROWS = [
    ("TP53", "TP53"),
    ("BRCA1", "BRCA1"),
    ("EGFR", "kinase"),
    ("aspirin", "relieves pain and lowers fever by blocking an enzyme"),
    ("ibuprofen", "relieves pain and lowers fever by blocking an enzyme"),
    ("warfarin", "thins the blood <b>for days</b>"),
]


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def texts(tmp_path):
    """rows.parquet and two shards, as read-texts writes them."""
    folder = tmp_path / "texts/entities"
    (folder / "shards").mkdir(parents=True)
    rows = {
        "id": [f"id{i}" for i in range(len(ROWS))],
        "label": ["Gene"] * 3 + ["Compound"] * 3,
        "name": [name for name, _ in ROWS],
        "text_sha256": [sha(text) for _, text in ROWS],
    }
    pq.write_table(pa.table(rows), folder / "rows.parquet")
    distinct = sorted({text for _, text in ROWS}, key=sha)
    for number, part in enumerate((distinct[:2], distinct[2:])):
        table = pa.table({"text_sha256": [sha(one) for one in part], "text": part})
        pq.write_table(table, folder / f"shards/{number}.parquet")
    return folder


def test_rows_are_counted_by_what_their_texts_do(texts):
    cut = np.array([False, False, False, True, False, True])
    found = effects_on_vectors(texts / "rows.parquet", texts / "shards", {"bert": cut})
    counts = {(one["kind"], one["model"]): one["count"] for one in found}
    assert counts == {
        ("name_only", None): 2,
        ("few_words", None): 1,
        ("shared_text", None): 2,
        ("truncated", "bert"): 2,
    }
    examples = {one["kind"]: [row["name"] for row in one["examples"]] for one in found}
    assert examples["name_only"] == ["TP53", "BRCA1"]
    assert examples["few_words"] == ["EGFR"]
    assert examples["shared_text"] == ["aspirin", "ibuprofen"]
    assert examples["truncated"] == ["aspirin", "warfarin"]


def test_the_page_shows_them_with_examples(texts, tmp_path):
    labels = {"Gene": 3, "Compound": 3}
    findings = {"outcome": "ok", "rows": 6, "distinct_texts": 5, "findings": [], "labels": labels}
    nothing = {"duplicates": {}, "text_from": {}, "lengths": {}, "odd_characters": {}}
    (texts / "findings.json").write_text(json.dumps(findings | nothing))
    draw_quality(
        findings=texts / "findings.json",
        rows=texts / "rows.parquet",
        texts=texts / "shards",
        out_json=tmp_path / "q.json",
        out_html=tmp_path / "q.html",
    )
    page = (tmp_path / "q.html").read_text("utf-8")
    assert "Only a name as text: 2 of 6 rows (33.33 %)." in page
    assert "<b>EGFR</b> <small>Gene</small>: kinase" in page
    assert "Fewer than three words: 1 row<" in page
    assert "<b>for days" not in page, "texts are escaped"
    kinds = [one["kind"] for one in json.loads((tmp_path / "q.json").read_text())["effects"]]
    assert kinds == ["name_only", "shared_text", "few_words"]


def test_shards_of_another_table_are_an_error(texts):
    (texts / "shards/1.parquet").unlink()
    with pytest.raises(InputError, match="shards: has no text"):
        effects_on_vectors(texts / "rows.parquet", texts / "shards", {})


def test_a_text_that_is_not_the_one_recorded_is_an_error(texts):
    shard = texts / "shards/0.parquet"
    table = pq.read_table(shard)
    changed = [table["text"][0].as_py() + "!", *table["text"].to_pylist()[1:]]
    pq.write_table(table.set_column(1, "text", pa.array(changed)), shard)
    with pytest.raises(InputError, match=r"0\.parquet: row 0 .* rerun read-texts"):
        effects_on_vectors(texts / "rows.parquet", texts / "shards", {})
