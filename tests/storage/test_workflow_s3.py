"""The workflow on object storage: a worker that sees no shared disk, reruns, inputs by URL."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml
from conftest import SECRET, free_port
from tiny_models import tiny_bert
from workers import needs_workers, on_workers
from workflow_run import RELATION_TYPES, ROOT, Project, entities

boto3 = pytest.importorskip("boto3", reason="make storage")
pytestmark = [pytest.mark.storage, pytest.mark.timeout(1800)]
SAMPLE = ROOT / "resources/sample"


class Web(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def web(tmp_path):
    """A web server with a folder."""
    folder = tmp_path / "web"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: Web(*args, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def kgtextvec_run(project: Project, *words: str) -> tuple[Counter, str]:
    """Run `kgtextvec run` in the project's folder; finished jobs and output."""
    (project.folder / "config.yaml").write_text(yaml.safe_dump(project.config))
    done = subprocess.run(
        [sys.executable, "-m", "kgtextvec", "run", "--cores", "2", *words],
        cwd=project.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-6000:]
    return Counter(re.findall(r"^\[ *\d+/\d+\] (\w+)", text, re.MULTILINE)), text


def launched(project: Project, bucket: str, *words: str) -> tuple[Counter, str]:
    """Run kgtextvec_run with everything in the bucket."""
    return kgtextvec_run(
        project, "--default-storage-provider", "s3",
        "--default-storage-prefix", f"s3://{bucket}/run",
        "--storage-s3-endpoint-url", os.environ["AWS_ENDPOINT_URL"], *words,
    )  # fmt: skip


def objects(bucket: str) -> dict[str, bytes]:
    client = boto3.client("s3", region_name="us-east-1")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {
        one["Key"]: client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
        for page in pages
        for one in page.get("Contents", [])
    }


def digests(found: dict[str, bytes]) -> dict[str, str]:
    return {
        key.partition("results/")[2]: yaml.safe_load(data)["vectors_xxh3"]
        for key, data in found.items()
        if key.endswith("manifest.json") and "/texts/" not in key
    }


def project_with(folder: Path, table: str) -> Project:
    config = {
        "tables": {
            "entities": {"file": table, "kind": "entities", "shards": 2},
            "relation_types": {"file": "relation_types.tsv", "kind": "relation_types"},
        },
        "models": ["all-MiniLM-L6-v2"],
        "spaces": ["full", "pca64"],
        "exports": ["npy"],
        "evaluate": {"scores": []},
        "report": {"maps": False, "notebooks": False},
    }
    project = Project(folder, config)
    project.write_relation_types(RELATION_TYPES)
    return project


def tiny_project(folder: Path, bucket: str) -> Project:
    """A project of 40 entities and a made-up model, its store in the bucket."""
    project = project_with(folder, "entities.tsv")
    del project.config["tables"]["relation_types"]
    project.config |= {
        "models": ["cased"],
        "catalogue": {"cased": {"source": "path:raw/cased"}},
        "spaces": ["full"],
        "store": f"s3://{bucket}/store",
    }
    tiny_bert(folder / "raw/cased")
    project.write_entities(entities(40))
    return project


@needs_workers
def test_a_worker_without_the_shared_disk_and_without_a_checkout(bucket, tmp_path, web, installed):
    """It makes the demo's vectors of one machine, with the package from a wheel; then nothing."""
    folder, address = web
    here = project_with(tmp_path / "here", str(SAMPLE / "entities.tsv"))
    shutil.copy(SAMPLE / "relation_types.tsv", here.folder)
    here.run("results/all-MiniLM-L6-v2/entities/pca64/manifest.json",
             "results/all-MiniLM-L6-v2/relation_types/pca64/manifest.json")  # fmt: skip
    shutil.copy(SAMPLE / "entities.tsv", folder)
    remote = project_with(tmp_path / "remote", f"{address}/entities.tsv")
    shutil.copy(SAMPLE / "relation_types.tsv", remote.folder)
    remote.config["store"] = f"s3://{bucket}/store"
    words = on_workers(remote, tmp_path / "state", installed)
    jobs, text = launched(remote, bucket, *words)
    assert jobs["embed_shard"] == 3 and jobs["share_file"] == 2
    made = objects(bucket)
    expected = {
        str(path.relative_to(here.folder / "results")): here.manifest(
            *path.relative_to(here.folder / "results").parent.parts
        )["vectors_xxh3"]
        for path in (here.folder / "results").glob("*/*/*/manifest.json")
    }
    assert digests(made) == expected
    assert not any(SECRET.encode() in data for data in made.values())
    assert SECRET not in text
    for path in remote.folder.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
    assert not launched(remote, bucket, *words)[0]


@pytest.mark.parametrize(
    ("name", "env", "message"),
    [
        ("not-there", {}, "there is no such bucket; create it, or correct the name."),
        ("", {"AWS_ACCESS_KEY_ID": ""}, "no credentials for S3. Set AWS_ACCESS_KEY_ID and"),
        (
            "",
            {"AWS_ENDPOINT_URL": "closed"},
            "the server cannot be reached; check AWS_ENDPOINT_URL",
        ),
    ],
)
def test_a_bucket_that_cannot_be_used_is_one_line(
    bucket, tmp_path, monkeypatch, name, env, message
):
    for key, value in env.items():
        if value:
            monkeypatch.setenv(key, f"http://127.0.0.1:{free_port()}")
        else:
            monkeypatch.delenv(key)
    project = project_with(tmp_path / "mine", "entities.tsv")
    (project.folder / "config.yaml").write_text(yaml.safe_dump(project.config))
    url = f"s3://{name or bucket}/run"
    words = ["--default-storage-provider", "s3", "--default-storage-prefix", url]
    done = subprocess.run(
        [sys.executable, "-m", "kgtextvec", "run", "-n", *words],
        cwd=project.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"ERROR: {url}: {message}") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("gs://bucket/entities.tsv", "pip install snakemake-storage-plugin-gcs"),
        ("ftp://server/entities.tsv", "only https://… and s3://…, gs://… can be read"),
    ],
)
def test_a_url_that_cannot_be_read_is_named_with_its_key(tmp_path, table, message):
    project = project_with(tmp_path / "mine", table)
    done = project.run("-n", ok=False)
    assert done.code == 2
    assert f"config, tables.entities.file: {table}: " in done.text
    assert message in done.text
