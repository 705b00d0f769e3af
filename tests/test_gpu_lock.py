"""GPUs leased by file lock: pretend devices, real processes, real locks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kgtextvec.errors import InputError
from kgtextvec.gpu_lock import Gpu, free_memory, gpus_to_share, lease_folder, leased

SRC = Path(__file__).resolve().parents[1] / "src"
HOLDER = """
import os, sys, time
from pathlib import Path
from kgtextvec.gpu_lock import leased
for turn in range(int(sys.argv[2])):
    with leased("cpu"):
        time.sleep(float(sys.argv[1]))
"""


def holder(folder: Path, diary: Path, seconds: float, turns: int = 1) -> subprocess.Popen:
    """A process that leases one of two pretend devices; what it says is appended to the diary."""
    with diary.open("a") as said:
        return subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(seconds), str(turns)],
            env=os.environ
            | {
                "PYTHONPATH": str(SRC),
                "KGTEXTVEC_PRETEND_GPUS": "2",
                "KGTEXTVEC_LEASES": str(folder),
            },
            stderr=said,
        )


def told(diary: Path) -> list[list[str]]:
    """[device, what] of each lease and return, in the order in which they happened.

    All processes append to one file, and a return is told before the lock is let go.
    """
    lines = diary.read_text().splitlines() if diary.exists() else []
    return [line.split(maxsplit=2)[1:] for line in lines if line.startswith("GPU ")]


def wait_until(condition, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.02)


def test_four_jobs_on_two_devices_are_never_two_on_one(tmp_path):
    diary = tmp_path / "diary"
    jobs = [holder(tmp_path / "leases", diary, 0.15, turns=3) for _ in range(4)]
    assert [job.wait(60) for job in jobs] == [0] * 4
    held, most = set(), 0
    for device, what in told(diary):
        if what == "leased":
            assert device not in held, "two on one device"
            held.add(device)
        else:
            held.remove(device)
        most = max(most, len(held))
    assert len(told(diary)) == 2 * 4 * 3
    assert most == 2, "both devices were used at once"


def test_a_killed_holder_frees_its_device(tmp_path):
    diary = tmp_path / "diary"
    first = [holder(tmp_path / "leases", diary, 600) for _ in range(2)]
    try:
        wait_until(lambda: len(told(diary)) == 2)
        third = holder(tmp_path / "leases", diary, 0)
        wait_until(lambda: "waiting for a free GPU: other jobs hold all 2" in diary.read_text())
        with pytest.raises(subprocess.TimeoutExpired):
            third.wait(0.5)
        victim = first[1]
        victim.send_signal(signal.SIGKILL)
        assert third.wait(30) == 0
        # who got which is told by the order: the third took what one of the two had
        devices = [device for device, what in told(diary) if what == "leased"]
        assert sorted(devices[:2]) == ["pretend-0", "pretend-1"]
        assert devices[2] in devices[:2]
        assert [what for _, what in told(diary)].count("given back") == 1
    finally:
        for job in first:
            job.kill()
            job.wait()


def test_a_job_that_fails_gives_its_device_back(tmp_path, monkeypatch):
    monkeypatch.setenv("KGTEXTVEC_PRETEND_GPUS", "1")
    monkeypatch.setenv("KGTEXTVEC_LEASES", str(tmp_path / "leases"))
    with pytest.raises(ValueError, match="oh"), leased("cpu"):
        raise ValueError("oh")
    with leased("cpu") as device:
        assert device == "cpu"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ["pretend-0", "pretend-1", "pretend-2"]),
        ({"CUDA_VISIBLE_DEVICES": "2"}, ["pretend-2"]),
        ({"CUDA_VISIBLE_DEVICES": "1", "SLURM_JOB_ID": "7"}, []),
        (
            {"CUDA_VISIBLE_DEVICES": "0,2", "SLURM_JOB_ID": "7"},
            ["pretend-0", "pretend-2"],
        ),
    ],
    ids=["alone", "hidden devices", "a Slurm job's only device", "a Slurm job with two"],
)
def test_an_allocation_is_taken_as_it_is(environment, expected):
    found = gpus_to_share("cpu", environment | {"KGTEXTVEC_PRETEND_GPUS": "3"})
    assert found == [Gpu("cpu", name) for name in expected]


def test_the_device_with_most_free_memory_is_taken_first(tmp_path, monkeypatch):
    """The driver's program is one that lists devices as nvidia-smi does; torch is asked nothing."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf 'GPU-pretend-0, 10\\npretend-1, 300\\npretend-2, 20\\n'")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = gpus_to_share("cpu", {"KGTEXTVEC_PRETEND_GPUS": "4"})
    assert [gpu.name for gpu in found] == ["pretend-1", "pretend-2", "pretend-0", "pretend-3"]
    program.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9")
    assert free_memory() == {}


def test_on_a_cpu_nothing_is_leased():
    assert gpus_to_share("cpu", {}) == gpus_to_share("mps", {}) == []


def test_lock_files_serve_all_users_and_links_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("KGTEXTVEC_LEASES", str(tmp_path / "leases"))
    monkeypatch.setenv("KGTEXTVEC_PRETEND_GPUS", "1")
    before = os.umask(0o077)
    try:
        with leased("cpu"):
            (lock,) = (tmp_path / "leases").iterdir()
    finally:
        os.umask(before)
    assert lock.stat().st_mode & 0o777 == 0o666
    assert (tmp_path / "leases").stat().st_mode & 0o7777 == 0o1777
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("KGTEXTVEC_LEASES", str(tmp_path / "link"))
    with pytest.raises(InputError, match="not a folder"):
        lease_folder()
    lock.unlink()
    lock.symlink_to(tmp_path / "elsewhere/file")
    monkeypatch.setenv("KGTEXTVEC_LEASES", str(tmp_path / "leases"))
    with pytest.raises(OSError, match="symbolic links"), leased("cpu"):
        pass
