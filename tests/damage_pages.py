"""Pages, tables of scores and snapshots of training, for tests/damage.py to flip bits in."""

import shutil
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "results/scores.tsv",
    "results/index.html",
    "results/compare.html",
    "results/compare.ipynb",
    "results/tiny/t/full/explore.html",
    "results/tiny/t/full/explore.ipynb",
)
SNAPSHOT = ("tensors.bin", "state.json")


def finetune(home: Path, out: Path) -> list[object]:
    """Goes on with a training that has ended, whose last two snapshots are there."""
    done = home / "trained/work"
    if done.exists():
        shutil.copytree(done, out / "work")
    return ["finetune-model", home / "checkpoint", "--text", home / "text.txt", "--out",
            out / "tuned", "--work", out / "work", "--device", "cpu", "--threads", "1",
            "--snapshot-minutes", "0"]  # fmt: skip


def pages(home: Path) -> Iterator[list[object]]:
    """Yield the commands that make the tables and pages in results, which has a map and scores.

    The last one trains a model.
    """
    from finetune_models import tiny_checkpoint
    from finetune_runs import write_text

    results = home / "results"
    full, template = results / "tiny/t/full", ROOT / "workflow/notebooks"
    scores, quality = results / "scores.tsv", results / "texts/t/quality.json"
    yield ["collect-scores", full / "scores.json", "--out", scores]
    shown = ["--out-notebook", full / "explore.ipynb", "--out-html", full / "explore.html"]
    yield ["render-notebook", full, "--template", template / "explore.ipynb", "--pca", *shown]
    read = ["--scores", scores, "--texts", results / "texts/t/manifest.json"]
    shown = ["--out-html", results / "compare.html", "--out-notebook", results / "compare.ipynb"]
    template /= "compare.ipynb"
    yield ["compare-spaces", full / "manifest.json", *read, "--template", template, *shown]
    yield ["draw-index", full, "--quality", quality, "--out", results / "index.html"]
    tiny_checkpoint(home / "checkpoint")
    write_text(home / "text.txt")
    yield finetune(home, home / "trained")
