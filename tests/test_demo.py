"""The demo, whole: the real model, maps, notebooks, scores, the browsable report."""

import subprocess
import zipfile

import numpy as np
import pandas as pd
import pytest
import yaml
from plain_loop import plain_loop
from workflow_run import ROOT, Project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    config = yaml.safe_load((ROOT / "config/demo.yaml").read_text("utf-8"))
    project = Project(tmp_path_factory.mktemp("demo") / "project", config, as_users_do=True)
    project.run()
    return project


def test_every_file_that_the_docs_name_is_there(demo):
    for table in ("entities", "relation_types"):
        for space in ("full", "pca64"):
            folder = demo.folder / f"results/all-MiniLM-L6-v2/{table}/{space}"
            names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
            assert names == {
                "embeddings.npy", "embeddings.tsv", "embeddings.parquet", "index.parquet",
                "manifest.json", "scores.json", "layout.parquet", "map.html", "map.png", "map.svg",
                "explore.ipynb", "explore.html", "scores_by_row.parquet",
            }  # fmt: skip
    for name in ("index.html", "scores.tsv", "compare.html", "compare.ipynb"):
        assert (demo.folder / "results" / name).exists()
    assert (demo.folder / "results/all-MiniLM-L6-v2/pca64.npz").exists()


def test_the_demos_vectors_are_those_of_the_plain_loop(demo):
    table = pd.read_csv(
        ROOT / "resources/sample/entities.tsv", sep="\t", dtype=str, na_filter=False
    )
    texts = table["description"].where(table["description"] != "", table["name"]).tolist()
    vectors = np.load(demo.folder / "results/all-MiniLM-L6-v2/entities/full/embeddings.npy")
    expected = plain_loop(demo.folder / "resources/models/all-MiniLM-L6-v2", texts, 256)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)  # as its modules.json says
    assert np.abs(vectors - expected).max() <= 1e-5


def test_text_vectors_beat_their_baselines_on_the_sample(demo):
    """Descriptions say more than chance, popularity and random vectors; else the demo is moot."""
    scores = pd.read_csv(demo.folder / "results/scores.tsv", sep="\t")
    mrr = scores[
        (scores["table"] == "entities")
        & (scores["space"] == "full")
        & (scores["score"] == "cold_start")
        & (scores["by"] == "all")
        & (scores["metric"] == "mrr")
    ].set_index("method")
    for baseline in ("chance", "random", "popularity"):
        assert mrr.loc["vectors", "low"] > mrr.loc[baseline, "high"]


def test_the_comparison_says_what_the_demo_is_worth(demo):
    page = (demo.folder / "results/compare.html").read_text("utf-8")
    assert "The best of 2 spaces is all-MiniLM-L6-v2" in page
    assert "beats the best of all baselines, TF-IDF of" in page
    assert "all-MiniLM-L6-v2 pca64 keeps " in page and "in 64 of 384 dims." in page
    assert "Nothing here says which space is best" in page, "relation types have no triples"


def test_the_second_run_does_nothing(demo):
    assert not demo.run().jobs


def test_the_report_has_every_page_with_its_caption(demo):
    done = subprocess.run(
        [*demo.command("--report", "report.zip")],
        cwd=demo.folder,
        env=demo.env(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    with zipfile.ZipFile(demo.folder / "report.zip") as archive:
        names = archive.namelist()
        (page,) = [name for name in names if name.endswith("report.html")]
        text = archive.read(page).decode()
    assert sum(name.endswith("map.html") for name in names) == 4
    assert sum(name.endswith("explore.html") for name in names) == 4
    assert sum(name.endswith("quality.html") for name in names) == 2
    assert sum(name.endswith("compare.html") for name in names) == 1
    assert sum(name.endswith("index.html") for name in names) == 1
    for category in ("0 overview", "1 texts", "2 maps", "3 notebooks", "4 scores"):
        assert category in text
