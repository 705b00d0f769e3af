"""`--sdm apptainer` and the image, as far as can be seen without a container runtime.

A stand-in for apptainer runs the command of a job with the paths of the image only. What this
shows: every rule runs in the image named by the config, with the image's own engine; nothing
reruns for it; an image of another version is refused. docs/containers.md says what was run in a
real image.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_models import tiny_bert
from warm_python import interpreter
from workflow_run import ROOT, entities, tiny_project

from kgtextvec import __version__
from kgtextvec.__main__ import WANTED_VERSION, main

APPTAINER = """#!/bin/bash
set -e
[ "$1" = --version ] && {{ echo "apptainer version 1.4.5"; exit 0; }}
while [ "$1" != exec ]; do shift; done
shift
while [[ "$1" == --* ]]; do [ "$1" = --home ] && cd "$2"; shift 2; done
image=$1 shell=$2; shift 2
echo "$image $*" | grep -oE '^[^ ]+|kgtextvec [a-z-]+' | paste -sd' ' >> "{base}/used"
exec env -i PATH="{base}/image:/usr/bin:/bin" OMP_NUM_THREADS=1 "$shell" "$@"
"""
PYTHON = """#!/bin/sh
PYTHONPATH={source} exec {python} "$@"
"""


@pytest.fixture
def project(tmp_path):
    project = tiny_project(
        tmp_path / "project",
        spaces=["full", "pca4"],
        exports=["npy", "tsv"],
        image="image.sif",
    )
    tiny_bert(project.folder / "raw/cased")
    project.write_entities(entities(20))
    (project.folder / "image.sif").touch()
    return project


@pytest.fixture
def runtime(tmp_path, monkeypatch) -> Path:
    """A folder with the stand-in, first in PATH, and with the image's python."""
    base = tmp_path / "apptainer"
    for path, text in (("bin/apptainer", APPTAINER), ("image/python", PYTHON)):
        (base / path).parent.mkdir(parents=True)
        (base / path).write_text(text.format(base=base, source=ROOT / "src", python=interpreter()))
        (base / path).chmod(0o755)
    monkeypatch.setenv("PATH", f"{base / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return base


def test_every_rule_runs_in_the_image_and_nothing_reruns_for_it(project, runtime):
    project.run("--sdm", "apptainer")
    used = (runtime / "used").read_text().split("\n")
    calls = {line.removeprefix("image.sif kgtextvec ") for line in used if line}
    assert calls == {
        "download-model", "unpack-model", "convert-model", "read-texts", "embed-shard",
        "gather-shards", "fit-pca", "apply-pca", "export-table", "draw-quality", "draw-index",
    }  # fmt: skip
    assert "Nothing to be done" in project.run().text


@pytest.mark.parametrize(
    ("config", "words", "message"),
    [
        ({}, ["apptainer"], "config, image: --sdm apptainer runs jobs in an image"),
        ({"image": "x.sif"}, ["apptainer"], "config, image: x.sif: no such file"),
        ({"image": "image.sif"}, ["apptainer", "conda"], "--sdm conda apptainer: jobs run in"),
    ],
)
def test_what_is_wrong_with_the_image_is_one_line(project, runtime, config, words, message):
    del project.config["image"]
    project.config |= config
    done = project.run("-n", "--sdm", *words, ok=False)
    assert done.code == 2
    assert [line for line in done.text.splitlines() if line.startswith("ERROR: ")] == [
        line for line in done.text.splitlines() if message in line
    ]
    assert message in done.text


def test_an_image_of_another_version_is_refused(monkeypatch, capsys):
    monkeypatch.setenv(WANTED_VERSION, "0.0.1")
    assert main(["models"]) == 2
    assert capsys.readouterr().err == (
        f"ERROR: the run was started by kgtextvec 0.0.1, this machine has {__version__}."
        " Install the same version on both.\n"
    )


STEP = """#!/bin/sh
# Stands in for a program of the installation: notes what it is asked for.
echo "$(basename "$0") $*" >> {log}
case "$*" in
  "-m venv "*) for last; do :; done; mkdir -p "$last/bin"; cp "$0" "$last/bin/pip";;
  *torch.txt*) exit 7;;
esac
"""


@pytest.mark.parametrize(
    ("device", "index", "asked"),
    [
        ("cpu", [], "https://download.pytorch.org/whl/cpu"),
        ("cu130", [], "https://download.pytorch.org/whl/cu130"),
        ("cu130", ["https://mirror/simple"], "https://mirror/simple"),
    ],
)
def test_the_device_selects_the_build_of_pytorch(tmp_path, device, index, asked):
    """install.sh up to PyTorch, with programs that install nothing, and its folders elsewhere."""
    log, programs = tmp_path / "log", tmp_path / "programs"
    programs.mkdir()
    for name in ("apt-get", "python3", "rm"):
        (programs / name).write_text(STEP.format(log=log))
        (programs / name).chmod(0o755)
    text = (ROOT / "containers/install.sh").read_text("utf-8")
    for folder in ("/opt/kgtextvec", "/tmp/kgtextvec-tools"):  # noqa: S108
        assert folder in text
        text = text.replace(folder, str(tmp_path / Path(folder).name))
    env = {"PATH": f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin"}
    done = subprocess.run(["sh", "-c", text, "install.sh", str(ROOT), device, *index], env=env)
    assert done.returncode == 7, "it ends at the installation of PyTorch"
    *_, lock, torch = log.read_text().splitlines()
    assert f"--require-hashes --no-deps -r {ROOT}/requirements/lock-image.txt" in lock
    assert torch.endswith(f"-r {ROOT}/requirements/torch.txt --index-url {asked}")


def test_make_image_and_make_sif_pass_the_device_on():
    said = subprocess.run(
        ["make", "--dry-run", "image", "sif", "DEVICE=cu130"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert "--build-arg DEVICE=cu130" in said and f"--tag kgtextvec:{__version__}-cu130" in said
    assert "--build-arg device=cu130" in said and f"dist/kgtextvec-{__version__}-cu130.sif" in said
    recipe = (ROOT / "containers/Containerfile").read_text("utf-8")
    assert 'install.sh /checkout "${DEVICE}" "${TORCH_INDEX}"' in recipe
    assert 'install.sh /checkout "{{ device }}"' in (ROOT / "containers/kgtextvec.def").read_text(
        "utf-8"
    )


DEMO = """# Stands in for kgtextvec demo: writes the digests of its spaces.
import json, os
from pathlib import Path
for table in ("entities", "relation_types"):
    for space in ("full", "pca64"):
        folder = Path("results/all-MiniLM-L6-v2", table, space)
        folder.mkdir(parents=True)
        digest = os.environ["DIGEST"] if (table, space) == ("entities", "pca64") else "same"
        about = {"vectors_xxh3": digest, "index_digest": "same", "fingerprint": "same"}
        (folder / "manifest.json").write_text(json.dumps(about))
"""


@pytest.mark.parametrize(("digest", "code"), [("mine", 0), ("another", 1)])
def test_make_imagecheck_fails_when_the_image_makes_other_vectors(tmp_path, digest, code):
    package = tmp_path / "kgtextvec"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(DEMO)
    in_image = ["sh", "-c", 'cd {} && DIGEST="$0" "$1" -m "$2"', digest, sys.executable]
    done = subprocess.run(
        [sys.executable, str(ROOT / "containers/check.py"), *in_image],
        env=os.environ | {"PYTHONPATH": str(tmp_path), "DIGEST": "mine"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.count("same") == 11 and ("in the image another" in done.stdout) == code
    assert ("ERROR: the image makes other vectors" in done.stderr) == code


def versions(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text("utf-8")
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\\n]+)", text, re.MULTILINE))


def test_the_image_has_the_versions_of_the_lock():
    """python-dateutil apart, of which botocore wants an older one (lock.sh)."""
    image, lock = versions("lock-image.txt"), versions("lock.txt")
    assert {name for name in lock if image.get(name) != lock[name]} == {"python-dateutil"}
    links = versions("lock-links.txt")
    assert {name: image.get(name) for name in links} == links


def test_what_the_package_is_built_from_goes_into_the_image():
    ignored = (ROOT / ".containerignore").read_text("utf-8").splitlines()
    kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    needed = {
        name.partition("/")[0]
        for name in re.findall(r'^    "(.+)",$', (ROOT / "setup.py").read_text(), re.M)
    }
    assert needed <= {name.partition("/")[0] for name in kept}
