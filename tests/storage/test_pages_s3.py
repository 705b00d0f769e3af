"""Digests of pages reach the bucket, so that `kgtextvec verify` can check a copy of it."""

import subprocess
import sys
from pathlib import Path

import nbconvert
import pytest
from test_workflow_s3 import launched, objects, tiny_project
from workflow_run import ROOT

boto3 = pytest.importorskip("boto3", reason="make storage")
pytestmark = [pytest.mark.storage, pytest.mark.timeout(1800)]
# Files that no record describes: their digests are files of their own.
PAGES = {
    "index.html",
    "scores.tsv",
    "compare.html",
    "compare.ipynb",
    "texts/entities/quality.html",
    "exports/biomedgps/README.md",
    "exports/biomedgps/cased/entity2d.tsv",
    *(
        f"cased/entities/full/{name}"
        for name in ("layout.parquet", "map.html", "map.png", "map.svg")
    ),
    *(f"cased/entities/full/{name}" for name in ("explore.ipynb", "explore.html")),
}


def verified(results: Path) -> tuple[int, str]:
    """The exit code and the output of `kgtextvec verify`."""
    done = subprocess.run(
        [sys.executable, "-m", "kgtextvec", "verify", str(results)],
        cwd=ROOT / "src",
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def templates_of_notebooks(monkeypatch) -> None:
    """nbconvert's templates: they are next to its Python, below that of these tests."""
    here = Path(nbconvert.__file__).parents[4]
    monkeypatch.setenv("JUPYTER_PATH", str(here / "share/jupyter"))


@pytest.mark.usefixtures("templates_of_notebooks")
def test_digests_of_pages_reach_the_bucket_and_find_a_flipped_bit(bucket, tmp_path):
    project = tiny_project(tmp_path / "mine", bucket)
    project.config |= {
        "exports": ["npy", "biomedgps"],
        "evaluate": {"scores": ["geometry"]},
        "report": {"maps": True, "notebooks": True},
    }
    launched(project, bucket)
    prefix = "run/results/"
    made = {
        name.removeprefix(prefix): data
        for name, data in objects(bucket).items()
        if name.startswith(prefix)
    }
    digests = {name for name in made if name.endswith(".sha256")}
    assert digests == {str(Path(page).with_name(f".{Path(page).name}.sha256")) for page in PAGES}
    assert not launched(project, bucket)[0], "a second run has nothing to do"
    results = tmp_path / "copy/results"
    for name, data in made.items():
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_bytes(data)
    assert verified(results)[0] == 0
    for page in sorted(PAGES):
        data = bytearray(made[page])
        data[len(data) // 2] ^= 1
        (results / page).write_bytes(data)
    code, text = verified(results)
    assert code == 2
    damaged = {line.split()[1].rstrip(":") for line in text.splitlines() if "DAMAGED" in line}
    assert damaged == {str(results / page) for page in PAGES}
