"""`--sdm conda`, as far as it can be seen without conda's channels: a stand-in makes the folders.

What this shows: which file each rule's environment comes from, that it is made and entered, that
the engine runs with that environment's python, and that nothing reruns for it. What it can't show:
that conda finds the packages. (tests/test_structure.py holds them against the lock.)
"""

import os
import subprocess
from pathlib import Path

import pytest
from tiny_models import tiny_bert
from warm_python import interpreter
from workflow_run import ROOT, Project, entities, tiny_project

CONDA = """#!/bin/bash
set -e
echo "$@" >> "{base}/calls"
case "$*" in
  "info --json") echo '{{"conda_prefix": "{base}", "platform": "linux-64"}}' ;;
  --version) echo "conda 99.9.9" ;;
  "config --get channel_priority --json") echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
  "clean -y --tarballs") ;;
  "env create"*)
    while [ $# -gt 0 ]; do
      case "$1" in --prefix) prefix=$2; shift ;; --file) file=$2; shift ;; esac
      shift
    done
    mkdir -p "$prefix/bin"
    cp "$file" "$prefix/made-from.yaml"
    printf '#!/bin/sh\\necho "$@" >> "%s/used"\\nexec "{python}" "$@"\\n' "$prefix" \\
      > "$prefix/bin/python"
    chmod +x "$prefix/bin/python" ;;
  *) echo "conda $*: not known to the stand-in" >&2; exit 1 ;;
esac
"""
ACTIVATE = 'export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n'


@pytest.fixture
def project(tmp_path):
    project = tiny_project(tmp_path / "project", spaces=["full", "pca4"], exports=["npy", "tsv"])
    tiny_bert(project.folder / "raw/cased")
    project.write_entities(entities(20))
    return project


def run(project: Project, env: dict[str, str], *words: str) -> subprocess.CompletedProcess:
    command = [interpreter(), *project.command(*words)[1:]]
    return subprocess.run(command, cwd=project.folder, env=env, capture_output=True, text=True)


def test_every_rule_runs_in_its_environment_and_nothing_reruns_for_it(project, tmp_path):
    base = tmp_path / "conda"
    (base / "bin").mkdir(parents=True)
    (base / "bin/conda").write_text(CONDA.format(base=base, python=interpreter()))
    (base / "bin/conda").chmod(0o755)
    (base / "bin/activate").write_text(ACTIVATE)
    env = project.env()
    env["PATH"] = f"{base / 'bin'}{os.pathsep}{env['PATH']}"
    done = run(project, env, "--sdm", "conda")
    assert done.returncode == 0, done.stderr[-3000:]
    used = {}
    for made in (project.folder / ".snakemake/conda").glob("*/made-from.yaml"):
        (name,) = [
            path.name for path in (ROOT / "envs").iterdir() if path.read_text() == made.read_text()
        ]
        lines = (made.parent / "used").read_text().splitlines()
        used[name] = {line.split()[3] for line in lines if line.startswith("-P -m kgtextvec ")}
    assert used == {
        "engine.yaml": {
            "download-model", "unpack-model", "convert-model", "read-texts", "embed-shard",
            "gather-shards", "fit-pca", "apply-pca", "export-table",
        },
        "report.yaml": {"draw-quality", "draw-index"},
    }  # fmt: skip
    assert "Nothing to be done" in run(project, env).stderr


def test_without_conda_the_error_says_so(project):
    env = project.env() | {"PATH": os.defpath}
    failed = run(project, env, "--sdm", "conda", "--conda-create-envs-only")
    assert failed.returncode
    assert "conda" in failed.stderr
    assert not list(Path(project.folder).glob("results/*"))
