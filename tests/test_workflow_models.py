"""The whole workflow with models as the seeds' lie: a package, a nested tarball, a folder."""

import csv
import functools
import http.server
import tarfile
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from plain_loop import plain_loop
from tiny_models import tiny_bert, tiny_roberta
from workflow_run import ROOT, Project

SHARED = ROOT.parent / "shared/data"
SAMPLE = ROOT / "resources/sample"
TABLES = [
    pytest.param((SAMPLE / "entities.tsv", SAMPLE / "relation_types.tsv"), id="sample"),
    pytest.param(
        (SHARED / "entities_2k.tsv", SHARED / "relation_types.tsv"),
        id="entities_2k",
        marks=[
            pytest.mark.slow,
            pytest.mark.skipif(not SHARED.exists(), reason="../shared is not here"),
        ],
    ),
]


@pytest.fixture
def tarball_url(tmp_path):
    """A tiny RoBERTa in a tarball, two folders deep as the seed's, on a loopback HTTP server."""
    name = "RoBERTa-large-PM-M3-Voc"
    inner = tiny_roberta(tmp_path / "pack" / name / f"{name}-hf")
    served = tmp_path / "served"
    served.mkdir()
    with tarfile.open(served / f"{name}-hf.tar.gz", "w:gz") as archive:
        archive.add(inner.parent, arcname=name)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{name}-hf.tar.gz"
        server.shutdown()


def texts_of(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    return [" ".join((row["description"] or row["name"]).split()) for row in rows]


@pytest.mark.parametrize("tables", TABLES)
def test_every_kind_of_model_goes_through(tables, tarball_url, tmp_path):
    entities, relation_types = tables
    project = Project(
        tmp_path / "project",
        {
            "tables": {
                "entities": {"file": str(entities), "kind": "entities"},
                "relation_types": {"file": str(relation_types), "kind": "relation_types"},
            },
            "models": ["all-MiniLM-L6-v2", "roberta", "cased"],
            "spaces": ["full", "pca16"],
            "catalogue": {
                "roberta": {"source": tarball_url, "max_tokens": 512},
                "cased": {"source": "path:raw/cased"},
            },
            "evaluate": {"scores": []},
            "report": {"maps": False, "notebooks": False},
        },
    )
    tiny_bert(project.folder / "raw/cased")
    project.run()
    wanted = texts_of(entities)
    for model, dims in (("all-MiniLM-L6-v2", 384), ("roberta", 32), ("cased", 32)):
        folder = project.folder / f"results/{model}/entities"
        vectors = np.load(folder / "full/embeddings.npy", mmap_mode="r")
        assert vectors.shape == (len(wanted), dims)
        index = pd.read_parquet(folder / "full/index.parquet")
        every = 1 if model == "all-MiniLM-L6-v2" else max(len(wanted) // 150, 1)
        some = np.arange(0, len(wanted), every)
        # all-MiniLM-L6-v2's own files say 256 tokens and unit length.
        own = model == "all-MiniLM-L6-v2"
        expected = plain_loop(
            project.folder / f"resources/models/{model}",
            [wanted[i] for i in some],
            256 if own else 512,
        )
        if own:
            expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        assert np.abs(vectors[some] - expected).max() <= 1e-5, model
        tsv = pd.read_csv(folder / "pca16/embeddings.tsv", sep="\t", dtype=str, na_filter=False)
        reduced = np.load(folder / "pca16/embeddings.npy")
        assert tsv["entity_id"].tolist() == index["id"].tolist()
        read_back = np.array([row.split("|") for row in tsv["embedding"]]).astype(np.float32)
        assert np.array_equal(read_back, reduced), "floats parse back bit-equal"
        parquet = pd.read_parquet(folder / "pca16/embeddings.parquet")
        assert np.array_equal(np.stack(parquet["embedding"].to_numpy()), reduced)


def test_case_is_kept_without_tokenizer_config(tmp_path):
    """'TP53' and 'tp53' are two texts to a cased model."""
    project = Project(
        tmp_path / "project",
        {
            "tables": {"entities": {"file": "entities.tsv", "kind": "entities"}},
            "models": ["cased"],
            "spaces": ["full"],
            "exports": ["npy"],
            "catalogue": {"cased": {"source": "path:raw/cased", "do_lower_case": False}},
            "evaluate": {"scores": []},
            "report": {"maps": False, "notebooks": False},
        },
    )
    tiny_bert(project.folder / "raw/cased")
    names = ["TP53", "tp53", "Tp53"]
    rows = [{"id": f"X:{i}", "name": name, "label": "Gene"} for i, name in enumerate(names)]
    project.write_entities(rows)
    project.run()
    vectors = np.load(project.folder / "results/cased/entities/full/embeddings.npy")
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    assert np.abs(vectors[0] - vectors[2]).max() > 1e-3
