"""A verb in a process of its own: its CPU seconds, wall seconds and peak memory."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
VERB = """
import sys
from kgtextvec.__main__ import main
code = main(sys.argv[1:])
# VmHWM, not ru_maxrss: the latter starts at the size of the process that forked this one.
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
sys.exit(code)
"""

# Runs a command and waits for all that it has started, processes that outlive it included; prints
# its exit code, its wall seconds, and of all of them the CPU seconds and the largest peak in kB.
TREE = """
import ctypes, os, resource, sys, time
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: orphans become children of this process
began = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
while True:
    try:
        ended, status = os.wait()
    except ChildProcessError:
        break
    if ended == pid:
        code, wall = os.waitstatus_to_exitcode(status), time.perf_counter() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print()
print(code, wall, used.ru_utime + used.ru_stime, used.ru_maxrss)
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


def run_tree(command: Sequence[str], **environment: str) -> Cost:
    """Run a command, with all the processes that it starts; raises RuntimeError when it fails.

    `peak` is that of its largest process.
    """
    done = subprocess.run(
        [sys.executable, "-c", TREE, *command],
        env=os.environ | {"PYTHONPATH": str(SOURCE)} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    code, wall, cpu, peak = map(float, done.stdout.split("\n")[-2].split())
    if code:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return Cost(cpu, wall, peak / 1024)
