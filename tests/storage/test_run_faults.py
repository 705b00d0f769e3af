"""What goes wrong while the workflow runs on object storage costs time, and nothing else."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import SLOW_DOWN, FaultyProxy
from plain_loop import plain_loop
from safetensors.numpy import load
from test_workflow_s3 import launched, objects, tiny_project
from workers import needs_workers, on_workers
from workflow_run import entities

boto3 = pytest.importorskip("boto3", reason="make storage")
pytestmark = [pytest.mark.storage, pytest.mark.timeout(1800)]
SHARDS, TEXTS, PARTS_BEFORE = 20, 400, 5


def keys_of_parts(bucket: str) -> dict[str, set[bytes]]:
    """The keys of the texts in each part of the bucket's store."""
    return {
        name.rpartition("/")[2]: {key.tobytes() for key in load(data)["keys"]}
        for name, data in objects(bucket).items()
        if name.startswith("store/") and name.endswith(".safetensors")
    }


def running(state: Path) -> list[Path]:
    """Files with the process ids of the workers that run."""
    return [path for path in state.glob("*.pid") if not path.with_suffix(".rc").exists()]


@needs_workers
def test_a_worker_killed_in_the_middle_of_20_shards_costs_no_stored_text(
    proxy: FaultyProxy, bucket, tmp_path, installed
):
    """One worker has all shards, and is killed while it stores the fifth; another goes on.

    The model is a list of words: its jobs start in a tenth of the time that PyTorch takes.
    """
    project = tiny_project(tmp_path / "mine", bucket)
    (tmp_path / "words.txt").write_text("gene 1 0 0\nkinase 0 1 0\ndisease 0 0 1\n")
    words = {"kind": "words", "source": f"file:{tmp_path / 'words.txt'}"}
    project.config |= {"models": ["words"], "catalogue": {"words": words}}
    project.config["tables"]["entities"]["shards"] = SHARDS
    project.write_entities(entities(TEXTS))
    state, puts = tmp_path / "state", []

    def kill_at_the_fifth(method: str, path: str, n: int) -> None:
        if method != "PUT" or "/store/" not in path or not path.endswith(".safetensors"):
            return
        puts.append(path.rpartition("/")[2])
        if len(puts) == PARTS_BEFORE:
            (pid,) = [int(one.read_text()) for one in running(state)]
            os.kill(pid, signal.SIGKILL)

    proxy.fault = kill_at_the_fifth
    options = on_workers(project, state, installed)
    options += ["--groups", "embed_shard=all", "--group-components", f"all={SHARDS}"]
    _, text = launched(project, bucket, *options, "--retries", "1")
    assert "137" in {path.read_text().strip() for path in state.glob("*.rc")}, text
    parts = keys_of_parts(bucket)
    # A part has the texts of one shard: none of a part that was stored is embedded again.
    assert set(puts) == set(parts) and len(puts) in (SHARDS, SHARDS + 1)
    assert [len(set().union(*parts.values())), sum(map(len, parts.values()))] == [TEXTS, TEXTS]


def test_a_cut_upload_and_a_minute_of_slow_down_end_no_run(proxy: FaultyProxy, bucket, tmp_path):
    project = tiny_project(tmp_path / "mine", bucket)
    rows = entities(40)
    cut, slowed = [], []

    def cut_then_slow(method: str, path: str, n: int) -> str | tuple[int, bytes] | None:
        if method == "PUT" and path.endswith("/manifest.json") and not cut:
            cut.append(time.monotonic())
            return "cut"
        if cut and time.monotonic() < cut[0] + 60:
            slowed.append(path)
            return SLOW_DOWN
        return None

    proxy.fault = cut_then_slow
    launched(project, bucket)
    assert cut and len(slowed) > 2
    (tmp_path / "made.npy").write_bytes(
        objects(bucket)["run/results/cased/entities/full/embeddings.npy"]
    )
    texts = [row["description"] or row["name"] for row in rows]
    loop = plain_loop(project.folder / "raw/cased", texts, 512)
    made = np.load(tmp_path / "made.npy")
    assert np.abs(made - loop).max() <= 1e-5  # float32, as in test_encoders.py
