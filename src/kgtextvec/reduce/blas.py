"""The matrix products' library, limited to kernels that this processor can take."""

import os
from pathlib import Path

NEEDED = {"avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd"}
CPUINFO = Path("/proc/cpuinfo")


def choose_kernels() -> None:
    """Let OpenBLAS take its AVX-512 kernels on an AMD processor that is newer than itself.

    It goes by model numbers and gives those it doesn't know AVX2 kernels, at 5/3 of the time. Has
    an effect only before numpy is loaded; a choice of the user's own stays.
    """
    if not CPUINFO.exists():
        return
    first = CPUINFO.read_text().split("\n\n")[0]
    if "AuthenticAMD" in first and set(first.split()) >= NEEDED:
        os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")
