"""The compare notebook: runs without a word of warning, tells the files' numbers, runs by hand."""

import ast
import json
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from compare_results import cold_start, compared, three_models, write_space

from kgtextvec.errors import InputError
from kgtextvec.report.compare import compare_spaces

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / "workflow/notebooks/compare.ipynb"


def rendered(root: Path) -> nbformat.NotebookNode:
    """Compare the spaces of a folder again, with the notebook; return it."""
    spaces = sorted(root.glob("*/*/*/manifest.json"))
    out = root / "compare.ipynb"
    compare_spaces(
        spaces,
        scores=root / "scores.tsv",
        out_html=root / "compare.html",
        template=TEMPLATE,
        out_notebook=out,
    )
    notebook = nbformat.read(out, 4)
    nbformat.validate(notebook)
    return notebook


def outputs_of(notebook: nbformat.NotebookNode) -> list:
    return [one for cell in notebook.cells for one in cell.get("outputs", [])]


def words_of(notebook: nbformat.NotebookNode) -> str:
    parts = [one["data"].get("text/html", "") for one in outputs_of(notebook)]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", " ".join(parts))).split())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole") / "results"
    three_models(root)
    return root, rendered(root)


def test_every_cell_ran_and_none_warned(whole):
    kinds = {one["output_type"] for one in outputs_of(whole[1])}
    assert kinds == {"display_data", "execute_result"}
    pictures = [one for one in outputs_of(whole[1]) if "image/png" in one["data"]]
    assert len(pictures) == 4, "bars and points of each table"
    assert all(one["metadata"]["image/png"]["alt"] for one in pictures)


def test_its_numbers_are_those_of_the_files(whole):
    root, notebook = whole
    words = words_of(notebook)
    for path in root.glob("*/*/*/scores.json"):
        own = json.loads(path.read_text())["scores"]["cold_start"]["all"]["all"]["vectors"]
        for metric in ("mrr", "hits_at_10"):
            low, high = own[metric]["interval"]
            assert f"{own[metric]['value']:.3f} [{low:.3f}, {high:.3f}]" in words
    side = words[words.index("entities ({name}. {description})") :]
    assert "alpha full 0.300 [0.290, 0.310] 0.200 [0.190, 0.210]" in side


def test_no_path_of_this_machine_is_in_it(whole):
    text = (whole[0] / "compare.ipynb").read_text("utf-8")
    assert not any(path in text for path in (str(whole[0]), str(ROOT), sys.prefix))
    assert "RESULTS = '.'" in text


def test_it_runs_by_hand_without_the_package(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "taken home")
    cells = [cell.source for cell in whole[1].cells if cell.cell_type == "code"]
    blocked = (
        "import sys; sys.modules['kgtextvec'] = None\nimport matplotlib; matplotlib.use('agg')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", "\n".join([blocked, *cells])],
        cwd=tmp_path / "taken home",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_without_a_score_to_draw_it_says_so(tmp_path):
    write_space(tmp_path, "a", "relation_types", "full", 8, {}, kind="relation_types")
    write_space(tmp_path, "a", "relation_types", "pca8", 8, {"geometry": cold_start(0.1)})
    compared(tmp_path)
    notebook = rendered(tmp_path)
    assert "No space has cold start: mrr." in words_of(notebook)
    assert {one["output_type"] for one in outputs_of(notebook)} <= {
        "display_data",
        "execute_result",
    }


def test_a_template_needs_a_place_to_write_to(tmp_path):
    with pytest.raises(InputError, match="go together"):
        compare_spaces(
            [tmp_path], scores=tmp_path / "s.tsv", out_html=tmp_path / "c.html", template=TEMPLATE
        )


@pytest.mark.parametrize("name", ["compare", "explore"])
def test_scores_of_a_large_graph_have_two_digits(name):
    cells = nbformat.read(TEMPLATE.with_stem(name), 4).cells
    (source,) = [cell.source for cell in cells if "def shown(" in cell.source]
    known = {"np": np, "pd": pd, "Any": Any}
    function = ast.parse(source).body
    (found,) = [one for one in function if getattr(one, "name", "") == "shown"]
    exec(ast.unparse(found), known)  # noqa: S102 (our own)

    def shown(value, low, high):
        return known["shown"]({"value": value, "low": low, "high": high, "interval": [low, high]})

    assert shown(0.4, 0.3, 0.5) == "0.400 [0.300, 0.500]"
    assert shown(0.00075, 0.0006, 0.0009) == "0.00075 [0.00060, 0.00090]"
    assert shown(0.0, 0.0, 0.002) == "0.000 [0.000, 0.002]"
