"""Jobs on the scratch disk of their node, by Snakemake's storage plugin `fs`."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from plain_loop import plain_loop
from test_workflow_s3 import kgtextvec_run, tiny_project
from workflow_run import Project, entities

pytestmark = [pytest.mark.storage, pytest.mark.timeout(1800)]


def on_scratch(project: Project, scratch: Path) -> Counter:
    """The jobs of a run as docs/storage.md describes it."""
    return kgtextvec_run(
        project, "--default-storage-provider", "fs", "--local-storage-prefix", str(scratch),
        "--shared-fs-usage", "persistence", "software-deployment", "sources", "source-cache",
    )[0]  # fmt: skip


def test_jobs_work_on_the_scratch_disk_and_a_second_run_has_nothing_to_do(tmp_path):
    scratch = tmp_path / "scratch"
    project = tiny_project(tmp_path / "mine", "none")
    project.config |= {"store": ".kgtextvec/store", "exports": ["npy", "tsv"]}
    rows = entities(40)
    assert on_scratch(project, scratch)["embed_shard"] == 2
    made = np.load(project.folder / "results/cased/entities/full/embeddings.npy")
    texts = [row["description"] or row["name"] for row in rows]
    loop = plain_loop(project.folder / "raw/cased", texts, 512)
    assert np.abs(made - loop).max() <= 1e-5  # float32, as in test_encoders.py
    assert not on_scratch(project, scratch)
    left = {path.suffix for path in scratch.rglob("*") if path.is_file()}
    assert left <= {".log"}, "copies of logs are left, nothing else"
    rows[7]["description"] = "Another description of this one."
    project.write_entities(rows)
    on_scratch(project, scratch)
    counts = project.manifest("cased", "entities", "full")["counts"]
    assert (counts["texts_embedded"], counts["texts_from_store"]) == (1, 39)


def test_without_the_program_that_copies_the_plan_is_refused(tmp_path, monkeypatch):
    programs = tmp_path / "programs"
    programs.mkdir()
    for folder in os.environ["PATH"].split(os.pathsep):
        for program in Path(folder).glob("*"):
            if program.name != "rsync" and not (programs / program.name).exists():
                (programs / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(programs))
    project = tiny_project(tmp_path / "mine", "none")
    refused = project.run("-n", "--default-storage-provider", "fs", ok=False)
    assert refused.code == 2
    last = [line for line in refused.text.splitlines() if line][-1]
    assert last == "ERROR: --default-storage-provider fs: needs the program rsync. Install it."
