"""The profile for Grid Engine, with programs that stand in for qsub, qstat and qacct."""

import os
import re
from pathlib import Path

import pytest
import yaml
from test_workflow_s3 import tiny_project
from workflow_run import ROOT, Project

pytestmark = [pytest.mark.storage, pytest.mark.timeout(1800)]
# qsub runs a job at once; it is known to qstat while it runs, and to qacct when it has ended.
PROGRAMS = {
    "qsub": """#!/bin/bash
echo "$@" >> {state}/asked
id=$(date +%s%N)
touch {state}/$id.running
script="${{@: -1}}"
(/bin/bash "$script" > {state}/$id.log 2>&1; echo $? > {state}/$id.rc; rm {state}/$id.running) \\
  < /dev/null > /dev/null 2>&1 &
echo $id
""",
    "qstat": """#!/bin/sh
test -e {state}/$2.running
""",
    "qacct": """#!/bin/sh
test -e {state}/$2.rc || exit 1
printf 'qname        all.q\\nfailed       0    \\nexit_status  %s    \\n' "$(cat {state}/$2.rc)"
""",
}


@pytest.fixture
def state(tmp_path, monkeypatch) -> Path:
    """The folder of the stand-ins' own files; they are first in PATH."""
    folder, state = tmp_path / "bin", tmp_path / "state"
    folder.mkdir()
    state.mkdir()
    for name, text in PROGRAMS.items():
        (folder / name).write_text(text.format(state=state))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return state


@pytest.fixture
def project(tmp_path) -> Project:
    made = tiny_project(tmp_path / "mine", "none")
    made.config["store"] = ".kgtextvec/store"
    read = yaml.safe_load((ROOT / "profiles/sge/profile.yaml").read_text("utf-8"))
    (made.folder / "sge").mkdir()
    read |= {"retries": 0, "latency-wait": 5, "seconds-between-status-checks": 1}
    (made.folder / "sge/profile.yaml").write_text(yaml.safe_dump(read))
    return made


def test_jobs_go_through_qsub_with_what_the_rule_needs(project, state):
    done = project.run("--workflow-profile", str(project.folder / "sge"))
    assert done.code == 0
    assert project.manifest("cased", "entities", "full")["rows"] == 40
    asked = (state / "asked").read_text().splitlines()
    (embed,) = {re.sub(r"/\S+$", "", line) for line in asked if " -N embed_shard " in line}
    assert "-pe smp 1 " in embed and " -l gpu=1" in embed
    limits = re.search(r"-l h_rt=(\d+),h_vmem=(\d+)M ", embed)
    assert int(limits[1]) == 240 * 60  # the rule asks for 240 minutes
    assert int(limits[2]) > 500
