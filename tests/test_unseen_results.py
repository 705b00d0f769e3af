"""Test triples, corpora and texts to train on that changed under an old date, as tables may."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from export_spaces import entity_space
from finetune_models import tiny_checkpoint
from finetune_runs import write_text
from probe_corpora import elmo, write_ner
from workflow_run import ROOT

from kgtextvec.__main__ import main
from kgtextvec.checksums import xxh3_of
from kgtextvec.errors import InputError
from kgtextvec.records import read_unedited, write_record

sys.path.insert(0, str(ROOT / "workflow"))
from lib import unseen
from lib.plan import Plan
from lib.unseen import check_unseen_changes

OLD = 1_500_000_000  # a date before any result's
ELMO = {"kind": "elmo", "source": "path:raw", "dims": 48}
CONFIG = {
    "tables": {"entities": {"file": "table.tsv", "kind": "entities", "text": "name"}},
    "models": ["tiny", "my"],
    "spaces": ["full"],
    "catalogue": {"tiny": ELMO},
    "evaluate": {"triples": "graph.tsv", "test_triples": "later/*.tsv"},
    "finetune": {"my": {"from": "tiny", "text": "./text.txt", "held_out": "held {out}.txt"}},
    "probe": {"ner": {"train": "train.tsv", "dev": "dev.tsv", "test": "test.tsv"}},
}
FILES = {
    "graph.tsv": "graph.file",
    "later/1.tsv": "evaluate.test_triples",
    "later/2.tsv": "evaluate.test_triples",
    "text.txt": "finetune.my.text",
    "held {out}.txt": "finetune.my.held_out",
    "train.tsv": "probe.ner.train",
    "dev.tsv": "probe.ner.dev",
    "test.tsv": "probe.ner.test",
}
RECORDS = (
    "results/tiny/entities/full/scores.json",
    "results/my/finetune.json",
    "results/tiny/probes/ner.json",
)


def run(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Scores, a fine-tuned model and a probe's results, made by the verbs of the workflow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("made"))
        Path("table.tsv").write_text("id\tlabel\tname\nX:1\tGene\tone\nX:2\tGene\ttwo\n")
        Path("later").mkdir()
        for name in ("graph.tsv", "later/1.tsv", "later/2.tsv"):
            Path(name).write_text("head\trelation\ttail\nX:1\ttreats\tX:2\n")
        write_text(Path("text.txt"))
        write_text(Path("held {out}.txt"))
        for seed, name in enumerate(("train.tsv", "dev.tsv", "test.tsv")):
            write_ner(Path(name), 20, seed)
        plan = Plan(CONFIG, ROOT / "config/models.yaml", ROOT, in_conda=False)
        make_scores()
        make_finetuned()
        make_probes()
        age()
        yield plan


def make_scores() -> None:
    texts = ["read-texts", "table.tsv", "--table=entities", "--kind=entities", "--text=name"]
    run(*texts, "--out-dir=results/texts/entities")
    space = entity_space(Path("space"), [("Gene", "X:1", "one"), ("Gene", "X:2", "two")])
    words = ["evaluate-space", space, "--texts=results/texts/entities/shards", "--scores=[]"]
    words += ["--triples", "graph.tsv", "--test-triples", "later/1.tsv", "later/2.tsv"]
    run(*words, "--out", RECORDS[0])


def make_finetuned() -> None:
    words = ["finetune-model", tiny_checkpoint(Path("raw")), "--text", "text.txt"]
    words += ["--held-out", "held {out}.txt", "--out", "resources/finetuned/my"]
    words += ["--losses", "results/my/finetune.tsv", "--about", RECORDS[1]]
    run(*words, "--work", "work", "--device=cpu", "--threads=1")


def make_probes() -> None:
    Path("elmo").mkdir()
    corpora = ["ner", "--model", elmo(Path("elmo")), "--train=train.tsv", "--dev=dev.tsv"]
    corpora += ["--test=test.tsv", "--threads=1", "--device=cpu"]
    run("cache-tokens", *corpora, "--out=v.npy")
    words = ["--vectors=v.npy", "--epochs=1", "--least-steps=1", "--seeds=1", "--controls=[]"]
    run("probe-model", *corpora, *words, "--out", RECORDS[2])


def age() -> None:
    for name in FILES:
        os.utime(name, (OLD, OLD))


def test_the_files_that_were_read_are_recorded(plan):
    read = [name for record in RECORDS for name in read_unedited(Path(record))["sources"]]
    assert sorted(read) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_another_content_under_an_old_date_is_an_error(plan, name):
    check_unseen_changes(plan)
    path = Path(name)
    sound = path.read_bytes()
    try:
        path.write_bytes(sound[:-2] + b"~\n")
        os.utime(path, (OLD, OLD))
        with pytest.raises(InputError) as caught:
            check_unseen_changes(plan)
        assert str(caught.value).startswith(f"config, {FILES[name]}: ")
        assert f"{name}: holds something else than when results/" in str(caught.value)
        assert "\n" not in str(caught.value)
        path.touch()  # as the message says: Snakemake sees it now
        check_unseen_changes(plan)
    finally:
        path.write_bytes(sound)
        age()
    check_unseen_changes(plan)


@pytest.mark.parametrize("record", RECORDS)
def test_results_of_earlier_versions_record_nothing_to_compare(plan, record):
    found = read_unedited(Path(record))
    names = list(found["sources"])
    before = {name: Path(name).read_bytes() for name in names}
    try:
        write_record(Path(record), {key: one for key, one in found.items() if key != "sources"})
        for name in names:
            Path(name).write_bytes(b"~\n")
        age()
        check_unseen_changes(plan)
    finally:
        write_record(Path(record), found)
        for name, content in before.items():
            Path(name).write_bytes(content)
        age()
    check_unseen_changes(plan)


def test_a_graph_of_several_spaces_is_hashed_once(plan, monkeypatch):
    hashed = []
    monkeypatch.setattr(unseen, "xxh3_of", lambda path: hashed.append(str(path)) or xxh3_of(path))
    shutil.copytree("results/tiny/entities/full", "results/tiny/entities/pca2")
    try:
        two = CONFIG | {"spaces": ["full", "pca2"]}
        check_unseen_changes(Plan(two, ROOT / "config/models.yaml", ROOT, in_conda=False))
    finally:
        shutil.rmtree("results/tiny/entities/pca2")
    assert {"graph.tsv", "later/1.tsv", "later/2.tsv"} <= set(hashed)
    assert len(hashed) == len(set(hashed))


def test_results_of_models_that_the_config_does_not_name_are_left_alone(plan):
    path = Path("later/1.tsv")
    sound = path.read_bytes()
    other = Plan(
        {key: value for key, value in CONFIG.items() if key not in ("probe", "finetune")}
        | {"models": ["other"], "catalogue": {"other": ELMO}},
        ROOT / "config/models.yaml", ROOT, in_conda=False,
    )  # fmt: skip
    try:
        path.write_bytes(sound[:-2] + b"~\n")
        os.utime(path, (OLD, OLD))
        check_unseen_changes(other)
    finally:
        path.write_bytes(sound)
        age()
