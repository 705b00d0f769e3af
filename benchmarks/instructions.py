"""The processor that figures belong to, and its limitation to AVX2."""

import os
from pathlib import Path

# Limits both sides to AVX2 where the processor has more; numba's small part does not know it.
AVX2 = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "DNNL_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F",
}


def limit_to_avx2() -> None:
    """Limit libraries that are loaded later, and the processes that are started, to AVX2."""
    os.environ.update(AVX2)


def processor() -> str:
    """Return what the figures belong to: the processor, its widest instructions, its cores."""
    words = Path("/proc/cpuinfo").read_text("utf-8") if Path("/proc/cpuinfo").exists() else ""
    named = [line.split(": ")[1] for line in words.splitlines() if line.startswith("model name")]
    widest = next((name for name in ("avx512f", "avx2") if name in words), "neither")
    if AVX2.items() <= os.environ.items():
        widest = "limited to avx2"
    return f"{(named or ['unknown'])[0]}, {widest}, {os.cpu_count()} cores"
