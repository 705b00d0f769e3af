"""The gallery's scripts."""

from importlib import import_module
from pathlib import Path

import pytest

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
