"""Which kernels OpenBLAS is told to take."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kgtextvec.reduce import blas

SOURCE = Path(__file__).resolve().parents[1] / "src"
CORE_TYPE = "OPENBLAS_CORETYPE"
WIDE = "avx512f avx512dq cdp avx512cd avx512bw avx512vl"
AMD, INTEL = "vendor_id\t: AuthenticAMD", "vendor_id\t: GenuineIntel"


@pytest.fixture
def environment(monkeypatch):
    """An environment of the test's own: what is set in it is gone when the test ends."""
    own = {name: value for name, value in os.environ.items() if name != CORE_TYPE}
    monkeypatch.setattr(blas.os, "environ", own)
    return own


@pytest.mark.parametrize(
    "vendor,flags,own,told",
    [
        (AMD, WIDE, None, "SkylakeX"),
        (AMD, WIDE, "Zen", "Zen"),
        (AMD, "avx2 avx512f", None, None),
        (INTEL, WIDE, None, None),
    ],
)
def test_amd_with_avx_512_gets_wide_kernels_unless_told(
    tmp_path, monkeypatch, environment, vendor, flags, own, told
):
    (tmp_path / "cpuinfo").write_text(f"{vendor}\nflags\t\t: fpu {flags} avx2\n\n{AMD}\n{WIDE}\n")
    monkeypatch.setattr(blas, "CPUINFO", tmp_path / "cpuinfo")
    if own:
        environment[CORE_TYPE] = own
    blas.choose_kernels()
    assert environment.get(CORE_TYPE) == told


def test_without_proc_nothing_is_told(tmp_path, monkeypatch, environment):
    monkeypatch.setattr(blas, "CPUINFO", tmp_path / "cpuinfo")
    blas.choose_kernels()
    assert CORE_TYPE not in environment


def test_it_is_told_before_numpy_is_loaded():
    code = (
        "import sys, kgtextvec.__main__, kgtextvec.reduce.verbs; sys.exit('numpy' in sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(SOURCE)}, check=True
    )
