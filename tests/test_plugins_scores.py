"""A score of another distribution: a module and an entry point, no change in src."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from evaluate_fixtures import make_space, shards_of

ROOT = Path(__file__).resolve().parents[1]
MODULE = """
from kgtextvec.evaluate.scores import Score, ScoreResult, ScoringContext
from kgtextvec.stats import score_entry


def score_size(context: ScoringContext) -> ScoreResult:
    space = context.space
    found = {"vectors": {"numbers": score_entry(space.rows * space.dims, n=space.rows)}}
    return ScoreResult({"all": {"all": found}}, ["size: counted"], {"rows": space.rows})


SCORE = Score("Size", "How many numbers the space has.", score_size, inputs=("triples",))
"""


def test_a_score_of_another_distribution_is_computed_like_ours(tmp_path):
    plugin = tmp_path / "plugin"
    about = plugin / "sizes-1.0.dist-info"
    about.mkdir(parents=True)
    (plugin / "sizes_of_tests.py").write_text(MODULE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: sizes\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[kgtextvec.evaluate.scores]\nsize = sizes_of_tests\n")
    space = make_space(tmp_path, np.eye(6, 4), ["A"] * 6)
    triples = tmp_path / "t.tsv"
    triples.write_text("")
    words = ["evaluate-space", space, "--texts", shards_of(space), "--triples", triples]
    words += ["--scores", "size,geometry", "--threads", 1, "--out", tmp_path / "scores.json"]
    done = subprocess.run(
        [sys.executable, "-m", "kgtextvec", *map(str, words)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(plugin), str(ROOT / "src")])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    card = json.loads((tmp_path / "scores.json").read_text())
    assert list(card["scores"]) == ["size", "geometry"]
    assert card["scores"]["size"]["all"]["all"]["vectors"]["numbers"]["value"] == 24
    assert card["notes"] == ["size: counted"]
    assert card["counts"] == {"size": {"rows": 6}}
    assert card["settings"]["scores"] == ["size", "geometry"]
    assert card["settings"]["triples"]["file"] == "t.tsv"
