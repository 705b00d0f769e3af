"""Exports in whole runs: aligned to a trainer's ids, for all consumers, only what triples use."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from tiny_models import tiny_bert
from workflow_run import RELATION_TYPES, Project, entities

from kgtextvec.registry import FORMS

N = 24
ROWS = entities(N)
NODES = [f"{row['label']}::{row['id']}" for row in ROWS]
RELATIONS = [name for name, _ in RELATION_TYPES]
# Every other entity, and one that the table lacks.
USED = [*NODES[::2], "Gene::X:999"]
TRIPLES = [(one, RELATIONS[i % 2], other) for i, (one, other) in enumerate(pairwise(USED))]
CONFIG = {
    "tables": {
        "entities": {"file": "entities.tsv", "kind": "entities", "used_by": "triples.tsv"},
        "relation_types": {"file": "relation_types.tsv", "kind": "relation_types"},
        "nothing": None,
    },
    "models": ["cased"],
    "spaces": ["pca8"],
    "exports": ["dglke"],
    "align": {"to": "triples.tsv", "form": "triples", "missing": "mean_of_label"},
    "catalogue": {"cased": {"source": "path:raw/cased"}},
    "evaluate": {"scores": []},
    "report": {"maps": False, "notebooks": False, "max_points": 20},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    project = Project(
        tmp_path_factory.mktemp("a folder") / "it's mine", json.loads(json.dumps(CONFIG))
    )
    tiny_bert(project.folder / "raw/cased")
    project.write_entities(ROWS)
    project.write_relation_types(RELATION_TYPES)
    (project.folder / "triples.tsv").write_text("".join("\t".join(t) + "\n" for t in TRIPLES))
    return project, project.run()


def vectors_of(project, table, space):
    folder = project.folder / f"results/cased/{table}/{space}"
    index = pd.read_parquet(folder / "index.parquet")
    return dict(zip(index["node_id"], np.load(folder / "embeddings.npy"), strict=True))


def test_each_export_is_one_job_and_nothing_is_done_twice(run):
    project, outcome = run
    exports = {name: n for name, n in outcome.jobs.items() if "export" in name or "loader" in name}
    assert exports == {"export_bundle": 1, "export_aligned": 1, "write_loaders": 2}
    assert not project.run().jobs


def test_only_rows_that_the_triples_use_are_embedded(run):
    project, _ = run
    found = json.loads((project.folder / "results/texts/entities/findings.json").read_text())
    used = found["used_by"]
    assert (used["rows_used"], used["rows_unused"], used["ids_without_row"]) == (12, 12, 1)
    assert used["first_ids_without_row"] == ["Gene::X:999"]
    assert list(vectors_of(project, "entities", "pca8")) == NODES[::2]


def test_a_bundle_holds_the_spaces_vectors(run):
    project, _ = run
    space = "pca8"
    folder = project.folder / "results/exports/dglke/cased" / space
    for kind, table, ids_file in (
        ("entity", "entities", "entities.tsv"),
        ("relation", "relation_types", "relations.tsv"),
    ):
        want = vectors_of(project, table, space)
        ids = [line.split("\t")[1] for line in (folder / ids_file).read_text().splitlines()]
        assert ids == list(want)
        np.testing.assert_array_equal(
            np.load(folder / f"cased_{kind}.npy"), np.array(list(want.values()))
        )
    assert f"results/exports/dglke/cased/{space}/" in (folder.parents[1] / "README.md").read_text()


def test_aligned_vectors_follow_the_triples(run):
    project, _ = run
    folder = project.folder / "results/exports/aligned/cased/pca8"
    order = list(dict.fromkeys(one for head, _, tail in TRIPLES for one in (head, tail)))
    want = vectors_of(project, "entities", "pca8")
    found = np.load(folder / "cased_entity.npy")
    for one, vector in zip(order, found, strict=True):
        if one in want:
            np.testing.assert_array_equal(vector, want[one])
    coverage = json.loads((folder / "coverage.json").read_text())
    assert coverage["entities"]["missing_by_label"] == {"Gene": 1}
    assert coverage["relation_types"]["table_rows_unused"] == 1


def test_exports_keep_both_tables_when_a_column_that_is_not_read_changes(run):
    """Nothing but the reading has something to do; what waits for the vectors is up to date."""
    project, _ = run
    path = project.folder / "relation_types.tsv"
    header, *lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([f"{header}\tnew", *(f"{line}\t1" for line in lines)]))
    jobs = project.run().jobs
    assert set(jobs) <= {"read_texts", "write_loaders", "draw_index"} and jobs["read_texts"] == 1
    for form in ("dglke", "aligned"):
        assert {"entities", "relation_types"} <= set(project.manifest(f"exports/{form}/cased/pca8"))


def test_another_policy_redoes_the_alignment_alone(run):
    project, _ = run
    project.config["align"]["scale"] = [-0.02, 0.02]
    assert project.run().jobs == {"export_aligned": 1, "write_loaders": 1}
    found = np.load(project.folder / "results/exports/aligned/cased/pca8/cased_entity.npy")
    assert np.abs(found).max() == pytest.approx(0.02)
    manifest = project.manifest("exports/aligned/cased/pca8")
    assert manifest["scale"]["asked"] == "-0.02,0.02" and manifest["scale"]["factor"] < 1
    shutil.rmtree(project.folder / "results/exports/dglke/cased/pca8")
    assert project.run().jobs == {"export_bundle": 1, "write_loaders": 1}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            {"bundle": {"entities": "relation_types"}},
            "bundle.entities: relation_types is not a table",
        ),
        (
            {"exports": ["biomedgps"], "report": {"layouts": ["tsne"]}},
            "entity2d of biomedgps needs both maps",
        ),
        ({"align": {"to": "triples.tsv"}}, "form"),
        ({"align": {"to": "triples.tsv", "form": "dgl"}}, "dgl"),
        ({"exports": ["dgl"]}, "dgl"),
        (
            {
                "tables": {
                    "a": {"file": "entities.tsv", "kind": "entities"},
                    "b": {"file": "entities.tsv", "kind": "entities"},
                },
                "reduce": {"fit_on": "a"},
            },
            "bundle.entities: say which of a, b",
        ),
    ],
)
def test_what_cant_be_exported_is_told_before_anything_runs(run, tmp_path, change, why):
    mine = Project(tmp_path / "mine", json.loads(json.dumps(CONFIG)) | change)
    outcome = mine.run("--dry-run", ok=False)
    assert outcome.code and why in outcome.text


def test_a_map_that_lacks_ids_stops_the_run_with_one_line(run):
    project, _ = run
    config = project.config
    project.config = config | {"align": {"to": "triples.tsv", "form": "triples"}}
    outcome = project.run(ok=False)
    project.config = config
    assert outcome.code
    log = (project.folder / "logs/exports/aligned/cased/pca8.log").read_text()
    assert log.splitlines()[-1].startswith("ERROR: ") and "Gene::X:999" in log


@pytest.mark.slow
def test_all_exports_at_once(run):
    project, _ = run
    forms = set(FORMS.names())
    project.config = json.loads(json.dumps(CONFIG))
    project.config |= {"exports": sorted(forms), "spaces": ["full", "pca8"]}
    # The same file by another text rule: it stays out of bundles, which hold one of a kind.
    names = {"file": "entities.tsv", "kind": "entities", "text": "{label}: {name}"}
    project.config["tables"]["names"] = names
    project.run()
    assert not project.run().jobs
    exports = project.folder / "results/exports"
    alone = {"npy", "tsv", "parquet"}
    assert {path.name for path in exports.iterdir()} == forms - alone | {"aligned"}
    for form in forms - alone:
        assert (exports / form / "README.md").is_file()
    home = exports / "biomedgps/cased"
    tables = ("entities", "relation_types", "names")
    files = {f"{table}_embeddings_{n}.tsv" for table in tables for n in (8, 32)}
    assert {path.name for path in home.glob("*.tsv")} == files | {"entity2d.tsv"}
    frame = pd.read_csv(home / "entities_embeddings_8.tsv", sep="\t")
    back = np.stack(
        [np.array(cell.split("|"), "S").astype(np.float32) for cell in frame["embedding"]]
    )
    np.testing.assert_array_equal(
        back, np.load(project.folder / "results/cased/entities/pca8/embeddings.npy")
    )
    plane = pd.read_csv(home / "entity2d.tsv", sep="\t")
    assert plane["entity_id"].tolist() == frame["entity_id"].tolist()
    assert plane.notna().all().all()
    assert list(vectors_of(project, "names", "full")) == NODES
    tensors = load_file(exports / "pyg/cased/full/entities.safetensors")
    assert sum(len(tensor) for tensor in tensors.values()) == 12
