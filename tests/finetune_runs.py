"""Runs finetune-model and perplexity for the tests."""

import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from finetune_models import SENTENCES

from kgtextvec.__main__ import main

ROOT = Path(__file__).resolve().parents[1]


def write_text(path: Path) -> Path:
    path.write_text("\n".join(SENTENCES * 6) + "\n", "utf-8")
    return path


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}


def command(*words: object) -> list[str]:
    return [sys.executable, "-P", "-m", "kgtextvec", *map(str, words)]


def kgtextvec(*words: object) -> subprocess.CompletedProcess:
    """Run a command here, which spares the seconds that a new process takes to import torch."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(word) for word in words])
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def finetune(folder: Path, model: Path, text: Path, *more: object) -> subprocess.CompletedProcess:
    return kgtextvec(*words_of(folder, model, text, *more))


def words_of(folder: Path, model: Path, text: Path, *more: object) -> tuple:
    return ("finetune-model", model, "--text", text, "--out", folder / "tuned",
            "--work", folder / "work", "--device", "cpu", "--threads", 1, *more)  # fmt: skip
