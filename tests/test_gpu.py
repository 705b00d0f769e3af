"""What only a GPU runs: decoders packed, precision by the checkpoint, what float16 overflows."""

from pathlib import Path

import elmo_models
import numpy as np
import pytest
import torch
from sentence_folders import convert
from test_decoders import TEXTS, alone, encoded, make
from test_elmo_engine import TEXTS as ELMO_TEXTS
from test_elmo_engine import encode
from tiny_decoders import DECODERS, tiny_bart
from transformers import AutoModel

from kgtextvec.embed.fingerprint import resolve
from kgtextvec.encoders import EncoderSettings, load_encoder
from kgtextvec.encoders.elmo.engine import ElmoEncoder
from kgtextvec.encoders.folder import read_model_folder
from kgtextvec.settings.models import Embed, EncoderOptions, Mode

pytestmark = pytest.mark.gpu
# 1 - cosine to a text at a time in float32 on a CPU; the last one is of models with bfloat16's
# 8 bits in each of their products.
LIMITS = {"float32": 1e-6, "float16": 1e-4, "bfloat16": 2e-3}
PACKED = [name for name in DECODERS if name not in ("t5", "bigbird")]


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("decoders")
    return {name: build(place / name) for name, build in DECODERS.items()}


def far(found: np.ndarray, exact: np.ndarray) -> float:
    assert np.isfinite(found).all()
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(exact, axis=1)
    return float((1 - (found * exact).sum(1) / lengths).max())


@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize("name", DECODERS)
def test_a_batch_on_a_gpu_gives_what_its_texts_give_alone(folders, name, precision):
    """Causal attention, with windows and grouped heads, packed; T5 padded; BigBird by length."""
    texts = TEXTS * 5
    encoder = make(folders[name], pooling="lasttoken", device="cuda", precision=precision)
    exact = alone(folders[name], texts, "lasttoken", 200)
    assert far(encoded(encoder, texts), exact) <= LIMITS[precision]


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("layers", ["average", "first_last"])
def test_means_of_layers_on_a_gpu_are_those_of_a_cpu(folders, name, layers):
    on_cpu, on_gpu = (
        encoded(make(folders[name], layers=layers, device=device), TEXTS)
        for device in ("cpu", "cuda")
    )
    assert far(on_gpu, on_cpu) <= 1e-6


def test_long_texts_in_windows_on_a_gpu_are_those_of_a_cpu(folders):
    on_cpu, on_gpu = (
        encoded(make(folders["qwen3"], long_text="window", max_tokens=64, device=device), TEXTS)
        for device in ("cpu", "cuda")
    )
    assert far(on_gpu, on_cpu) <= 1e-6


@pytest.mark.parametrize(("dtype", "precision"), [("bfloat16", "bfloat16"), ("float32", "float16")])
def test_auto_follows_the_dtype_of_the_checkpoint(tmp_path, dtype, precision):
    raw = DECODERS["qwen3"](tmp_path / "raw")
    AutoModel.from_pretrained(str(raw), dtype=getattr(torch, dtype)).save_pretrained(str(raw))
    out = convert(raw, pooling="lasttoken")
    record = read_model_folder(out)
    options, embed = EncoderOptions(max_tokens=200), Embed(precision="auto")
    settings = resolve(record, options, embed, Mode(), "cuda")
    assert settings.precision == precision
    found = encoded(load_encoder(out, record, settings), TEXTS)
    AutoModel.from_pretrained(str(raw), dtype=torch.float32).save_pretrained(str(raw))
    assert far(found, alone(raw, TEXTS, "lasttoken", 200)) <= LIMITS[precision]


def test_clamped_infinities_on_a_gpu_are_computed_again_in_float32(tmp_path, capfd):
    folder = tiny_bart(tmp_path / "bart")
    found = encoded(make(folder, device="cuda", precision="float16"), TEXTS)
    assert far(found, alone(folder, TEXTS, "mean", 200)) <= 1e-6
    assert "computed again in float32" in capfd.readouterr().err


@pytest.mark.parametrize(("precision", "limit"), [("float32", 1e-6), ("bfloat16", 1e-3)])
@pytest.mark.parametrize("kind", elmo_models.KINDS)
def test_an_elmo_on_a_gpu_gives_the_cpus_vectors(tmp_path, kind, precision, limit, capfd):
    """Its steps run by Triton's kernels, several blocks one after the other."""
    folder, _ = elmo_models.make(tmp_path, elmo_models.KINDS[kind])
    texts = [*ELMO_TEXTS, *(f"{a} {b}" for a in ELMO_TEXTS[1:9] for b in ELMO_TEXTS[-30:])]
    on_cpu = encode(ElmoEncoder(folder, EncoderSettings("cpu", "float32", layers="concat")), texts)
    settings = EncoderSettings("cuda", precision, layers="concat")
    encoder = ElmoEncoder(folder, settings, block_words=500)
    assert all(cell.fused for own in encoder.cells for cell in own), capfd.readouterr().err
    on_gpu = encode(encoder, texts)
    some = np.linalg.norm(on_cpu, axis=1) > 0
    assert not on_gpu[~some].any()
    assert far(on_gpu[some], on_cpu[some]) <= limit
