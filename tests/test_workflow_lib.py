"""The helpers of the rules, without Snakemake around them."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.io import IOFile
from workflow_run import ROOT

sys.path.insert(0, str(ROOT / "workflow"))
from lib.content import Content
from lib.inputs import Inputs
from lib.plan import Plan, grown, one_of
from lib.targets import Targets

from kgtextvec.errors import InputError

TABLES = {
    "genes": {"file": "genes.tsv", "kind": "entities"},
    "relations": {"file": "relations.tsv", "kind": "relation_types"},
}
CATALOGUE = """
bert: {source: "path:raw/bert", pooling: cls, max_tokens: 64, license: free}
elmo: {kind: elmo, source: "path:raw/elmo", layers: top}
checkpoint: {kind: elmo, source: {model.index: "file:model.index"}}
"""


@pytest.fixture
def plan_of(tmp_path):
    """Make a plan from some of the config's keys."""
    (tmp_path / "models.yaml").write_text(CATALOGUE)

    def make(**more: object) -> Plan:
        raw = {"tables": TABLES, "models": ["bert"], "reduce": {"fit_on": "genes"}} | more
        return Plan(raw, tmp_path / "models.yaml", tmp_path, in_conda=False)

    return make


def of(**wildcards: str) -> SimpleNamespace:
    return SimpleNamespace(**wildcards)


def test_params_hold_only_what_is_not_at_its_default(plan_of):
    plan = plan_of(embed={"long_text": "window", "device": "cpu", "part_seconds": 20})
    assert plan.settings(plan.of_embed)(of(model="bert")) == (
        "--max-tokens 64 --pooling cls --long-text window"
    )
    assert plan.run(plan.of_embed, "store")(of(model="bert"), None) == (
        "--store .kgtextvec/store --device cpu"
    )
    assert plan.settings(plan.of_embed)(of(model="elmo")) == "--layers top"
    assert plan.settings(plan.of_scoring)(of(model="bert")) == ""


def test_scores_take_a_gpu_where_there_is_one_as_their_jobs_request_none(plan_of):
    for asked, said in {"cuda": "", "cuda:1": "", "cpu": "--device cpu", "auto": ""}.items():
        plan = plan_of(embed={"device": asked})
        assert plan.run(plan.of_scoring)(of(model="bert"), None) == said


def test_a_model_param_is_its_part_of_the_entry(plan_of):
    assert plan_of().entry("license", "dims")(of(model="bert")) == '{"license": "free"}'


def test_a_hubs_name_is_the_catalogues_entry_or_a_new_one(plan_of):
    hub = {"mine": {"source": "hub:some/bert@" + "a" * 40, "pooling": "cls"}}
    plan = plan_of(models=["some/bert", "other/roberta", "x/y@main"], catalogue=hub)
    assert plan.models == ("mine", "roberta", "y")
    entry = plan.entry("source", "pooling")
    assert entry(of(model="mine")) == '{"pooling": "cls", "source": "hub:some/bert@%s"}' % (
        "a" * 40
    )
    assert entry(of(model="roberta")) == '{"source": "hub:other/roberta"}'
    assert entry(of(model="y")) == '{"source": "hub:x/y@main"}'


def test_the_only_table_of_entities_is_what_a_pca_is_fitted_on_whatever_its_name(plan_of):
    assert plan_of(reduce={}).fit_on == "genes"
    two = TABLES | {"drugs": {"file": "drugs.tsv", "kind": "entities"}}
    assert plan_of(reduce={}, tables=two, spaces=["full"]).fit_on == "entities", "no guess"
    assert plan_of(reduce={"fit_on": "drugs"}, tables=two).fit_on == "drugs"


@pytest.mark.parametrize(
    "more,message",
    [
        ({"models": ["a/same", "b/same"]}, "config, models: .*b/same: .*another model called same"),
        ({"models": ["brt"]}, "config, models: brt is not in the catalogue"),
        ({"reduce": {"fit_on": "gnes"}}, "config, reduce.fit_on: there is no table gnes"),
        ({"reduce": {}, "tables": TABLES | {"drugs": TABLES["genes"]}},
         "config, reduce.fit_on: there is no table entities. .*genes"),
        ({"bundle": {"entities": "relations"}, "exports": ["drkg"]}, "config, bundle.entities: "),
        ({"align": {"to": "x", "form": "drkg"}, "tables": {"relations": TABLES["relations"]},
          "spaces": ["full"]}, "config, align: there is no table"),
        ({"evaluate": {"link_prediction": {}}}, "config, evaluate.link_prediction: needs"),
        ({"finetune": {"new": {"from": "bert", "text": "genes"}}}, "config, finetune.new.from: "),
        ({"finetune": {"bert": {"from": "checkpoint", "text": "genes"}}}, "name bert is taken"),
        ({"exports": ["biomedgps"], "report": {"layouts": ["tsne"]}}, "needs both maps"),
        ({"tables": {}}, "config, tables: "),
    ],
)  # fmt: skip
def test_what_no_single_setting_shows_is_refused(plan_of, more, message):
    with pytest.raises(InputError, match=message):
        plan_of(**more)


def test_a_model_may_be_trained_in_stages(plan_of):
    stages = {
        "second": {"from": "first", "text": "genes"},
        "first": {"from": "checkpoint", "text": "genes"},
    }
    plan = plan_of(models=["second"], finetune=stages)
    assert plan.catalogue["second"].kind == "elmo"
    content = Content(plan, None, None, None)
    assert content.base_record(of(model="second")) == "<resources>/finetuned/first.json"
    assert content.base_record(of(model="first")) == "<resources>/downloads/checkpoint.json"
    assert str(content.base_folder(of(model="second"))) == "<resources>/finetuned/first"
    stages["first"]["from"] = "second"
    with pytest.raises(
        InputError, match=r"finetune\.second\.from: first is trained from second it"
    ):
        plan_of(finetune=stages)


def test_a_finetuned_model_has_its_bases_settings_and_texts_rules(plan_of):
    plan = plan_of(
        finetune={"new": {"from": "checkpoint", "text": "genes", "epochs": 2}}, models=["new"]
    )
    assert plan.settings(plan.of_finetuning)(of(model="new")) == (
        "--tokens treebank_hyphen --epochs 2.0"
    )
    assert plan.all_models == ["new", "checkpoint"]


def test_a_users_file_comes_from_the_working_directory_or_the_workflows(plan_of, tmp_path):
    inputs = Inputs(plan_of())
    (tmp_path / "only-here.tsv").write_text("")
    assert str(inputs.file("only-here.tsv")) == str(tmp_path / "only-here.tsv")
    assert str(inputs.file("nowhere.tsv")) == "nowhere.tsv"


@pytest.mark.parametrize(
    "name", ["a{table}.tsv", "{1}.tsv", "{a,b}/t.tsv", "a{b c}.tsv", "a{b.tsv", "{{a}}.tsv"]
)
def test_a_users_path_with_braces_is_no_wildcard(plan_of, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("the table")
    inputs = Inputs(plan_of())
    for _ in range(2):
        found = IOFile(inputs.file(name)).apply_wildcards({"table": "genes"})
        assert Path(str(found)).read_text() == "the table"


def test_local_files_of_a_model_are_watched(plan_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("raw/bert").mkdir(parents=True)
    Path("raw/bert/config.json").write_text("{}")
    found = Inputs(plan_of()).source_files(of(model="bert"))
    assert [str(path) for path in found] == ["raw/bert/config.json"]


def test_targets_follow_the_config(plan_of):
    plan = plan_of(spaces=["full"], exports=["npy", "tsv"], evaluate={"scores": []},
                   report={"maps": False, "notebooks": False})  # fmt: skip
    targets = Targets(plan, Inputs(plan), None)
    assert targets.exports() == [
        "<results>/bert/genes/full/embeddings.tsv",
        "<results>/bert/relations/full/embeddings.tsv",
    ]
    assert targets.scores() == []
    quality = [
        f"<results>/texts/{table}/quality.{ending}"
        for table in TABLES
        for ending in ("html", "json")
    ]
    assert targets.pages() == [*quality, "<results>/index.html"]


def test_the_index_leads_to_the_page_of_a_fine_tuned_model(plan_of):
    plan = plan_of(models=["new"], finetune={"new": {"from": "checkpoint", "text": "genes"}})
    assert "new/finetune.html" in Targets(plan, Inputs(plan), None).other_files()


def test_memory_grows_with_each_attempt_and_names_are_taken_literally():
    assert grown(100)(of(), 3) == 300
    assert one_of(["a.b", "c"]) == r"a\.b|c"
    assert one_of([]) == "-"
