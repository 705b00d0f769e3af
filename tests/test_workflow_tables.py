"""A whole run of tables in other forms: part files with headers of their own, CSV, JSON lines."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from plain_loop import plain_loop
from tiny_models import tiny_bert
from workflow_run import Project

FILES = {
    "Gene-header.csv": ":ID;name;synonyms:string[];:LABEL\n",
    "Gene-part000.csv": "g1;'alpha; kinase';'ak|akin';Gene|Thing\n",
    "Gene-part001.csv": "g2;beta kinase;;Gene\n",
    "Disease-header.csv": ":ID;comment;name;:LABEL\n",
    "Disease-part000.csv": "d1;rare;gamma fever;Disease\n",
    "nodes.csv": 'node_id,type,label\nx1,Gene,"alpha, delta"\nx2,Drug,aspirin\n',
    "nodes.jsonl": '{"id": "k1", "category": ["biolink:Gene"], "name": "kappa"}\n',
}
pytestmark = pytest.mark.slow  # 30 CPU seconds

TABLES = {
    "parts": {
        "file": ["*-part*.csv"],
        "header_file": "*-header.csv",
        "kind": "entities",
        "columns": {"id": ":ID", "label": ":LABEL", "synonyms": ["synonyms:string[]", "comment"]},
        "list_separator": "|",
        "quotechar": "'",
        "text": "{name} ({synonyms})",
    },
    "csv": {
        "file": "nodes.csv",
        "kind": "entities",
        "columns": {"id": "node_id", "label": "type", "name": "label"},
        "text": ["name"],
    },
    "kgx": {
        "file": "nodes.jsonl",
        "kind": "entities",
        "columns": {"label": "category"},
        "label_prefixes": ["biolink:"],
        "text": ["name"],
    },
}
ROWS = {
    "parts": [
        ("d1", "Disease", "gamma fever (rare)"),
        ("g1", "Gene", "alpha; kinase (ak, akin)"),
        ("g2", "Gene", "beta kinase"),
    ],
    "csv": [("x1", "Gene", "alpha, delta"), ("x2", "Drug", "aspirin")],
    "kgx": [("k1", "Gene", "kappa")],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = {
        "tables": TABLES,
        "models": ["tiny"],
        "spaces": ["full"],
        "exports": ["npy"],
        "catalogue": {"tiny": {"source": "path:raw"}},
        "evaluate": {"scores": []},
        "report": {"maps": False, "notebooks": False},
    }
    project = Project(tmp_path_factory.mktemp("forms"), config)
    tiny_bert(project.folder / "raw")
    for name, text in FILES.items():
        (project.folder / name).write_text(text, "utf-8")
    return project, project.run()


@pytest.mark.parametrize("table", TABLES)
def test_each_form_gives_the_vectors_of_its_texts(run, table):
    project, outcome = run
    assert outcome.code == 0, outcome.text
    space = project.folder / "results/tiny" / table / "full"
    index = pq.read_table(space / "index.parquet")
    found = zip(index["id"].to_pylist(), index["label"].to_pylist(), strict=True)
    assert list(found) == [row[:2] for row in ROWS[table]]
    texts = [row[2] for row in ROWS[table]]
    expected = plain_loop(project.folder / "resources/models/tiny", texts, 512)
    assert np.abs(np.load(space / "embeddings.npy") - expected).max() < 1e-5
    manifest = json.loads((project.folder / f"results/texts/{table}/manifest.json").read_text())
    assert manifest["policies"]["columns"] == TABLES[table]["columns"]
