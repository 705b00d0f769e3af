"""Probes as a step of the workflow: a transformer and an ELMo, entities and inference."""

import json
import shutil
from collections import Counter

import elmo_oracle
import pytest
from elmo_models import options_of, write
from probe_corpora import ORDERED, write_ner, write_nli
from tiny_models import tiny_bert
from workflow_run import Project, entities

MODELS = ("cased", "small-elmo")
SCORES = "results/scores.tsv"


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    project = Project(
        tmp_path_factory.mktemp("probe") / "project",
        {
            "tables": {"entities": {"file": "entities.tsv", "kind": "entities"}},
            "models": list(MODELS),
            "spaces": ["full"],
            "exports": ["npy"],
            "catalogue": {
                "cased": {"source": "path:raw/cased"},
                "small-elmo": {
                    "kind": "elmo",
                    "source": {
                        "weights.hdf5": "file:raw/w.hdf5",
                        "options.json": "file:raw/o.json",
                    },
                },
            },
            "embed": {"device": "cpu"},
            "evaluate": {"scores": []},
            "report": {"maps": False, "notebooks": False},
            "probe": {
                "ner": {"train": "train.tsv", "test": "test.tsv"},
                "nli": {"train": "train.jsonl", "dev": "dev.jsonl", "test": "test.jsonl"},
                "seeds": 2,
                "epochs": 2,
                "least_steps": 0,
                "batch_size": 8,
            },
        },
    )
    tiny_bert(project.folder / "raw/cased", words=ORDERED)
    options = options_of()
    write(project.folder / "bilm", options, elmo_oracle.random_weights(options, 0))
    shutil.move(project.folder / "bilm/weights.hdf5", project.folder / "raw/w.hdf5")
    shutil.move(project.folder / "bilm/options.json", project.folder / "raw/o.json")
    project.write_entities(entities(8))
    for i, part in enumerate(("train", "test", "dev")):
        write_ner(project.folder / f"{part}.tsv", 40, seed=i)
        write_nli(project.folder / f"{part}.jsonl", slice(20 * i, 20 * i + 20))
    return project, project.run(SCORES)


@pytest.fixture
def project(first_run):
    """The project after its first run; the config is put back afterwards."""
    mine = first_run[0]
    before = json.dumps(mine.config)
    yield mine
    mine.config = json.loads(before)


def test_every_model_is_probed_once(first_run):
    project, outcome = first_run
    assert outcome.jobs["cache_tokens"] == outcome.jobs["probe_model"] == 4
    for model, layers in zip(MODELS, (3, 3), strict=True):
        for probe in ("ner", "nli"):
            file = project.folder / f"results/{model}/probes/{probe}.json"
            found = json.loads(file.read_text())
            assert (found["model"], found["vectors"]["layers"]) == (model, layers)
            methods = [(run["method"], run["seed"]) for run in found["runs"]]
            assert methods[:6] == [
                *(("vectors", 0), ("vectors", 1), ("random", 0), ("random", 1)),
                *(("shuffled_labels", 0), ("shuffled_labels", 1)),
            ]
            assert all(len(run["losses"]) == 2 for run in found["runs"] if "losses" in run)


def test_the_scores_stand_in_the_table_of_all_scores(first_run):
    lines = (first_run[0].folder / "results/scores.tsv").read_text().splitlines()
    rows = [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]
    assert {(row["model"], row["table"]) for row in rows} == {
        (model, probe) for model in MODELS for probe in ("ner", "nli")
    }
    weights = [row for row in rows if row["by"] == "layer" and row["model"] == "cased"]
    assert sum(float(row["value"]) for row in weights) == pytest.approx(2, abs=1e-4)  # two probes


def test_nothing_is_done_twice(project):
    assert project.run(SCORES).jobs == Counter()


def test_other_settings_train_anew_from_the_vectors_that_are_there(project):
    project.config["probe"]["epochs"] = 3
    assert project.run("-n", SCORES).jobs == {"probe_model": 4, "collect_scores": 1}
    project.config["probe"]["epochs"] = 2
    project.config["probe"]["stored"] = "float32"
    jobs = {"cache_tokens": 4, "probe_model": 4, "collect_scores": 1}
    assert project.run("-n", SCORES).jobs == jobs


def test_what_only_refuses_or_only_runs_faster_is_no_reason_to_rerun(project):
    project.config["embed"]["device"] = "auto"
    assert project.run("-n", SCORES).jobs == Counter()
    project.config["probe"]["ner"]["bad_tags"] = "repair"
    assert project.run("-n", SCORES).jobs == {"probe_model": 2, "collect_scores": 1}


def test_a_corpus_that_changed_concerns_its_own_probe(project):
    before = (project.folder / "dev.jsonl").read_text()
    write_nli(project.folder / "dev.jsonl", slice(100, 120))
    jobs = {"cache_tokens": 2, "probe_model": 2, "collect_scores": 1}
    assert project.run("-n", SCORES).jobs == jobs
    (project.folder / "dev.jsonl").write_text(before)


def test_bc2gms_two_files_are_named_in_a_mapping(project):
    for name in ("train.in", "GENE.eval"):
        (project.folder / name).write_text("not read here")
    project.config["probe"]["ner"]["train"] = {"sentences": "train.in", "genes": "GENE.eval"}
    outcome = project.run("-n", "-p", SCORES)
    assert "--train train.in GENE.eval --dev  --test test.tsv" in outcome.text


def test_a_faulty_corpus_stops_its_job_with_one_line(project):
    good = (project.folder / "test.tsv").read_text()
    (project.folder / "test.tsv").write_text("gene\tQ-X\n")
    outcome = project.run("results/cased/probes/ner.json", ok=False)
    (project.folder / "test.tsv").write_text(good)
    assert outcome.code
    log = (project.folder / "logs/cased/probes/cache_tokens/ner.log").read_text()
    assert "ERROR: test.tsv, line 1: the tag 'Q-X' is not one of" in log
    assert "Traceback" not in log


def test_without_corpora_there_is_no_probe(project):
    project.config["probe"] = {}
    planned = project.run("-n").jobs
    assert planned["read_texts"] == 1
    assert not {"cache_tokens", "probe_model", "collect_scores"} & set(planned)


def test_a_typo_is_an_error_that_names_the_key(project):
    project.config["probe"]["epoch"] = 3
    outcome = project.run("-n", ok=False)
    assert outcome.code and "epoch" in outcome.text
