"""Which device runs a job, and what is asked of it; without one, by what torch says of it."""

import json
import os
from hashlib import sha256

import elmo_models
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from kgtextvec import neighbours
from kgtextvec.batches import MOST_TEXTS, plan_packs
from kgtextvec.device import choose_cuda_or_cpu, choose_device
from kgtextvec.embed.shard import embed_shard
from kgtextvec.models.convert import convert_model
from kgtextvec.neighbours import nearest_in_pool
from kgtextvec.settings.models import Embed


@pytest.fixture
def mac(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)


@pytest.mark.parametrize("choose", [choose_device, lambda asked: choose_cuda_or_cpu(asked, 1e15)])
def test_float32_is_multiplied_in_float32_on_cuda(monkeypatch, choose):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    assert choose("auto") == "cuda"
    assert not torch.backends.cuda.matmul.allow_tf32 and not torch.backends.cudnn.allow_tf32
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"


def test_a_mac_runs_what_it_can(mac):
    assert choose_device("auto") == "mps"
    assert choose_device("auto", runs_on_mps=False) == "cpu"
    assert choose_device("mps", runs_on_mps=False) == "cpu"
    assert choose_cuda_or_cpu("auto", 1e15) == choose_cuda_or_cpu("mps", 1e15) == "cpu"


@pytest.mark.parametrize("asked", ["auto", "mps"])
def test_an_elmo_on_a_mac_takes_the_cpu(tmp_path, mac, asked):
    """It sums in float64, which Apple's GPUs do not have."""
    options = elmo_models.KINDS["plain"]
    raw = tmp_path / "raw"
    weights, options = elmo_models.write(
        raw, options, elmo_models.elmo_oracle.random_weights(options, 0)
    )
    model = tmp_path / "model"
    convert_model(out=model, kind="elmo", weights=weights, options=options, model="e")
    text = "a gene"
    key = sha256(text.encode()).hexdigest()
    pq.write_table(pa.table({"text_sha256": [key], "text": [text]}), tmp_path / "texts.parquet")
    out = tmp_path / "out.npy"
    embed_shard(
        tmp_path / "texts.parquet",
        model=model,
        store=str(tmp_path / "store"),
        out=out,
        embed=Embed(device=asked),
    )
    assert json.loads(out.with_suffix(".json").read_text())["device"] == "cpu"
    assert np.load(out).any()


def test_a_pool_is_copied_to_the_device_once(monkeypatch):
    """However many blocks of queries there are."""
    copies, blocks = [], []
    copied, dense = neighbours.copied_to, neighbours.nearest_dense
    monkeypatch.setattr(
        neighbours, "copied_to", lambda device, of: copies.append(len(of)) or copied(device, of)
    )
    monkeypatch.setattr(
        neighbours, "nearest_dense", lambda *of: blocks.append(len(of[0])) or dense(*of)
    )
    monkeypatch.setattr(neighbours, "COSINES_AT_ONCE", 60 * 7)
    vectors = np.random.default_rng(0).normal(size=(90, 6)).astype(np.float32)
    assert nearest_in_pool(vectors, np.arange(50), np.arange(60), 3).shape == (50, 3)
    assert copies == [60] and blocks == [7] * 7 + [1]


def test_a_pack_has_no_more_texts_than_a_kernel_takes():
    """CUDA's grids end at 65,535."""
    packs = plan_packs(np.ones(150_000, dtype=np.int64), 1_000_000)
    assert [len(pack) for pack in packs] == [MOST_TEXTS] * 4 + [150_000 - 4 * MOST_TEXTS]
    assert MOST_TEXTS < 65_536
