"""The demo, whole: the real model, maps, notebooks, scores, the browsable report."""

import json
import os
import re
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

pytest.importorskip("playwright.sync_api")

from accessibility import serious_findings
from pdf_text import text_of_pdf, without_spaces
from plain_loop import plain_loop
from workflow_run import ROOT, Project

pytestmark = pytest.mark.slow
PAGES = (
    "index.html",
    "compare.html",
    "texts/entities/quality.html",
    "all-MiniLM-L6-v2/entities/pca64/map.html",
    "all-MiniLM-L6-v2/relation_types/full/map.html",
    "all-MiniLM-L6-v2/relation_types/pca64/explore.html",
)


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


@pytest.fixture(scope="module")
def axe(npm_packages):
    """axe-core, from npm, at the version of tests/axe/package-lock.json."""
    return npm_packages("axe") / "node_modules/axe-core/axe.min.js"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_and_anyone_can_use_it(demo, browser, axe, name, scheme):
    """Nothing serious for axe-core, and no sideways scrolling at three widths."""
    path = demo.folder / "results" / name
    assert serious_findings(browser, path, axe, scheme) == []
    for width in (400, 800, 1440):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
        page.close()


PARTS = """() => [...document.querySelectorAll(
    "h1, h2, h3, p, li, dt, dd, th, td, caption, .name, .count")]
  .filter((part) => part.checkVisibility() && !part.closest(".quiet"))
  .map((part) => part.innerText)"""
CUT = """() => [...document.querySelectorAll("body *")]
  .filter((part) => part.checkVisibility() && !part.closest(".quiet"))
  .filter((part) => part.getBoundingClientRect().right > innerWidth + 1)
  .map((part) => part.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_printed_light_without_controls_and_in_full(demo, browser, name):
    # A4 with the margins of print.css is 680 pixels wide.
    page = browser.new_page(viewport={"width": 680, "height": 900}, color_scheme="dark")
    page.goto((demo.folder / "results" / name).as_uri())
    if name.endswith("map.html"):
        page.wait_for_selector("html[data-ready]")
    printed = text_of_pdf(page.pdf(format="A4"))
    page.emulate_media(media="print", color_scheme="dark")
    parts = page.evaluate(PARTS)
    assert len(parts) > 20
    assert [part for part in parts if without_spaces(part) not in printed] == []
    assert page.evaluate(CUT) == []
    assert not page.locator("button:not(.row):visible, input:visible, select:visible").count()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    if name.endswith("map.html"):
        colours = page.evaluate(
            "() => { const one = document.getElementById('printed'), pen = one.getContext('2d');"
            " const { data } = pen.getImageData(0, 0, one.width, one.height);"
            " return new Set(new Uint32Array(data.buffer)).size; }"
        )
        assert colours > 50, "points and names, not one colour"
    page.close()


def test_a_page_that_shuts_people_out_would_be_found(tmp_path, browser, axe):
    page = tmp_path / "page.html"
    page.write_text('<!doctype html><html lang="en"><title>x</title><p style="color:#bbb">grey</p>')
    found = serious_findings(browser, page, axe, "light")
    assert len(found) == 1 and "color-contrast" in found[0]


def test_the_index_leads_to_every_page(demo):
    results = demo.folder / "results"
    page = (results / "index.html").read_text("utf-8")
    links = set(re.findall(r'<a href="([^"]+)"', page))
    assert all((results / link).exists() for link in links)
    pages = {str(path.relative_to(results)) for path in results.rglob("*.html")}
    assert pages - {"index.html"} <= links
    assert page.count("<img src=") == 4


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
    assert (demo.folder / "report.zip").stat().st_size <= 8_000_000
    with zipfile.ZipFile(demo.folder / "report.zip") as archive:
        names = archive.namelist()
        (page,) = [name for name in names if name.endswith("report.html")]
        text = archive.read(page).decode()
        (index,) = [name for name in names if name.endswith("/index.html")]
        index_text = archive.read(index).decode()
    assert sum(name.endswith("map.html") for name in names) == 4
    assert sum(name.endswith("explore.html") for name in names) == 4
    assert sum(name.endswith("quality.html") for name in names) == 2
    assert sum(name.endswith("compare.html") for name in names) == 1
    assert sum(name.endswith("index.html") for name in names) == 1
    # The links of the index lead to the report's own files.
    moved = re.search(r"const moved = (\{.*\});", index_text)
    folder = Path(index).parent
    there = [os.path.normpath(folder / link) for link in json.loads(moved[1]).values()]
    assert len(there) == 11 and set(there) <= set(names)
    # Its first page is the overview: what to use, the pictures, links to the report's entries.
    (first,) = re.findall(r"^ *var workflow_desc = (.*);$", text, re.MULTILINE)
    first = json.loads(first)
    assert "system-message" not in first
    assert "Which vectors to use" in first and ": Use all-MiniLM-L6-v2, space" in first
    assert first.count('<img src="data:image/png;base64,') == 4
    pages = set(re.findall(r'<a href="javascript:app.showResultInfo\(.([^)]+).\)"', first))
    assert pages == {f"results/{link}" for link in [*json.loads(moved[1]), "scores.tsv"]}
    assert not re.search(r'<a href="(?!javascript:)[^"]+">', first), "a link that leads nowhere"
    for category in ("0 overview", "1 texts", "2 maps", "3 notebooks", "4 scores"):
        assert category in text
