"""Configs as users mistype them: one line that names the key and says what to do."""

import subprocess
import sys

import pytest
import yaml
from workflow_run import ROOT

from kgtextvec.errors import InputError

sys.path.insert(0, str(ROOT / "workflow"))
from lib.checks import check_files, with_config_file
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


PROBE = {"train": "small.tsv", "test": "small.tsv"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"model": ["x"]}, r"config, model: there is no such key\. Did you mean models\?"),
        ({"embedd": {}}, r"config, embedd: there is no such key\. Did you mean embed\?"),
        ({"models": ["all-MiniLM-L6-V2"]}, "config, models: .* Did you mean all-MiniLM-L6-v2"),
        ({"models": ["a/b/c"]}, r"catalogue, c\.source: 'hub:a/b/c' is not hub:owner/name"),
        (
            {"models": ["owner/bioelmo"]},
            "config, models: owner/bioelmo: .* another model called bioelmo.*hub:owner/bioelmo",
        ),
        ({"spaces": ["pca4OO"]}, "config, spaces: 'pca4OO' is unknown.* pcaN"),
        ({"spaces": ["pca400"]}, "config, spaces: pca400 asks for 400 dims, all-MiniLM.* 384"),
        ({"exports": ["pykeeen"]}, "config, exports: 'pykeeen' is unknown.*Did you mean pykeen"),
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
        (entities(used_by="no.tsv"), "config, tables.entities.used_by: no.tsv: no such file"),
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
            "catalogue, my.source: '/data/my-model' .* path:<folder>",
        ),
        (
            {"models": ["my"], "catalogue": {"my": {"source": "path:.", "pooling": "last"}}},
            "config, catalogue.my.pooling: 'last' is unknown.* mean",
        ),
    ],
)  # fmt: skip
def test_what_is_mistyped_is_one_line_with_its_key(plan_of, more, message):
    with pytest.raises(InputError, match=f"^{message}") as caught:
        plan_of(**more)
    assert "\n" not in str(caught.value)


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


def test_snakemake_ends_with_that_line(tmp_path):
    (tmp_path / "mine.yaml").write_text("modles: [x]\n")
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "--snakefile", ROOT / "Snakefile", "--cores",
         "1", "--configfile", "mine.yaml"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    assert line.endswith("mine.yaml: config, modles: there is no such key. Did you mean models?")
