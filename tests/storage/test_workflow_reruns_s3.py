"""Reruns on object storage: an edit costs one text, and two runs at once share a store."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import SECRET
from safetensors.numpy import load
from test_workflow_s3 import digests, kgtextvec_run, launched, objects, tiny_project
from workflow_run import ROOT, Project, entities

boto3 = pytest.importorskip("boto3", reason="make storage")
pytestmark = [pytest.mark.storage, pytest.mark.timeout(1800)]


@pytest.fixture
def project(bucket, tmp_path) -> Project:
    return tiny_project(tmp_path / "mine", bucket)


def keys_of_parts(bucket: str) -> list[bytes]:
    """The keys in all parts of the bucket's store, as often as they were written."""
    return [
        key.tobytes()
        for name, data in objects(bucket).items()
        if name.endswith(".safetensors") and name.startswith("store/")
        for key in load(data)["keys"]
    ]


def manifest(bucket: str) -> dict:
    found = objects(bucket)
    (name,) = [name for name in found if name.endswith("/entities/full/manifest.json")]
    return json.loads(found[name])


def test_an_edit_costs_one_text(project, bucket):
    launched(project, bucket)
    assert manifest(bucket)["counts"]["texts_embedded"] == 40
    before = digests(objects(bucket))
    assert not launched(project, bucket)[0]
    rows = entities(40)
    rows[7]["description"] = "Another description of this one."
    project.write_entities(rows)
    launched(project, bucket)
    made = manifest(bucket)["counts"]
    assert (made["texts_embedded"], made["texts_from_store"]) == (1, 39)
    assert digests(objects(bucket)) != before
    assert len(keys_of_parts(bucket)) == len(set(keys_of_parts(bucket))) == 41


def test_a_table_in_a_bucket_is_read_and_a_newer_object_costs_one_text(bucket, tmp_path):
    """With results in the bucket and on this disk; the converted model is kept with the results."""
    project, rows = words_project(tmp_path / "mine", bucket), entities(40)
    upload(project, bucket, rows)
    runs = {
        "there": lambda: launched(project, bucket)[0],
        "here": lambda: kgtextvec_run(project)[0],
    }
    for run in runs.values():
        assert run()["gather_shards"] == 1
        assert not run()
    rows[7]["description"] = "Another description of this one."
    upload(project, bucket, rows)
    for where, run in runs.items():
        assert run()["read_texts"] == 1, where
    here = project.manifest("words", "entities", "full")
    assert manifest(bucket)["vectors_xxh3"] == here["vectors_xxh3"]
    assert manifest(bucket)["counts"]["texts_embedded"] == 1
    assert here["counts"]["texts_embedded"] == 0, "the store in the bucket has it"
    assert any(name.startswith("run/resources/models/words/") for name in objects(bucket))


def words_project(folder: Path, bucket: str) -> Project:
    """A project whose model is a list of words, and whose table is in the bucket."""
    project = tiny_project(folder, bucket)
    (folder / "words.txt").write_text("gene 1 0 0\nkinase 0 1 0\ndisease 0 0 1\n")
    words = {"kind": "words", "source": f"file:{folder / 'words.txt'}"}
    project.config |= {"models": ["words"], "catalogue": {"words": words}}
    project.config["tables"]["entities"]["file"] = f"s3://{bucket}/in/entities.tsv"
    return project


def upload(project: Project, bucket: str, rows: list[dict]) -> None:
    """Put a table into the bucket, and leave none on this disk."""
    project.write_entities(rows)
    path = project.folder / "entities.tsv"
    boto3.client("s3", region_name="us-east-1").upload_file(str(path), bucket, "in/entities.tsv")
    path.unlink()


def start(project: Project, bucket: str, prefix: str = "run") -> subprocess.Popen:
    """Start kgtextvec run in a process group of its own."""
    (project.folder / "config.yaml").write_text(yaml.safe_dump(project.config))
    return subprocess.Popen(
        [
            sys.executable, "-m", "kgtextvec", "run", "--cores", "2",
            "--default-storage-provider", "s3", "--default-storage-prefix", f"s3://{bucket}/{prefix}",
            "--storage-s3-endpoint-url", os.environ["AWS_ENDPOINT_URL"],
        ],
        cwd=project.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )  # fmt: skip


def test_two_runs_at_once_share_a_store(project, bucket, tmp_path):
    other = tiny_project(tmp_path / "other", bucket)
    runs = [start(project, bucket, "one"), start(other, bucket, "two")]
    texts = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], texts[0][-2000:] + texts[1][-2000:]
    found = objects(bucket)
    one, two = (
        digests({name: data for name, data in found.items() if name.startswith(prefix)})
        for prefix in ("one/", "two/")
    )
    assert one == two and one
    # Equal parts have equal names, so texts that both embedded are there once.
    assert len(set(keys_of_parts(bucket))) == 40
    assert not any(SECRET in text for text in texts)
