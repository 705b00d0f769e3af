"""The catalogue of known models, and the verb that lists it."""

from pathlib import Path

import pytest
import yaml
from workflow_run import ROOT

from kgtextvec.disk import count_parameters
from kgtextvec.errors import InputError
from kgtextvec.models.endpoint import check_keys_of_kind
from kgtextvec.models.entry import locations_of
from kgtextvec.models.listing import COLUMNS, catalogue_lines, models, row_of
from kgtextvec.settings.base import read_settings
from kgtextvec.settings.models import Model
from workflow.lib.plan import Plan

CATALOGUE = yaml.safe_load((ROOT / "config/models.yaml").read_text("utf-8"))
BIOBERT = "hub:dmis-lab/biobert-base-cased-v1.1@924f12e0c3db7f156a765ad53fb6b11e7afedbc8"
# A BERT of these dims and a vocabulary of 30,000 words, counted by hand: embeddings, then layers
# of 12 dims^2 weights each.
BERTS = ["SapBERT", "BiomedBERT", "BioLinkBERT-base", "MedCPT-Query-Encoder", "bge-base-en-v1.5",
         "MedCPT-Article-Encoder", "BioLORD-2023", "e5-base-v2", "BioLinkBERT-large"]  # fmt: skip


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_entry_is_complete_and_its_sources_are_well_formed(name):
    entry = read_settings(Model, CATALOGUE[name], f"{name}.")
    check_keys_of_kind(name, entry)
    assert locations_of(name, entry)
    assert entry.dims and entry.parameters and entry.license and entry.citation


@pytest.mark.parametrize("name", BERTS)
def test_the_weights_of_a_bert_follow_from_its_dims(name):
    dims = CATALOGUE[name]["dims"]
    layers = 24 if dims == 1024 else 12
    weights = (30_000 + 512) * dims + layers * 12 * dims**2
    assert abs(CATALOGUE[name]["parameters"] / weights - 1) < 0.05
    assert abs(count_parameters("transformer", dims) / weights - 1) < 0.05


def test_the_list_shows_dims_weights_memory_and_licence(tmp_path, capsys):
    models()
    lines = capsys.readouterr().out.splitlines()
    columns = ["name", "kind", "dims", "weights", "memory", "pooling", "length", "checked"]
    columns += ["source", "license"]
    assert lines[0].split() == columns
    checked = [line.split()[0] for line in lines if "  yes  " in line]
    assert checked == [name for name, entry in CATALOGUE.items() if "sha256" in entry]
    assert [line.split()[0] for line in lines[1:]] == list(CATALOGUE)
    (line,) = [line for line in lines if line.startswith("bge-m3 ")]
    assert "1024" in line and "568 M" in line and "5.0 GB" in line and line.endswith("MIT")
    assert "  its own  8192 " in line
    (tmp_path / "mine.yaml").write_text("mine: {source: 'path:x'}\nbad: {sorce: x}\n")
    with pytest.raises(InputError, match=r"catalogue, bad\.sorce: there is no such key"):
        models(tmp_path / "mine.yaml")


@pytest.mark.parametrize("width", [80, 120, 160])
def test_a_terminal_gets_the_columns_that_it_has_room_for(width):
    rows = [COLUMNS, *(row_of(name, entry) for name, entry in CATALOGUE.items())]
    heading, *lines, last = catalogue_lines(rows, width)
    assert max(map(len, [heading, *lines, last])) <= width
    assert [line.split()[0] for line in lines] == list(CATALOGUE)
    for name in {"name", "dims", "weights", "memory", "checked", "license"}:
        assert name in heading
    assert ("pooling" in heading, "source" in heading) == (width > 100, False)
    assert "source" in last and "less -S" in last
    assert catalogue_lines(rows, 1000) == catalogue_lines(rows, None)


@pytest.mark.parametrize(
    ("given", "name", "source", "prompt"),
    [
        ("intfloat/e5-base-v2", "e5-base-v2", "hub:intfloat/e5-base-v2", "query: "),
        ("dmis-lab/biobert-base-cased-v1.1", "biobert-base-cased-v1.1", BIOBERT, None),
        ("owner/some-model", "some-model", "hub:owner/some-model", None),
        ("owner/some-model@v1.0", "some-model", "hub:owner/some-model@v1.0", None),
        ("hub:owner/some-model@main", "some-model", "hub:owner/some-model@main", None),
    ],
)
def test_a_repository_among_the_models_is_the_catalogues_entry_or_a_new_one(
    tmp_path, monkeypatch, given, name, source, prompt
):
    monkeypatch.chdir(tmp_path)
    tables = {"entities": {"file": "entities.tsv", "kind": "entities"}}
    config = {"tables": tables, "models": [given]}
    plan = Plan(config, ROOT / "config/models.yaml", ROOT, in_conda=False)
    assert plan.models == (name,)
    assert (plan.catalogue[name].source, plan.catalogue[name].prompt) == (source, prompt)


def test_the_page_shows_every_model():
    page = (ROOT / "docs/models.md").read_text("utf-8")
    table = page.split("## The catalogue")[1]
    for name, entry in CATALOGUE.items():
        assert f"| {name} | {entry['dims']} |" in table, name


def test_nothing_is_in_the_catalogue_twice():
    text = Path(ROOT / "config/models.yaml").read_text("utf-8")
    names = [line.rstrip(":") for line in text.splitlines() if line[:1].isalnum()]
    assert sorted(set(names)) == sorted(names) == sorted(CATALOGUE)
