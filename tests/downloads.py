"""What the tests of download-model share: servers, a run, and how to look at its record."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from fault_server import FaultServer

from kgtextvec.models.download import download_model

DATA = np.random.default_rng(2).bytes(200_000)
IDENT = "1CHRd5YQrt3ys64WfJkJR1KX72"
HUB = {
    "config.json": b'{"model_type": "bert"}',
    "vocab.txt": b"[PAD]\n[UNK]\n",
    "pytorch_model.bin": DATA,
    "README.md": b"hello",
    "onnx/model.onnx": b"x",
    "flax_model.msgpack": b"y",
}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    for name in ("HF_HUB_OFFLINE", "KGTEXTVEC_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KGTEXTVEC_PATIENCE", "stall=2,first_wait=0.01,longest_wait=0.05,tries=3")
    with FaultServer() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.base)
        monkeypatch.setenv("KGTEXTVEC_GDRIVE", running.base)
        yield running


def run(folder: Path, source, model="m", offline=False, **entry) -> dict:
    out = folder / f"{model}.json"
    download_model(
        model,
        entry=json.dumps({"source": source, **entry}),
        lock=folder / "models.lock.yaml",
        downloads=folder / "downloads",
        out=out,
        offline=offline,
    )
    return json.loads(out.read_text())


def content(record: dict) -> dict[str, bytes]:
    found = {file["name"]: Path(file["path"]).read_bytes() for file in record["files"]}
    for file in record["files"]:
        assert (file["sha256"], file["bytes"]) == (
            sha(found[file["name"]]),
            len(found[file["name"]]),
        )
    return found


def locked(folder: Path) -> dict:
    return yaml.safe_load((folder / "models.lock.yaml").read_text())
