"""The workflow as a module of another one, straight from a git repository."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import yaml
from tiny_models import tiny_bert
from warm_python import interpreter
from workflow_run import RELATION_TYPES, ROOT, Project, entities

OUTER = """
configfile: "outer.yaml"

module kgtextvec:
    snakefile: github("someone/kgtextvec", path="Snakefile", tag="v1.0")
    config: config["vectors"]
    pathvars:
        results="vectors",
        resources="models",

use rule * from kgtextvec as vectors_*

rule everything:
    default_target: True
    input: rules.vectors_all.input
    output: "done.txt"
    shell: "echo done > {output}"
"""


def git(*words: object, folder: Path) -> None:
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *map(str, words)],
        cwd=folder,
        check=True,
        capture_output=True,
    )


def published(folder: Path) -> Path:
    """A repository with what a module needs, tagged; its engine is left out: that is installed."""
    repository = folder / "someone/kgtextvec"
    repository.mkdir(parents=True)
    shutil.copy(ROOT / "Snakefile", repository)
    for name in ("workflow", "config", "envs", "profiles"):
        shutil.copytree(ROOT / name, repository / name)
    git("init", "--quiet", "--initial-branch=main", folder=repository)
    git("add", "--all", folder=repository)
    git("commit", "--quiet", "--message=all", folder=repository)
    git("tag", "v1.0", folder=repository)
    return folder


def test_another_workflow_imports_it_from_a_git_repository(tmp_path):
    """github.com is a folder here: git is told to look there instead."""
    hub = published(tmp_path / "hub")
    outer = Project(tmp_path / "outer", {})
    tiny_bert(outer.folder / "raw/cased")
    outer.write_entities(entities(12))
    outer.write_relation_types(RELATION_TYPES)
    config = {
        "tables": {
            "entities": {"file": "entities.tsv", "kind": "entities", "shards": 2},
            "relation_types": {"file": "relation_types.tsv", "kind": "relation_types"},
        },
        "models": ["cased"],
        "spaces": ["full", "pca4"],
        "catalogue": {"cased": {"source": "path:raw/cased"}},
        "evaluate": {"scores": []},
        "report": {"maps": False, "notebooks": False},
    }
    (outer.folder / "outer.yaml").write_text(yaml.safe_dump({"vectors": config}))
    (outer.folder / "Snakefile").write_text(OUTER)
    done = subprocess.run(
        [interpreter(), "-m", "snakemake", "--cores", "2"],
        cwd=outer.folder,
        env=outer.env()
        | {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.file://{hub}/.insteadOf",
            "GIT_CONFIG_VALUE_0": "https://github.com/",
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "PYTHONPATH": str(ROOT / "src"),  # the engine, as if it were installed
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    vectors = np.load(outer.folder / "vectors/cased/relation_types/pca4/embeddings.npy")
    assert vectors.shape == (3, 4)
    assert (outer.folder / "done.txt").exists()
    assert not (outer.folder / "results").exists()
