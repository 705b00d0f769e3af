"""convert-model needs little more memory than the file: the weights stay mapped, not copied."""

import subprocess
import sys
from pathlib import Path

import pytest
from tiny_decoders import byte_tokenizer, tiny_qwen3

ROOT = Path(__file__).resolve().parents[1]
# Converts the first folder, so that libraries are loaded, then prints by how many bytes the
# second one raises the peak of resident memory.
MEASURE = """
import sys
from pathlib import Path
from kgtextvec.models.convert import convert_model

def memory(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(key + ":"))

small, large = map(Path, sys.argv[1:])
convert_model(small, out=small.parent / "small-out")
before = memory("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
convert_model(large, out=large.parent / "large-out")
print(memory("VmHWM") - before)
"""


def large_qwen3(folder: Path, dtype: str) -> Path:
    """Write a Qwen3 of 38 million weights in that dtype."""
    import torch
    from transformers import Qwen3Config, Qwen3Model

    config = Qwen3Config(
        vocab_size=byte_tokenizer(folder), hidden_size=1024, intermediate_size=3072,
        num_hidden_layers=3, num_attention_heads=16, num_key_value_heads=8, head_dim=64,
    )  # fmt: skip
    Qwen3Model(config).to(getattr(torch, dtype)).save_pretrained(str(folder))
    return folder


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_conversion_holds_the_weights_once(tmp_path, dtype):
    small, large = tiny_qwen3(tmp_path / "small"), large_qwen3(tmp_path / "large", dtype)
    size = (large / "model.safetensors").stat().st_size
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(small), str(large)],
        cwd=ROOT / "src", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    peak = int(run.stdout.splitlines()[-1])
    assert 0.9 * size < peak < 1.2 * size + (32 << 20)
