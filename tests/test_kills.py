"""A step that is killed at any moment leaves nothing half; run again, it writes the same bytes."""

import subprocess
import sys
from pathlib import Path

import kills
import pytest

from kgtextvec.__main__ import VERBS

FAST = ("read-texts", "embed-shard", "gather-shards", "apply-pca", "export-table")


def run(*words: str) -> None:
    """Run the program of the loops, which forks, in a process of its own."""
    program = [sys.executable, Path(kills.__file__), *words]
    done = subprocess.run(program, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_verb_that_writes_is_killed():
    assert set(kills.COMMANDS) == set(VERBS) - kills.LEFT_OUT - kills.NEEDS_PYKEEN


def test_steps_that_are_killed_write_the_same_when_run_again():
    run("--rounds", "4", "--verbs", *FAST)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_step_is_killed_and_run_again():
    """20 rounds: python tests/kills.py --rounds 20 --snakemake 20"""
    run("--rounds", "2", "--snakemake", "2")
