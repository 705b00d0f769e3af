"""What does not fit into memory is halved, whatever kind of error says so."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from plain_loop import plain_loop
from tiny_models import as_converted, tiny_bert, tiny_mpnet

from kgtextvec.encoders import EncoderSettings
from kgtextvec.encoders.memory import model_fits
from kgtextvec.encoders.transformer.encoder import TransformerEncoder
from kgtextvec.encoders.transformer.fused import with_fused_norms
from kgtextvec.encoders.transformer.prepack import sample_output
from kgtextvec.errors import InputError

TEXTS = ["TP53", "x", "disease " * 40, "protein kinase " * 300, "acute disease of the brain"]
TOLERANCE = 1e-5


@pytest.fixture(scope="module", params=[tiny_bert, tiny_mpnet], ids=["packed", "padded"])
def folder(request, tmp_path_factory) -> Path:
    """A tiny model as convert-model saves it."""
    return as_converted(request.param(tmp_path_factory.mktemp("model") / "raw"))


def make(folder: Path, **settings) -> TransformerEncoder:
    return TransformerEncoder(folder, EncoderSettings(**{"max_tokens": 64} | settings))


def encoded(encoder: TransformerEncoder, texts: list[str]) -> np.ndarray:
    vectors = np.empty((len(texts), encoder.dims), np.float32)
    for part in encoder.encode(texts):
        vectors[part.rows] = part.vectors
    return vectors


class Greedy:
    """A device with room for so many tokens a batch, and no more."""

    def __init__(
        self, run, room: int, error: Exception = torch.OutOfMemoryError("no room")
    ) -> None:
        self.run, self.room, self.error = run, room, error

    def __getattr__(self, name):
        return getattr(self.run, name)

    def __call__(self, pieces, batch):
        if self.run.cost(pieces.lengths[batch]) > self.room:
            raise self.error
        return self.run(pieces, batch)


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("no room"),
    MemoryError(),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    torch.AcceleratorError("CUDA error: out of memory"),
    RuntimeError("MPS backend out of memory (MPS allocated: 8 GB, max allowed: 9 GB)."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:98] DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("ahead", [1, 3])
def test_run_oom_halves_the_batch(folder, capfd, ahead):
    encoder = make(folder, batch_tokens=2000)
    encoder.run, encoder.ahead = Greedy(encoder.run, room=80), ahead
    exact = plain_loop(folder, TEXTS * 3, 64)
    assert np.abs(encoded(encoder, TEXTS * 3) - exact).max() <= TOLERANCE
    assert "batch halved" in capfd.readouterr().err


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: f"{error}"[:20])
def test_every_kind_of_a_lack_of_memory_halves_the_batch(folder, capfd, error):
    encoder = make(folder, batch_tokens=2000)
    exact = encoded(encoder, TEXTS)
    encoder.run = Greedy(encoder.run, room=80, error=error)
    assert np.abs(encoded(encoder, TEXTS) - exact).max() <= TOLERANCE
    assert "batch halved" in capfd.readouterr().err


def test_other_errors_of_a_device_are_not_taken_for_a_lack_of_memory(folder):
    encoder = make(folder)
    encoder.run = Greedy(encoder.run, 0, RuntimeError("CUDA error: device-side assert triggered"))
    with pytest.raises(RuntimeError, match="device-side assert"):
        encoded(encoder, TEXTS)


class Overflowing:
    """A precision in which every vector comes out as infinity."""

    def __init__(self, run) -> None:
        self.run = run

    def __getattr__(self, name):
        return getattr(self.run, name)

    def __call__(self, pieces, batch):
        return self.run(pieces, batch) * torch.inf


def test_the_repeat_in_float32_is_halved_too(folder, capfd):
    encoder = make(folder, precision="float16", batch_tokens=2000)
    exact = plain_loop(folder, TEXTS, 64)
    encoder.in_float32 = Greedy(make(folder).run, room=80)
    encoder.run = Overflowing(encoder.run)
    assert np.abs(encoded(encoder, TEXTS) - exact).max() <= TOLERANCE
    assert "batch halved" in capfd.readouterr().err


def test_a_single_text_that_does_not_fit_is_named(folder):
    encoder = make(folder)
    encoder.run = Greedy(encoder.run, room=30)
    with pytest.raises(InputError, match=r"one text of 64 tokens does not fit .*'protein kinase"):
        encoded(encoder, TEXTS)


def test_a_model_that_does_not_fit_is_refused_by_name():
    with (
        pytest.raises(InputError, match=r"^big: the model does not fit into memory\. Use "),
        model_fits("big"),
    ):
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB.")
    with pytest.raises(RuntimeError, match="size mismatch"), model_fits("big"):
        raise RuntimeError("size mismatch")


def bert_layers() -> torch.nn.Module:
    from transformers import BertConfig, BertModel

    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=50, intermediate_size=64, **size)
    return BertModel(config, add_pooling_layer=False).eval()


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("no room"), MemoryError()])
def test_a_trial_of_fused_norms_that_lacks_memory_says_so(monkeypatch, error):
    """Else the model would be used the slow way, and be refused at its first batch."""

    def add_norm(*_: torch.Tensor) -> torch.Tensor:
        raise error

    kernels = ModuleType("kernels")  # the real ones need CUDA
    kernels.add_norm = add_norm
    monkeypatch.setitem(sys.modules, "kgtextvec.encoders.transformer.kernels", kernels)
    with pytest.raises(InputError, match="does not fit into memory"), model_fits("big"):
        with_fused_norms(bert_layers())


def test_fused_norms_that_fail_otherwise_are_left_out(monkeypatch, capfd):
    kernels = ModuleType("kernels")
    monkeypatch.setitem(sys.modules, "kgtextvec.encoders.transformer.kernels", kernels)
    model = bert_layers()
    plain = sample_output(model)
    assert torch.equal(sample_output(with_fused_norms(model)), plain)
    assert "computed apart: ImportError" in capfd.readouterr().err
