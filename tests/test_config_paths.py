"""No file that the config names is missing unnoticed: every key of settings/ that holds a path."""

import sys
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest
import yaml
from workflow_run import ROOT

from kgtextvec.errors import InputError
from kgtextvec.settings.config import Config
from kgtextvec.settings.docs import rows_of

sys.path.insert(0, str(ROOT / "workflow"))
from lib.checks import check_files
from lib.plan import Plan

TABLES = {
    "entities": {"file": "small.tsv", "kind": "entities"},
    "relation_types": {"file": "rel.tsv", "kind": "relation_types"},
}
GOOD = {"tables": TABLES, "models": ["all-MiniLM-L6-v2"], "spaces": ["full"]}
MADE_BY_THE_RUN = {"store", "downloads", "lock"}
NO = "none/such"
NER = {"train": "small.tsv", "test": "small.tsv", "dev": "small.tsv"}
GENES = {"sentences": "small.tsv", "genes": "small.tsv", "alternatives": "small.tsv"}
TUNED = {"from": "bioelmo-checkpoint", "text": "entities"}


def table(**more: str) -> dict:
    return {"tables": TABLES | {"entities": TABLES["entities"] | more}}


def probe(kind: str, part: str, value: object) -> dict:
    return {"probe": {kind: NER | {part: value}}}


def source(value: object) -> dict:
    return {"models": ["my"], "catalogue": {"my": {"source": value, "kind": "elmo"}}}


# One config for each key, with a file that is not there.
CONFIGS: dict[str, dict] = {
    "tables.NAME.file": table(file=NO),
    "tables.NAME.header_file": table(header_file=NO),
    "tables.NAME.used_by": table(used_by=NO),
    "graph.file": {"graph": {"file": NO}},
    "align.to": {"align": {"to": ["small.tsv", NO], "form": "dglke"}},
    "evaluate.triples": {"evaluate": {"triples": NO}},
    "evaluate.test_triples": {"evaluate": {"triples": "small.tsv", "test_triples": NO}},
    "finetune.NAME.text": {"finetune": {"my": TUNED | {"text": NO}}},
    "finetune.NAME.held_out": {"finetune": {"my": TUNED | {"held_out": NO}}},
    **{
        f"probe.{kind}.{part}": probe(kind, part, NO)
        for kind in ("ner", "nli")
        for part in ("train", "dev", "test")
    },
    **{
        f"probe.ner.{part}.{file}": probe("ner", part, GENES | {file: NO})
        for part in ("train", "dev", "test")
        for file in GENES
    },
    "image": {"image": f"{NO}.sif"},
    # Addresses, which may be paths.
    "catalogue.NAME.source": source(f"path:{NO}"),
    "catalogue.NAME.source, a file": source({"weights.hdf5": f"file:{NO}"}),
}


def keys_of_paths() -> Iterator[str]:
    """The keys of the settings whose values are paths, as their types say."""
    for key, setting in rows_of(Config):
        hint = get_type_hints(setting.owner, include_extras=True)[setting.attribute]
        if holds_path(hint):
            yield key


def holds_path(hint: Any) -> bool:
    marks = [getattr(one, "extra", None) or {} for one in getattr(hint, "__metadata__", ())]
    inner = [one for one in get_args(hint) if not isinstance(one, str)]
    return any("is_path" in one for one in marks) or any(holds_path(one) for one in inner)


def test_every_key_that_names_a_file_has_a_config_here():
    here = {key.partition(",")[0] for key in CONFIGS} - {"catalogue.NAME.source"}
    assert set(keys_of_paths()) - MADE_BY_THE_RUN == here


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("key", CONFIGS)
def test_a_file_that_is_not_there_is_reported_with_its_key(tmp_path, monkeypatch, key, finished):
    """Also when all results are there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.tsv").write_text("id\tlabel\tname\nX:1\tGene\tone\n")
    (tmp_path / "rel.tsv").write_text("relation_type\tdescription\ntreats\tIt treats.\n")
    if finished:
        for made in ("texts/entities", "all-MiniLM-L6-v2/entities/full"):
            (tmp_path / "results" / made).mkdir(parents=True)
            (tmp_path / "results" / made / "manifest.json").write_text("{}")
    config = yaml.safe_load(yaml.safe_dump(GOOD | CONFIGS[key]))
    parts = [part for part in key.partition(",")[0].split(".") if part != "NAME"]
    named = r"\b.*\b".join(parts[:3])
    with pytest.raises(InputError, match=rf"\b{named}\b.*{NO}.*: no such file\.") as caught:
        check_files(Plan(config, ROOT / "config/models.yaml", ROOT, in_conda=False))
    assert "\n" not in str(caught.value)


def test_these_configs_are_right_but_for_that_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("small.tsv", "rel.tsv", NO, f"{NO}.sif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("id\tlabel\tname\nX:1\tGene\tone\n")
    for config in CONFIGS.values():
        check_files(Plan(GOOD | config, ROOT / "config/models.yaml", ROOT, in_conda=False))
