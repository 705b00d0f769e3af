"""The workflow as a user runs it: real Snakemake, real jobs, from a folder of one's own."""

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from plain_loop import plain_loop
from tiny_models import tiny_bert, tiny_electra
from workflow_run import RELATION_TYPES, ROOT, Project, entities

from kgtextvec.files import sha256_of
from kgtextvec.records import read_unedited, write_record

N = 40
SPACE_JOBS = {"export_table": 2}


def base_config() -> dict:
    return {
        "tables": {
            "entities": {"file": "entities.tsv", "kind": "entities", "shards": 2},
            "relation_types": {"file": "relation_types.tsv", "kind": "relation_types"},
        },
        "models": ["cased"],
        "spaces": ["full", "pca8"],
        "catalogue": {"cased": {"source": "path:raw/cased"}, "other": {"source": "path:raw/other"}},
        "evaluate": {"scores": []},
        "report": {"maps": False, "notebooks": False},
    }


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    """One whole run that the tests below copy, each for an edit of its own."""
    project = Project(tmp_path_factory.mktemp("users folder") / "it's mine ü", base_config())
    tiny_bert(project.folder / "raw/cased")
    tiny_electra(project.folder / "raw/other", seed=1)
    project.write_entities(entities(N))
    project.write_relation_types(RELATION_TYPES)
    return project, project.run()


@pytest.fixture
def project(first_run, tmp_path):
    """The finished project, at the very same place: Snakemake remembers paths."""
    original, _ = first_run
    kept = tmp_path / "kept"
    shutil.copytree(original.folder, kept, symlinks=True)
    original.config = base_config()
    yield original
    shutil.rmtree(original.folder)
    shutil.copytree(kept, original.folder, symlinks=True)


def test_the_first_run_does_every_job_once(first_run):
    _, outcome = first_run
    assert outcome.jobs == {
        "download_model": 1,
        "unpack_model": 1,
        "convert_model": 1,
        "read_texts": 2,
        "embed_shard": 3,
        "gather_shards": 2,
        "fit_pca": 1,
        "apply_pca": 2,
        "export_table": 8,
        "draw_quality": 2,
        "draw_index": 1,
    }


def test_vectors_are_those_of_the_plain_loop(first_run):
    project, _ = first_run
    rows = entities(N)
    texts = [row["description"] or row["name"] for row in rows]
    expected = plain_loop(project.folder / "resources/models/cased", texts, 512)
    vectors = np.load(project.folder / "results/cased/entities/full/embeddings.npy")
    assert vectors.dtype == np.float32
    assert np.abs(vectors - expected).max() <= 1e-5


def test_rows_are_in_the_tables_order(first_run):
    project, _ = first_run
    for space in ("full", "pca8"):
        index = pd.read_parquet(project.folder / f"results/cased/entities/{space}/index.parquet")
        assert index["node_id"].tolist() == [f"{r['label']}::{r['id']}" for r in entities(N)]
    index = pd.read_parquet(project.folder / "results/cased/relation_types/full/index.parquet")
    assert index["relation_type"].tolist() == [name for name, _ in RELATION_TYPES]


def test_both_tables_share_one_basis(first_run):
    """Relation types are projected on the entities' PCA: (x - mean) times the components."""
    project, _ = first_run
    pca = np.load(project.folder / "results/cased/pca8.npz")
    for table in ("entities", "relation_types"):
        folder = project.folder / f"results/cased/{table}"
        full = np.load(folder / "full/embeddings.npy").astype(np.float64)
        reduced = np.load(folder / "pca8/embeddings.npy")
        assert np.abs((full - pca["mean"]) @ pca["components"].T - reduced).max() <= 1e-5


def test_two_rows_with_one_text_cost_one_pass(first_run, tmp_path):
    rows = entities(6)
    for row in rows[3:]:
        row["description"] = rows[1]["description"]
    mine = Project(tmp_path / "twins", base_config() | {"spaces": ["full"]})
    del mine.config["tables"]["relation_types"]
    shutil.copytree(first_run[0].folder / "raw", mine.folder / "raw")
    mine.write_entities(rows)
    mine.run()
    assert mine.manifest("cased/entities/full")["counts"]["texts_embedded"] == 3
    assert mine.n_stored() == 3
    vectors = np.load(mine.folder / "results/cased/entities/full/embeddings.npy")
    assert len(vectors) == 6
    assert all(np.array_equal(vectors[i], vectors[1]) for i in (3, 4, 5))


def test_a_missing_file_is_noticed_after_a_finished_run_too(project):
    project.config["tables"]["entities"]["file"] = "entitis.tsv"
    outcome = project.run(ok=False)
    assert outcome.code == 2
    assert "tables.entities.file: entitis.tsv: no such file. Did you mean" in outcome.text
    assert not outcome.jobs


def test_nothing_is_done_twice(project):
    assert project.run().jobs == Counter()


def test_another_model_costs_its_own_jobs(project):
    project.config["models"] = ["cased", "other"]
    before = project.n_stored()
    outcome = project.run()
    assert outcome.jobs == {
        "download_model": 1,
        "unpack_model": 1,
        "convert_model": 1,
        "embed_shard": 3,
        "gather_shards": 2,
        "fit_pca": 1,
        "apply_pca": 2,
        "export_table": 8,
        "draw_index": 1,
        "draw_quality": 2,  # the page that tells of a table under all models
    }
    assert project.n_stored() == 2 * before


def test_another_number_of_dims_redoes_what_is_reduced(project):
    project.config["spaces"] = ["full", "pca4"]
    before = project.n_stored()
    jobs = {"fit_pca": 1, "apply_pca": 2, "export_table": 4, "draw_index": 1}
    assert project.run().jobs == jobs
    assert project.n_stored() == before


def test_five_edited_descriptions_embed_five_texts(project):
    rows = entities(N)
    for i in (1, 8, 9, 20, 33):
        rows[i]["description"] += " edited"
    before = project.n_stored()
    project.write_entities(rows)
    outcome = project.run()
    assert project.n_stored() - before == 5
    assert project.manifest("cased/entities/full")["counts"]["texts_embedded"] <= 5
    assert outcome.jobs["download_model"] + outcome.jobs["convert_model"] == 0
    vectors = np.load(project.folder / "results/cased/entities/full/embeddings.npy")
    texts = [row["description"] or row["name"] for row in rows]
    expected = plain_loop(project.folder / "resources/models/cased", texts, 512)
    assert np.abs(vectors - expected).max() <= 1e-5


def test_an_edit_of_one_table_leaves_the_other_alone(project):
    project.write_relation_types(RELATION_TYPES[:2])
    outcome = project.run()
    assert outcome.jobs["fit_pca"] == 0
    assert outcome.jobs["embed_shard"] == 1
    assert outcome.jobs["export_table"] == 4


def test_a_synonym_that_is_not_embedded_costs_no_forward_pass(project):
    rows = entities(N)
    rows[3]["synonyms"] = "another"
    before = project.n_stored()
    project.write_entities(rows)
    outcome = project.run()
    assert project.n_stored() == before
    assert outcome.jobs["embed_shard"] == 0


def test_touched_files_change_nothing(project):
    for path in [*ROOT.rglob("*.smk"), *(ROOT / "src").rglob("*.py"), ROOT / "Snakefile"]:
        os.utime(path)
    for path in (project.folder / "entities.tsv", project.folder / "relation_types.tsv"):
        os.utime(path)
    assert project.run().jobs == Counter()


@pytest.mark.parametrize("has_both", [True, False])
def test_results_whose_vectors_an_earlier_version_knew_by_their_sha256_are_up_to_date(
    project, has_both
):
    """Its manifests and Snakemake's records of params had the sha256; the others' dates stay."""
    renamed = {}
    for path in project.folder.glob("results/*/*/*/manifest.json"):
        dates = path.stat().st_atime_ns, path.stat().st_mtime_ns
        manifest = read_unedited(path)
        digest = sha256_of(path.with_name("embeddings.npy"))
        renamed[manifest["vectors_xxh3"][:16]] = digest[:16]
        if not has_both:
            del manifest["vectors_xxh3"]
        write_record(path, manifest | {"vectors_digest": digest})
        os.utime(path, ns=dates)
    records = [path for path in project.folder.glob(".snakemake/metadata/*") if path.is_file()]
    before = {path: path.read_text() for path in records}
    for path, text in before.items():
        for new, old in renamed.items():
            text = text.replace(new, old)
        path.write_text(text)
    assert sum(path.read_text() != text for path, text in before.items()) >= 5
    assert project.run().jobs == Counter()


def test_results_without_digests_of_pages_are_not_made_again_but_follow_the_config(project):
    """Earlier versions declared no digests as outputs; Snakemake would ignore changed params."""
    found = project.page_digests()
    assert {Path(path).name for path in found} == {".quality.html.sha256", ".index.html.sha256"}
    for path, record in found.items():
        (project.folder / path).unlink()
        record.unlink()
    outcome = project.run()
    assert outcome.jobs == Counter()
    assert "metadata" not in outcome.text
    project.config["exports"] = ["npy", "tsv"]
    assert project.run().jobs == {"draw_index": 1}
    assert list(project.page_digests()) == ["results/.index.html.sha256"]


@pytest.mark.parametrize(
    ("name", "jobs"),
    [
        ("cased/entities/pca8/embeddings.tsv", {"export_table": 1}),
        ("cased/entities/full/embeddings.parquet", {"export_table": 1}),
        ("cased/relation_types/pca8/embeddings.npy", {"apply_pca": 1, "draw_index": 1}),
        ("cased/pca8.npz", {"fit_pca": 1}),
        (
            "cased/entities/full/embeddings.npy",
            {"embed_shard": 2, "gather_shards": 1, "draw_index": 1},
        ),
        ("texts/entities/quality.html", {"draw_quality": 1, "draw_index": 1}),
        ("index.html", {"draw_index": 1}),
    ],
)
def test_a_deleted_result_comes_back_alone(project, name, jobs):
    path = project.folder / "results" / name
    before, stored = path.read_bytes(), project.n_stored()
    path.unlink()
    assert project.run().jobs == jobs
    assert path.read_bytes() == before
    assert project.n_stored() == stored


def test_other_shards_take_their_vectors_from_the_store(project):
    before = np.load(project.folder / "results/cased/entities/full/embeddings.npy")
    stored = project.n_stored()
    project.config["tables"]["entities"]["shards"] = 5
    outcome = project.run()
    assert outcome.jobs["embed_shard"] == 5
    assert outcome.jobs["fit_pca"] == 0, "the vectors are the same"
    assert project.n_stored() == stored
    assert np.array_equal(
        np.load(project.folder / "results/cased/entities/full/embeddings.npy"), before
    )


def test_another_pooling_embeds_anew(project):
    project.config["catalogue"]["cased"]["pooling"] = "cls"
    outcome = project.run()
    assert outcome.jobs["embed_shard"] == 3
    assert outcome.jobs["convert_model"] == 0
    assert outcome.jobs["fit_pca"] == 1


def test_device_and_batch_size_are_no_reason_to_rerun(project):
    project.config["embed"] = {"device": "cpu", "batch_tokens": 2048}
    assert project.run().jobs == Counter()


def test_the_server_imports_what_models_need_before_their_jobs_if_there_will_be_any(
    project, tmp_path
):
    """Each run here ends before its first job, with what its server would import at once."""
    (tmp_path / "Snakefile").write_text(
        f"include: {str(ROOT / 'Snakefile')!r}\n"
        "onstart:\n"
        "    print('soon:', *verbs_to_come(workflow.dag, plan), flush=True)\n"
        "    os._exit(0)\n"
        "import os\n"
        "from kgtextvec_workflow.jobs import verbs_to_come\n"
    )
    project.root = tmp_path

    def soon(*words: str) -> list[str]:
        text = project.run("--nolock", *words).text
        return next(line for line in text.splitlines() if line.startswith("soon:")).split()[1:]

    project.config["spaces"] = ["full", "pca6"]
    assert soon("all") == []  # vectors are there
    project.config["models"] = ["cased", "other"]
    assert soon("all") == ["embed-shard"]
    project.config["models"] = ["cased"]
    rows = entities(N)
    rows[3]["description"] = "another one"
    project.write_entities(rows)
    assert soon("all") == ["embed-shard"]  # shards are known once the table has been read
    assert soon("results/texts/entities/quality.html") == ["embed-shard"]
    assert soon("results/texts/entities/manifest.json") == []
    project.root = ROOT


def test_a_typo_in_the_config_names_the_key(project):
    project.config["modelz"] = []
    outcome = project.run(ok=False)
    assert outcome.code
    assert "modelz" in outcome.text


def test_an_unknown_model_is_told(project):
    project.config["models"] = ["biobret"]
    outcome = project.run(ok=False)
    assert "biobret is not in the catalogue" in outcome.text


def test_a_fault_in_a_table_stops_before_any_model(first_run, tmp_path):
    mine = Project(tmp_path / "faulty", base_config())
    shutil.copytree(first_run[0].folder / "raw", mine.folder / "raw")
    rows = entities(5)
    rows[2]["description"] = rows[2]["name"] = ""
    mine.write_entities(rows)
    mine.write_relation_types(RELATION_TYPES)
    outcome = mine.run(ok=False)
    assert outcome.code
    assert outcome.jobs["embed_shard"] == 0
    log = (mine.folder / "logs/texts/entities/read_texts.log").read_text()
    assert "line 4 (X:2) has no text" in log
