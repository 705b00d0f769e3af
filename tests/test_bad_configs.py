"""Configs as users mistype them: one line that names the key and says what to do."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from warm_python import interpreter
from workflow_run import ROOT, Project

from kgtextvec.errors import InputError
from kgtextvec.yaml_files import read_yaml

sys.path.insert(0, str(ROOT / "workflow"))
from lib.checks import check_device, check_files, with_config_file
from lib.plan import Plan

TABLES = {
    "entities": {"file": "small.tsv", "kind": "entities"},
    "relation_types": {"file": "rel.tsv", "kind": "relation_types"},
}
GOOD = {"tables": TABLES, "models": ["all-MiniLM-L6-v2"], "spaces": ["full", "pca32"]}


@pytest.fixture
def plan_of(tmp_path, monkeypatch):
    """Make a plan for a folder with two tables; every file that the config names is looked at."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.tsv").write_text("id\tlabel\tname\nX:1\tGene\tone\n")
    (tmp_path / "rel.tsv").write_text("relation_type\tdescription\ntreats\tIt treats.\n")

    def make(**more: object) -> Plan:
        plan = Plan(GOOD | more, ROOT / "config/models.yaml", ROOT, in_conda=False)
        check_files(plan)
        return plan

    return make


def entities(**more: object) -> dict:
    return {"tables": TABLES | {"entities": TABLES["entities"] | more}}


def endpoint(**more: object) -> dict:
    entry = {"kind": "endpoint", "source": "https://x.org/v1", "model": "m", "dims": 400} | more
    return {"models": ["served"], "catalogue": {"served": entry}}


PROBE = {"train": "small.tsv", "test": "small.tsv"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"model": ["x"]}, r"config, model: there is no such key\. Did you mean models\?"),
        ({"embedd": {}}, r"config, embedd: there is no such key\. Did you mean embed\?"),
        ({"models": ["all-MiniLM-L6-V2"]}, "config, models: .* Did you mean all-MiniLM-L6-v2"),
        ({"models": ["a/b/c"]}, r"catalogue, c\.source: 'hub:a/b/c' must be hub:owner/name"),
        (
            {"models": ["owner/bioelmo"]},
            "config, models: owner/bioelmo: .* another model called bioelmo.*hub:owner/bioelmo",
        ),
        ({"spaces": ["pca4OO"]}, "config, spaces: 'pca4OO' is unknown.* pcaN"),
        ({"spaces": ["pca400"]}, "config, spaces: pca400 asks for 400 dims, all-MiniLM.* 384"),
        ({"exports": ["pykeeen"]}, "config, exports: 'pykeeen' is unknown.*Did you mean pykeen"),
        (
            {"spaces": ["pca32", "full", "rp32"], "exports": ["biomedgps"]},
            r"config, exports: pca32 and rp32 have the same dims \(32\).* biomedgps out of exports",
        ),
        (
            {"spaces": ["full", "abtt2"], "models": ["o/m"], "exports": ["biomedgps"]},
            r"config, exports: full and abtt2 have the same dims \(those of the model\)",
        ),
        (
            {"spaces": ["full", "rp384"], "exports": ["biomedgps"]},
            r"config, exports: full and rp384 have the same dims \(384\)",
        ),
        (endpoint(model=None), r"catalogue, served\.model: missing"),
        (endpoint(source="file:/v1"), r"catalogue, served\.source: must be the server's address"),
        (endpoint(source="https://me:sk-1@x.org/v1"), r"catalogue, served\.source: must not con"),
        (endpoint(source="https://x.org/v1?key=sk-1"), r"catalogue, served\.source: must not con"),
        (endpoint(source=["https://x.org/v1"]), r"catalogue, served\.source: .* one address"),
        (endpoint(api_key_env="sk-1-2"), r"catalogue, served\.api_key_env: must be the name of"),
        (endpoint(pooling="cls"), r"catalogue, served\.pooling: does not apply to an endpoint"),
        (endpoint(requests={"parallel": 0}), r"config, catalogue\.served\.requests\.parallel: 0"),
        (
            endpoint(requests={"paralel": 2}),
            r"config, catalogue\.served\.requests\.paralel: .* Did you mean parallel",
        ),
        (endpoint() | {"mode": "faithful"}, "config, mode: .*served runs at its server"),
        (endpoint() | {"probe": {"ner": PROBE}}, "config, probe: served is an endpoint"),
        (endpoint(kind="elmo"), r"catalogue, served\.model: is for `kind: endpoint`"),
        (entities(kind="entitis"), "config, tables.entities.kind: .*Did you mean entities"),
        ({"embed": {"device": "gpu"}}, "config, embed.device: 'gpu' .* cpu, mps, cuda"),
        ({"probe": {"ner": {"train": "small.tsv"}}}, "config, probe.ner.test: missing"),
        (
            {"evaluate": {"link_prediction": {}}},
            "config, evaluate.link_prediction: needs .* evaluate.triples",
        ),
        (
            {"finetune": {"my": {"from": "all-MiniLM-L6-v2", "text": "entities"}}},
            "config, finetune.my.from: all-MiniLM-L6-v2 is not an ELMo",
        ),
        (
            entities(text="{name}: {definition}"),
            "config, tables.entities.text: small.tsv .* definition.* label",
        ),
        (entities(file="smal.tsv"), r"config, tables.entities.file: smal.tsv: no such file\. Did "
                                    r"you mean small.tsv\?"),
        (
            entities(used_by="edges/no.csv"),
            r"config, tables\.entities\.used_by: edges/no\.csv: .* where the workflow runs, /.*\.",
        ),
        (entities(used_by="~/no.tsv"), "config, tables.entities.used_by: ~/no.tsv: .* place of ~"),
        ({"models": ["../my"]}, r'config, models: \.\./my: .*{my: {source: "path:\.\./my"}}'),
        ({"evaluate": {"triples": "no.tsv"}}, "config, evaluate.triples: no.tsv: no such file"),
        (
            {"evaluate": {"triples": "rel.tsv", "test_triples": "no.tsv"}},
            "config, evaluate.test_triples: no.tsv: no such file",
        ),
        ({"align": {"to": ["rel.tsv", "no"], "form": "dglke"}}, "config, align.to: no: no such"),
        (
            {"finetune": {"my": {"from": "bioelmo-checkpoint", "text": "no.txt"}}},
            "config, finetune.my.text: no.txt: no such file",
        ),
        (
            {"finetune": {"my": {"from": "bioelmo-checkpoint", "text": "entities",
                                 "held_out": "no.txt"}}},
            "config, finetune.my.held_out: no.txt: no such file",
        ),
        ({"probe": {"ner": PROBE | {"test": "no.txt"}}}, "config, probe.ner.test: no.txt: no such"),
        (
            {"probe": {"ner": PROBE | {"train": {"sentences": "small.tsv", "genes": "no"}}}},
            "config, probe.ner.train: no: no such file",
        ),
        ({"probe": {"nli": PROBE | {"dev": "no.jsonl"}}}, "config, probe.nli.dev: no.jsonl: no"),
        (
            {"models": ["my"], "catalogue": {"my": {"source": "path:/data/my-model"}}},
            "catalogue, my.source: /data/my-model: no such file",
        ),
        (
            {"models": ["my"], "catalogue": {"my": {"source": "file:/data/my.tar.gz"}}},
            "catalogue, my.source: /data/my.tar.gz: no such file",
        ),
        (
            {"models": ["my"], "catalogue": {"my": {"source": "/data/my-model"}}},
            r"catalogue, my.source: '/data/my-model' .* Write path:/data/my-model for a folder\.$",
        ),
        (
            {"models": ["my"], "catalogue": {"my": {"source": "path:.", "adapter_of": "bioelm"}}},
            r"catalogue, my\.adapter_of: bioelm is not a transformers model",
        ),
        (
            {"models": ["my"], "catalogue": {"my": {"source": "path:.", "pooling": "last"}}},
            "config, catalogue.my.pooling: 'last' is unknown.* mean",
        ),
    ],
)  # fmt: skip
def test_what_is_mistyped_is_one_line_with_its_key(plan_of, more, message):
    """Also when all results are there."""
    for made in ("texts/entities", "all-MiniLM-L6-v2/entities/full", "."):
        with pytest.raises(InputError, match=f"^{message}") as caught:
            plan_of(**more)
        assert "\n" not in str(caught.value)
        Path("results", made).mkdir(parents=True, exist_ok=True)
        Path("results", made, "manifest.json").write_text("{}")


def test_what_is_right_passes(plan_of):
    assert plan_of().fit_on == "entities"
    assert plan_of(report={"maps": False}).models == ("all-MiniLM-L6-v2",)
    only = {"genes": TABLES["entities"], "entities": None, "relation_types": None}
    assert plan_of(tables=only).fit_on == "genes"


def test_the_config_file_that_has_the_key_is_named(tmp_path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(yaml.safe_dump(GOOD))
    second.write_text("modles: [x]")
    message = "config, modles: there is no such key."
    assert with_config_file(message, [str(first), str(second)]) == f"{second}: {message}"
    message = "config, tables.x.file: missing."
    assert with_config_file(message, [str(first), str(second)]) == f"{first}: {message}"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there_is_reported_with_the_plan(plan_of, device):
    with pytest.raises(InputError, match=r"^config, embed.device: cuda.* Write auto or cpu"):
        check_device(plan_of(embed={"device": device}))
    check_device(plan_of(embed={"device": "auto"}))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize(("more", "code"), [([], 2), (["--executor", "slurm", "--jobs", "9"], 0)])
def test_no_gpu_is_an_error_only_where_this_machine_runs_the_jobs(tmp_path, more, code):
    project = Project(tmp_path, GOOD | {"embed": {"device": "cuda"}})
    (tmp_path / "small.tsv").write_text("id\tlabel\tname\nX:1\tGene\tone\n")
    (tmp_path / "rel.tsv").write_text("relation_type\tdescription\ntreats\tIt treats.\n")
    found = project.run("--dry-run", *more, ok=False)
    assert found.code == code, found.text
    assert ("embed.device: cuda is asked for" in found.text) == (code == 2)


BROKEN = {
    "tables:\n  a: {file: x, kind: entities\nmodels: [x]\n": (
        r"mine.yaml, line 3, column 7: not valid YAML \(.*\). Correct it."
    ),
    "tables:\n\ta: 1\n": r"mine.yaml, line 2, column 1: not valid YAML .*Correct it.",
    "models: [a]\ntables: {}\nmodels: [b]\n": (
        r"mine.yaml, line 3: the key models is given twice, first in line 1. Remove one of them."
    ),
    "models: [\x00]": r"mine.yaml: not valid YAML \(.*\). Correct it.",
    "a: " + "[" * 400: r"mine.yaml.*: not valid YAML \(.*\). Correct it.",
    "models: [\udce4]": r"mine.yaml: not UTF-8 \(byte 9\). Save it as UTF-8, then run again.",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_fault_in_yaml_is_one_line_with_its_place(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(text, "utf-8", "surrogateescape")
    with pytest.raises(InputError, match=f"^{BROKEN[text]}$") as caught:
        read_yaml(Path("mine.yaml"))
    assert "\n" not in str(caught.value)


def test_sound_yaml_and_json_are_read(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("base: &b {x: 1}\nmore: {<<: *b, y: 2}\nagain: *b\n")
    assert read_yaml(path) == {"base": {"x": 1}, "more": {"x": 1, "y": 2}, "again": {"x": 1}}
    path.write_text('{\t"x": [1]}')
    assert read_yaml(path) == {"x": [1]}


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("default", ["--configfile", "mine.yaml"]),
        ("default", []),
        ("slurm", ["--configfile=mine.yaml"]),
    ],
)
def test_snakemake_names_the_line_of_a_fault_in_yaml(tmp_path, profile, words):
    """With every profile, whether the file is named or config/config.yaml."""
    path = tmp_path / ("mine.yaml" if words else "config/config.yaml")
    path.parent.mkdir(exist_ok=True)
    path.write_text("tables:\n  a: {file: x, kind: entities\nmodels: [x]\n")
    done = subprocess.run(
        [interpreter(), "-m", "snakemake", "-n", "--snakefile", ROOT / "Snakefile", *words,
         "--workflow-profile", ROOT / "profiles" / profile],
        cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": ROOT / "src"},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith(
        f"ERROR: {path.relative_to(tmp_path)}, line 3, column 7: not valid YAML ("
    )


def test_snakemake_ends_with_that_line(tmp_path):
    (tmp_path / "mine.yaml").write_text("modles: [x]\n")
    done = subprocess.run(
        [interpreter(), "-m", "snakemake", "-n", "--snakefile", ROOT / "Snakefile", "--cores",
         "1", "--configfile", "mine.yaml"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    assert line.endswith("mine.yaml: config, modles: there is no such key. Did you mean models?")


def test_the_model_of_an_adapter_is_made_too(plan_of):
    adapter, base = {"source": "path:.", "adapter_of": "base"}, {"source": "path:."}
    found = plan_of(models=["tuned"], catalogue={"tuned": adapter, "base": base})
    assert found.all_models == ["tuned", "base"]


def test_dims_above_those_of_a_model_on_this_machine_are_an_error_with_the_plan(plan_of):
    """A folder's config.json says how many dims it has; no weights are looked at."""
    folder = Path("mine")
    folder.mkdir()
    (folder / "config.json").write_text('{"hidden_size": 32}')
    asked = {"models": ["my"], "spaces": ["pca33"]}
    with pytest.raises(InputError, match=r"^config, spaces: pca33 asks for 33 dims, my has 32\."):
        plan_of(**asked, catalogue={"my": {"source": "path:mine"}})
    plan_of(**asked | {"spaces": ["pca32"]}, catalogue={"my": {"source": "path:mine"}})
    (folder / "modules.json").write_text("[]")  # modules may change the dims
    plan_of(**asked, catalogue={"my": {"source": "path:mine"}})


@pytest.mark.parametrize("name", ["mine.txt", "mine.txt.gz"])
def test_dims_above_those_of_word_vectors_on_this_machine_are_an_error_with_the_plan(plan_of, name):
    with (gzip.open if name.endswith(".gz") else open)(name, "wb") as file:
        file.write(b"2 32\n" + b"a" + b" 0.5" * 32 + b"\nb" + b" 0.5" * 32 + b"\n")
    mine = {"models": ["my"], "catalogue": {"my": {"kind": "words", "source": f"file:{name}"}}}
    with pytest.raises(InputError, match=r"^config, spaces: pca33 asks for 33 dims, my has 32\."):
        plan_of(**mine, spaces=["pca33"])
    plan_of(**mine, spaces=["pca32"])
    Path(name).write_bytes(b"the.first.line.names.no.dims 0.5\n")
    plan_of(**mine, spaces=["pca33"])


def test_dims_above_those_of_a_converted_model_are_an_error_with_the_plan(plan_of):
    record = Path("resources/models/my/kgtextvec.json")
    record.parent.mkdir(parents=True)
    record.write_text('{"source": "hub:owner/name@0123abc", "dims": 32, "asked": {}}')
    asked = {"models": ["my"], "spaces": ["pca33"]}
    with pytest.raises(InputError, match=r"^config, spaces: pca33 asks for 33 dims, my has 32\."):
        plan_of(**asked, catalogue={"my": {"source": "hub:owner/name"}})
    plan_of(**asked, catalogue={"my": {"source": "hub:owner/other"}})  # to be converted again
    plan_of(**asked, catalogue={"my": {"source": "hub:owner/name", "pooling": "mean+max"}})
