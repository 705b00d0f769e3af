"""A step that is killed at any moment leaves nothing half; run again, it writes the same bytes."""

import os
import subprocess
import sys

import kill_commands
import kills
import pytest

from kgtextvec.__main__ import VERBS
from kgtextvec.registry import FORMS

FAST = ("read-texts", "embed-shard", "gather-shards", "apply-pca", "export-table tsv")


def run(*words: str) -> None:
    """Run the program of the loops, which forks, in a process of its own."""
    env = os.environ | {"PYTHONPATH": str(kill_commands.ROOT / "src")}
    program = [sys.executable, kills.__file__, *words]
    done = subprocess.run(program, env=env, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_verb_is_killed_and_every_form_of_an_export():
    steps = kills.STEPS + list(kill_commands.READERS)
    assert {step.split()[0] for step in steps} == {
        *(set(VERBS) - kill_commands.WORKFLOWS),
        *("encode", "pca"),  # in Python
    }
    forms = {step.split()[1] for step in steps if step.startswith(("export-table", "export-bund"))}
    assert forms == {form for form in FORMS.names() if FORMS[form].scope != "own"}


def test_steps_that_are_killed_write_the_same_when_run_again():
    run("--rounds", "3", "--steps", *FAST)


def test_verbs_that_are_stopped_while_they_import_say_so_in_one_line():
    run("--rounds", "0", "--early", "2", "--steps", "lint", "embed-shard")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_step_is_killed_and_run_again():
    """20 rounds: python tests/kills.py --rounds 20 --early 5 --snakemake 20"""
    run("--rounds", "2", "--early", "1", "--snakemake", "3")
