"""A verb in a process of its own: its CPU seconds, wall seconds and peak memory."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"
VERB = """
import sys
from kgtextvec.__main__ import main
code = main(sys.argv[1:])
# VmHWM, not ru_maxrss: the latter starts at the size of the process that forked this one.
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
sys.exit(code)
"""


@dataclass(frozen=True)
class Cost:
    """What a process took: CPU seconds of all its threads, wall seconds, peak memory in MB."""

    cpu: float
    wall: float
    peak: float


def run_verb(*words: object) -> Cost:
    """Run `kgtextvec` with these words; raises RuntimeError when it fails."""
    return run_code(VERB, [str(word) for word in words])


def run_code(code: str, words: Sequence[str] = ()) -> Cost:
    """Run Python code; what it prints last, if anything, is its peak memory in kB."""
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    before = os.times()
    out, err = child.communicate()
    after = os.times()
    if child.returncode:
        raise RuntimeError(err)
    cpu = after.children_user + after.children_system
    return Cost(
        cpu - before.children_user - before.children_system,
        time.perf_counter() - began,
        int(out.split()[-1]) / 1024 if out.strip() else 0.0,
    )
