"""What runs on GitHub is a make target that exists and that .ci/run calls too."""

import re

import pytest
import yaml
from workflow_run import ROOT

from kgtextvec.settings.base import read_settings
from kgtextvec.settings.config import Config

TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_command_is_a_make_target_of_ci(path):
    jobs = yaml.safe_load(path.read_text("utf-8"))["jobs"].values()
    commands = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    lines = (ROOT / ".ci/run").read_text("utf-8").splitlines()
    ours = {line.strip() for line in lines}
    assert commands
    for command in commands:
        assert command.split()[0] == "make" and command.split()[1] in TARGETS
        assert command in ours


def test_the_catalogues_test_run_is_a_valid_config():
    raw = yaml.safe_load((ROOT / ".test/config/config.yaml").read_text("utf-8"))
    config = read_settings(Config, raw, "config, ")
    assert all((ROOT / table.file).is_file() for table in config.tables.values())
