"""The workflow trains a small language model further and embeds with it."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from finetune_models import tiny_checkpoint
from finetune_runs import finetune
from workflow_run import Project, entities

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(
        tmp_path_factory.mktemp("finetune") / "project",
        {
            "tables": {
                "entities": {"file": "entities.tsv", "kind": "entities"},
            },
            "models": ["tuned-on-table"],
            "exports": ["tsv", "parquet"],
            "spaces": ["full", "pca4"],
            "catalogue": {"base": {"kind": "elmo", "source": "path:raw", "dims": 12}},
            "finetune": {
                "tuned-on-table": {"from": "base", "text": "entities", "epochs": 3},
                "tuned-on-file": {
                    "from": "base",
                    "text": "corpus.txt",
                    "held_out": "held.txt",
                    "batch_size": 1,
                },
            },
            "embed": {"device": "cpu"},
            "evaluate": {"scores": []},
            "report": {"notebooks": False, "layouts": ["tsne"]},
        },
    )
    tiny_checkpoint(project.folder / "raw")
    (project.folder / "corpus.txt").write_text("the gene binds .\n" * 20)
    (project.folder / "held.txt").write_text("the protein binds .\n")
    project.write_entities(entities(24))
    return project, project.run()


PAGE = "results/tuned-on-file/finetune.html"


def test_a_tuned_model_goes_through_the_whole_workflow(project):
    mine, first = project
    assert first.jobs["finetune_model"] == first.jobs["download_model"] == 1
    for model in mine.config["models"]:
        for space in ("full", "pca4"):
            folder = mine.folder / f"results/{model}/entities/{space}"
            for name in ("embeddings.npy", "embeddings.tsv", "embeddings.parquet", "map.html"):
                assert (folder / name).stat().st_size
        about = json.loads((folder / "manifest.json").read_text())["model"]
        assert about["kind"] == "elmo" and about["source"] == "fine-tuned from base"
        told = json.loads((mine.folder / f"results/{model}/finetune.json").read_text())
        assert about["revision"] == told["key"]
        assert "<svg" in (mine.folder / f"results/{model}/finetune.html").read_text()
    digests = mine.page_digests()
    names = {path.rpartition("/")[2] for path in digests}
    assert {".finetune.html.sha256", ".finetune.tsv.sha256", ".map.svg.sha256"} <= names
    assert all(record.exists() for record in digests.values()), "each is an output of its rule"


def test_the_vectors_are_those_of_the_tuned_weights(project):
    """What is embedded with is what training left, in bilm-tf's file and in ours."""
    from safetensors.numpy import load_file

    mine, _ = project
    tuned = mine.folder / "resources/finetuned/tuned-on-table"
    converted = load_file(mine.folder / "resources/models/tuned-on-table/model.safetensors")
    with h5py.File(tuned / "weights.hdf5") as file:
        assert np.array_equal(file["char_embed"][...], converted["char_embed"])
    told = json.loads((mine.folder / "results/tuned-on-table/finetune.json").read_text())
    assert told["text"] == "entities" and told["steps"] > 0
    assert told["sentences"] + told["held_out_sentences"] == 24


def test_a_file_is_learned_from_and_another_one_held_out(project):
    mine, _ = project
    assert mine.run(PAGE).jobs["finetune_model"] == 1
    told = json.loads((mine.folder / "results/tuned-on-file/finetune.json").read_text())
    assert (told["sentences"], told["held_out_sentences"]) == (20, 1)
    assert told["after"]["average"] < told["before"]["average"]
    assert not mine.run(PAGE).jobs
    (mine.folder / "held.txt").write_text("the gene binds .\n")
    assert mine.run(PAGE).jobs["finetune_model"] == 1


def test_nothing_is_trained_again_without_a_reason(project):
    mine, _ = project
    assert not mine.run().jobs
    mine.config["embed"]["batch_tokens"] = 64
    assert not mine.run().jobs


def test_more_epochs_go_on_and_reach_the_vectors(project):
    mine, _ = project
    vectors = "results/tuned-on-table/entities/full/embeddings.npy"
    before = np.load(mine.folder / vectors)
    mine.config["finetune"]["tuned-on-table"]["epochs"] = 5
    again = mine.run(vectors)
    assert again.jobs["finetune_model"] == again.jobs["convert_model"] == 1
    log = (mine.folder / "logs/tuned-on-table/finetune_model.log").read_text()
    assert "resumed at step" in log
    assert not np.array_equal(before, np.load(mine.folder / vectors))


def test_the_loss_stands_in_the_report(project):
    mine, _ = project
    mine.run("--report", str(mine.folder / "report.zip"))
    shutil.unpack_archive(mine.folder / "report.zip", mine.folder / "report")
    pages = list((mine.folder / "report").rglob("finetune.html"))
    assert len(pages) == 1
    told = "".join(p.read_text() for p in (mine.folder / "report").rglob("*.html"))
    assert "tuned-on-table" in told


@pytest.mark.parametrize(
    ("tuned", "told"),
    [
        ({"base": {"from": "base", "text": "t.txt"}}, "finetune: the name base is taken"),
        ({"bioelmo": {"from": "base", "text": "t.txt"}}, "the name bioelmo is taken"),
        (
            {"new": {"from": "bioelmo", "text": "t.txt"}},
            "bioelmo is not an ELMo of the catalogue that",
        ),
        ({"new": {"from": "all-MiniLM-L6-v2", "text": "t.txt"}}, "Name one, such as bioelmo-chec"),
        ({"new": {"from": "nothing", "text": "t.txt"}}, "nothing is not an ELMo of the catalogue"),
        ({"new": {"from": "base"}}, "finetune.new.text: missing"),
        (
            {"new": {"from": "base", "text": "t.txt", "lr": 1}},
            "finetune.new.lr: there is no such key",
        ),
    ],
)
def test_a_wrong_section_is_told(tmp_path, project, tuned, told):
    mine, _ = project
    bad = Project(tmp_path / "bad", mine.config | {"finetune": tuned, "models": ["base"]})
    outcome = bad.run("--dry-run", ok=False)
    assert outcome.code and told in outcome.text, outcome.text[-2000:]


@pytest.mark.slow
def test_a_second_stage_starts_where_the_first_one_ended(tmp_path):
    """As the same two trainings on the command line; a change of the first reaches the second."""
    stages = {
        "first": {"from": "base", "text": "corpus.txt", "batch_size": 1},
        "second": {"from": "first", "text": "more.txt", "batch_size": 1},
    }
    mine = Project(
        tmp_path / "project",
        {
            "tables": {"entities": {"file": "entities.tsv", "kind": "entities"}},
            "models": ["second"],
            "spaces": ["full"],
            "exports": ["npy"],
            "catalogue": {"base": {"kind": "elmo", "source": "path:raw"}},
            "finetune": stages,
            "embed": {"device": "cpu"},
            "evaluate": {"scores": []},
            "report": {"notebooks": False, "maps": False},
        },
    )
    raw = tiny_checkpoint(mine.folder / "raw")
    one, two = mine.folder / "corpus.txt", mine.folder / "more.txt"
    one.write_text("the gene binds .\n" * 20)
    two.write_text("a kinase of the cell\n" * 20)
    mine.write_entities(entities(8))
    assert mine.run().jobs["finetune_model"] == 2
    assert finetune(tmp_path / "1", raw, one, "--batch-size", "1").returncode == 0
    done = finetune(tmp_path / "2", tmp_path / "1/tuned", two, "--batch-size", "1")
    assert done.returncode == 0, done.stderr
    ours = mine.folder / "resources/finetuned/second/weights.hdf5"
    with h5py.File(ours) as file, h5py.File(tmp_path / "2/tuned/weights.hdf5") as same:
        difference = np.abs(file["char_embed"][...] - same["char_embed"][...]).max()
    assert difference < 1e-6, "the same but for the number of threads"
    stages["first"]["epochs"] = 2
    assert mine.run().jobs["finetune_model"] == 2


@pytest.mark.slow
def test_a_workflow_that_is_killed_while_it_trains_ends_as_one_that_is_not(tmp_path):
    """kill -9 of Snakemake and all its jobs; then unlock, and the same command."""
    config = {
        "tables": {"entities": {"file": "entities.tsv", "kind": "entities"}},
        "models": ["tuned"],
        "catalogue": {"base": {"kind": "elmo", "source": "path:raw"}},
        "finetune": {
            "tuned": {"from": "base", "text": "entities", "epochs": 100, "snapshot_minutes": 0.02}
        },
        "embed": {"device": "cpu"},
    }
    target = "results/tuned/finetune.html"
    one_core = (target, "--cores", "1")
    outcomes = []
    for name in ("killed", "whole"):
        project = Project(tmp_path / name, config)
        tiny_checkpoint(project.folder / "raw")
        project.write_entities(entities(24))
        if name == "killed":
            running = subprocess.Popen(
                project.command(*one_core), cwd=tmp_path, env=project.env(), start_new_session=True
            )
            until = time.monotonic() + 120
            while not list(project.folder.glob(".kgtextvec/finetune/*/step-*")):
                assert running.poll() is None and time.monotonic() < until
                time.sleep(0.05)
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            assert not (project.folder / target).exists()
            project.run("--unlock")
        assert project.run(*one_core).jobs["finetune_model"] == 1
        log = (project.folder / "logs/tuned/finetune_model.log").read_text()
        assert ("resumed at step" in log) == (name == "killed")
        tensors = project.folder / "resources/finetuned/tuned/checkpoint/tensors.bin"
        outcomes.append(tensors.read_bytes())
    assert outcomes[0] == outcomes[1]
