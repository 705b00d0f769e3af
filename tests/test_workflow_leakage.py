"""The score leakage in the workflow: texts are masked, embedded through the store, scored."""

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tiny_models import tiny_bert
from workflow_run import Project, entities

N = 60


def users_project(folder: Path, **evaluate) -> Project:
    project = Project(
        folder / "it's mine ü",
        {
            "tables": {
                "entities": {"file": "entities.tsv", "kind": "entities"},
                "names": {"file": "entities.tsv", "kind": "entities", "text": "{name}"},
            },
            "models": ["cased"],
            "spaces": ["pca8"],
            "exports": ["npy"],
            "catalogue": {"cased": {"source": "path:raw/cased"}},
            "evaluate": {"scores": ["leakage"], "triples": "triples.tsv"} | evaluate,
            "report": {"maps": False, "notebooks": False},
        },
    )
    tiny_bert(project.folder / "raw/cased")
    rows = entities(N)
    nodes = [f"{row['label']}::{row['id']}" for row in rows]
    for i, row in enumerate(rows):
        other = rows[(i * 7 + 3) % N]
        other["synonyms"] = f"alias{(i * 7 + 3) % N}|another"
        row["description"] = f"Number {i} binds alias{(i * 7 + 3) % N} and {other['name']}."
    project.write_entities(rows)
    lines = [f"{nodes[i]}\tbinds\t{nodes[(i * 7 + 3) % N]}" for i in range(N)]
    (project.folder / "triples.tsv").write_text("head\trelation\ttail\n" + "\n".join(lines) + "\n")
    return project


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"triples": None}, "leakage needs graph.file"),
        ({"test_triples": "triples.tsv"}, "Leave it or evaluate.test_triples out"),
        ({"tables": "names"}, "needs a table of entities whose text is more than the name"),
        ({"tables": "entities-masked"}, "uses that name. Rename the table"),
    ],
)
def test_what_cannot_be_masked_is_refused_before_anything_runs(tmp_path, change, message):
    tables = change.pop("tables", None)
    project = users_project(tmp_path, **change)
    config = project.config["tables"]
    if tables == "names":
        del config["entities"]
    elif tables:
        config[tables] = dict(config["names"])
    outcome = project.run("--dry-run", ok=False)
    assert outcome.code != 0 and message in outcome.text


@pytest.mark.slow
def test_masked_texts_are_embedded_reduced_and_scored_and_nothing_reruns(tmp_path):
    project = users_project(tmp_path)
    del project.config["tables"]["names"]
    project.config["evaluate"]["scores"] = ["geometry"]
    assert "mask_texts" not in project.run().jobs
    project.config["evaluate"]["scores"] = ["leakage"]
    jobs = project.run().jobs
    assert jobs["mask_texts"] == jobs["read_synonyms"] == 1
    assert (jobs["embed_shard"], jobs["apply_pca"], jobs["evaluate_space"]) == (1, 1, 1)
    results = project.folder / "results"
    shard = pq.read_table(results / "texts/entities-masked/shards")["text"].to_pylist()
    assert "Number 0 binds something and something." in shard
    card = json.loads((results / "cased/entities/pca8/scores.json").read_text())
    own = card["scores"]["leakage"]["all"]["all"]["vectors"]
    assert own["mrr_drop"]["value"] == pytest.approx(
        own["mrr"]["value"] - own["mrr_masked"]["value"], abs=2e-6
    )
    page = (results / "compare.html").read_text("utf-8")
    assert "Leakage" in page and "MRR, names masked" in page
    assert "the names of neighbours masked in the texts" in page
    assert "entities-masked" not in page
    assert project.run().jobs == Counter()


@pytest.mark.slow
def test_texts_without_a_masked_name_are_embedded_once(tmp_path):
    """In one run from nothing: the masked table's job waits for that of the table."""
    project = users_project(tmp_path)
    rows = entities(N)
    for i, row in enumerate(rows):
        row["description"] = (
            f"Number {i} says nothing of {rows[(i * 7 + 3) % N]['name']}."
            if (i < 5)
            else f"Number {i} is alone."
        )
    project.write_entities(rows)
    project.run()
    manifest = project.folder / "results/cased/entities-masked/full/manifest.json"
    counts = json.loads(manifest.read_text())["counts"]
    assert (counts["texts_from_store"], counts["texts_embedded"]) == (N - 5, 10)  # and 5 controls
