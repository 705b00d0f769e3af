"""The workflow through faults and from elsewhere: a killed job, a module, a read-only folder."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from tiny_models import tiny_bert
from warm_python import interpreter
from workflow_run import RELATION_TYPES, ROOT, Project, entities, tiny_project

WORDS = ["gene", "protein", "kinase", "receptor", "disease", "cell", "binding", "acute"]


@pytest.fixture
def project(tmp_path):
    """One table of 1,500 distinct texts, and nothing but vectors wanted."""
    project = tiny_project(
        tmp_path / "project",
        spaces=["full"],
        exports=["npy"],
        embed={"batch_tokens": 512, "part_seconds": 0.1},
    )
    tiny_bert(project.folder / "raw/cased", hidden=64, layers=4)
    rows = entities(1500)
    for i, row in enumerate(rows):
        row["description"] = f"{WORDS[i % 8]} {WORDS[i // 8 % 8]} " * (1 + i % 12) + str(i)
    project.write_entities(rows)
    return project


def start(project: Project) -> subprocess.Popen:
    """Start Snakemake, with processes of its own, which are killed; all but embedding is done."""
    project.run("--", "resources/models/cased", "results/texts/entities/manifest.json")
    return subprocess.Popen(
        project.command(),
        cwd=project.folder,
        env=project.env(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def embedding_job(snakemake: subprocess.Popen) -> psutil.Process | None:
    for child in psutil.Process(snakemake.pid).children(recursive=True):
        words = child.cmdline()
        if "embed-shard" in words and "kgtextvec" in words:
            return child
    return None


def wait_for_a_part(project: Project, snakemake: subprocess.Popen) -> psutil.Process:
    """Wait until the embedding has stored something; return its process."""
    until = time.monotonic() + 120
    while not list((project.folder / ".kgtextvec/store").rglob("*.safetensors")):
        assert snakemake.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    job = embedding_job(snakemake)
    assert job is not None
    return job


def test_a_killed_embedding_goes_on_with_the_same_command(project):
    snakemake = start(project)
    os.kill(wait_for_a_part(project, snakemake).pid, signal.SIGKILL)
    assert snakemake.wait(60) != 0
    stored = project.n_stored()
    assert 0 < stored < 1500
    assert not (project.folder / "results/cased/entities/full/embeddings.npy").exists()

    project.run()
    counts = project.manifest("cased/entities/full")["counts"]
    assert counts["texts_from_store"] == stored
    assert counts["texts_embedded"] == 1500 - stored
    assert project.n_stored() == 1500, "nothing was stored twice"
    assert len(np.load(project.folder / "results/cased/entities/full/embeddings.npy")) == 1500


MODULE = """
configfile: "outer.yaml"

module kgtextvec:
    snakefile: "{snakefile}"
    config: config["vectors"]
    pathvars:
        results="elsewhere/out",
        resources="elsewhere/models",
        logs="elsewhere/logs",

use rule * from kgtextvec as vectors_*

rule everything:
    default_target: True
    input: rules.vectors_all.input
    output: "done.txt"
    shell: "echo done > {{output}}"
"""


def test_another_workflow_imports_it_with_its_own_config_and_paths(tmp_path):
    import yaml

    folder = tmp_path / "outer"
    inner = Project(folder, {})
    tiny_bert(folder / "raw/cased")
    inner.write_entities(entities(12))
    inner.write_relation_types(RELATION_TYPES)
    config = {
        "tables": {
            "entities": {"file": "entities.tsv", "kind": "entities"},
            "relation_types": {"file": "relation_types.tsv", "kind": "relation_types"},
        },
        "models": ["cased"],
        "spaces": ["full", "pca4"],
        "catalogue": {"cased": {"source": "path:raw/cased"}},
        "evaluate": {"scores": []},
        "report": {"maps": False, "notebooks": False},
    }
    (folder / "outer.yaml").write_text(yaml.safe_dump({"vectors": config}))
    (folder / "Snakefile").write_text(MODULE.format(snakefile=ROOT / "Snakefile"))
    done = subprocess.run(
        [interpreter(), "-m", "snakemake", "--cores", "2"],
        cwd=folder,
        env=inner.env(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-1500:]
    assert (folder / "done.txt").exists()
    vectors = np.load(folder / "elsewhere/out/cased/relation_types/pca4/embeddings.npy")
    assert vectors.shape == (3, 4)
    assert not (folder / "results").exists()
    assert list((folder / "elsewhere/logs").rglob("*.log"))


def test_the_default_config_plans_without_the_network(tmp_path):
    """From a folder of its own, with a proxy that leads nowhere, in an environment with no home."""
    env = {
        "PATH": os.defpath,
        "https_proxy": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            str(ROOT / "Snakefile"),
            "--directory",
            str(tmp_path),
            "--cores",
            "1",
            "--dry-run",
        ],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    plan = dict(
        line.split() for line in done.stdout.splitlines() if len(line.split()) == 2 and "_" in line
    )
    expected = {"download_model": 3, "read_texts": 2, "embed_shard": 6, "gather_shards": 6}
    expected |= {"fit_pca": 3, "apply_pca": 6, "export_table": 24, "draw_map": 12}
    assert {name: int(plan[name]) for name in expected} == expected
    assert sorted(path.name for path in tmp_path.iterdir()) in (
        [".snakemake"],
        [".snakemake", "cache"],
    )


def test_the_workflow_folder_serves_as_snakefile(project):
    """`workflow/Snakefile` is where catalogues and snakedeploy look."""
    words = project.command("--dry-run")
    words[words.index(str(ROOT / "Snakefile"))] = str(ROOT / "workflow/Snakefile")
    words[0] = interpreter()
    done = subprocess.run(words, env=project.env(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "embed_shard" in done.stdout


def test_run_read_only_input_is_enough(project):
    folder = project.folder / "inputs"
    folder.mkdir()
    shutil.move(project.folder / "entities.tsv", folder / "entities.tsv")
    lines = (folder / "entities.tsv").read_text().splitlines()[:20]
    (folder / "entities.tsv").write_text("\n".join(lines) + "\n")
    project.config["tables"]["entities"]["file"] = "inputs/entities.tsv"
    for path in (folder, project.folder / "raw/cased"):
        Path(path).chmod(0o555)
    try:
        project.run()
    finally:
        for path in (folder, project.folder / "raw/cased"):
            Path(path).chmod(0o755)
    assert len(np.load(project.folder / "results/cased/entities/full/embeddings.npy")) == 19


def test_odd_names_a_plain_locale_and_no_home_are_fine(tmp_path):
    project = Project(
        tmp_path / "-a $HOME 'quoted' \u00fc folder",
        {
            "tables": {"entities": {"file": '-my "table" \u4e2d.tsv', "kind": "entities"}},
            "models": ["cased"],
            "spaces": ["full", "pca2"],
            "catalogue": {"cased": {"source": "path:raw models/it's one"}},
            "evaluate": {"scores": []},
            "report": {"notebooks": False, "layouts": ["tsne"]},
        },
    )
    tiny_bert(project.folder / "raw models/it's one")
    project.write_entities(entities(15), '-my "table" \u4e2d.tsv')
    bare = {name: value for name, value in project.env().items() if name in ("PATH",)}
    bare |= {"LC_ALL": "C", "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        project.command(), cwd=project.folder, env=bare, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    folder = project.folder / "results/cased/entities/pca2"
    assert len(np.load(folder / "embeddings.npy")) == 15
    assert (folder / "map.html").exists()


def test_run_two_at_once_and_run_stale_lock_are_told_and_mended(project):
    """A second run in one folder is refused; after kill -9 of the first, --unlock lets it go on."""
    first = start(project)
    job = wait_for_a_part(project, first)
    job.suspend()
    second = project.run(ok=False)
    assert second.code != 0
    assert "--unlock" in second.text
    first.kill()
    first.wait()
    if job.is_running():
        job.kill()
    locked = project.run(ok=False)
    assert locked.code != 0
    assert "--unlock" in locked.text
    assert project.run("--unlock").code == 0
    project.run()
    assert len(np.load(project.folder / "results/cased/entities/full/embeddings.npy")) == 1500
    assert project.n_stored() == 1500, "nothing was stored twice"


def test_temporary_files_of_a_killed_run_go_with_the_next(project):
    """Killed between the last job that reads them and their removal; --notemp leaves them too."""
    project.write_entities(entities(15))
    project.run("--notemp")
    shards = project.folder / "results/cased/entities/shards"
    unpacked = project.folder / "resources/unpacked/cased"
    assert len(list(shards.iterdir())) == 3 and unpacked.is_dir()
    left = project.folder / "left"
    shutil.copytree(shards, left)
    assert "Nothing to be done" in project.run("--dry-run").text
    project.run("--dry-run", "--config", 'spaces=["full", "pca2"]')
    assert len(list(shards.iterdir())) == 3
    assert "Nothing to be done" in project.run().text
    assert not list(shards.glob("*")) and not unpacked.exists()
    shutil.copytree(left, shards, dirs_exist_ok=True)
    project.run("--config", 'spaces=["full", "pca2"]')
    assert not list(shards.glob("*"))
    assert len(np.load(project.folder / "results/cased/entities/pca2/embeddings.npy")) == 15
