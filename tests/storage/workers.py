"""Machines that share no disk with the one that runs Snakemake, made of mount namespaces."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from workflow_run import ROOT, Project

CAN_UNSHARE = (
    os.geteuid() == 0
    and shutil.which("unshare") is not None
    and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0
)
needs_workers = pytest.mark.skipif(not CAN_UNSHARE, reason="needs root and mount namespaces")
# A job runs where the working directory is an empty one, and the checkout's folders are too: its
# engine is the one that is installed in the environment of `{bin}`. Killing `unshare` kills all of
# its processes, as when a machine goes down.
SUBMIT = """#!/bin/sh
job={state}/$$
cp "$1" $job.sh
unset PYTHONPATH
inside="for one in {hidden}; do mount -t tmpfs none \\$one || exit 1; done"
inside="$inside; cd {work} && PATH={bin}:\\$PATH sh $job.sh"
(
  unshare -m -p -f --mount-proc --kill-child sh -c "$inside" > $job.log 2>&1 &
  echo $! > $job.pid
  wait $!
  echo $? > $job.rc
) > /dev/null 2>&1 &
echo $$
"""
STATUS = """#!/bin/sh
if [ -s {state}/$1.rc ]; then
  if [ "$(cat {state}/$1.rc)" = 0 ]; then echo success; else echo failed; fi
else echo running; fi
"""


def on_workers(project: Project, state: Path, command: Path) -> list[str]:
    """Options of a run whose jobs are sent to such machines; `state`: a new folder for them.

    `command`: the kgtextvec of an environment that has the package, installed from a wheel.
    """
    state.mkdir()
    hidden = [project.folder, *(ROOT / name for name in ("src", "workflow", "config", "resources"))]
    for name, text in (("submit", SUBMIT), ("status", STATUS)):
        (state / name).write_text(
            text.format(
                state=state,
                work=project.folder,
                hidden=" ".join(map(str, hidden)),
                bin=command.parent,
            )
        )
        (state / name).chmod(0o755)
    return [
        "--executor", "cluster-generic", "--jobs", "2", "--job-deploy-sources",
        "--cluster-generic-submit-cmd", str(state / "submit"),
        "--cluster-generic-status-cmd", str(state / "status"),
        "--shared-fs-usage", "none", "--seconds-between-status-checks", "1",
    ]  # fmt: skip
