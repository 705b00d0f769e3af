"""A GPU for each job: with several jobs on one machine, each leases a device that is free.

A lease is a lock on a file per device. Results don't depend on leases, only speed and memory do.
"""

import gc
import os
import stat
import subprocess  # nosec B404
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kgtextvec.errors import InputError
from kgtextvec.files import as_input_error
from kgtextvec.locks import hold_lock, open_shared_to_lock
from kgtextvec.progress import say

GPU_LOCKS = "kgtextvec-gpus"
GPU_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Gpu:
    """A device as torch names it (`cuda:1`), and a name that all processes know it by."""

    device: str
    name: str


@contextmanager
def leased(device: str) -> Iterator[str]:
    """Yield the device to run on; a GPU is held until the block ends, or the process does.

    Of free devices the one with most free memory is taken. Waits while other jobs hold all of
    them. On a CPU, and in a Slurm job with one device, there is nothing to choose. Memory that
    torch keeps for later is given back with the device. Raises InputError when the lock files
    can't be made.
    """
    candidates = gpus_to_share(device, os.environ)
    if not candidates:
        yield device
        return
    folder = lease_folder()
    with hold_lock(
        [partial(open_lease, folder / f"{gpu.name}.lock") for gpu in candidates],
        lambda: f"waiting for a free GPU: other jobs hold all {len(candidates)}",
        poll_seconds=GPU_POLL_SECONDS,
    ) as lock:
        gpu = candidates[lock.which]
        say(f"GPU {gpu.name} leased")
        try:
            if gpu.device.startswith("cuda:"):
                import torch

                torch.cuda.set_device(gpu.device)  # else memory is taken on the first device too
            yield gpu.device
        finally:
            if gpu.device.startswith("cuda:"):
                gc.collect()
                torch.cuda.empty_cache()
            say(f"GPU {gpu.name} given back")


def gpus_to_share(device: str, environment: Mapping[str, str]) -> list[Gpu]:
    """Return the devices to choose from; none where the choice was made already.

    CUDA_VISIBLE_DEVICES is respected: what it hides isn't seen. KGTEXTVEC_PRETEND_GPUS=n makes
    believe that there are n devices, which run on the CPU: for tests.
    """
    pretended = environment.get("KGTEXTVEC_PRETEND_GPUS")
    if pretended:
        visible = environment.get("CUDA_VISIBLE_DEVICES")
        numbers = visible.split(",") if visible else [str(i) for i in range(int(pretended))]
        gpus = [Gpu("cpu", f"pretend-{number}") for number in numbers]
    elif device.startswith("cuda"):
        import torch

        gpus = [
            Gpu(f"cuda:{i}", str(torch.cuda.get_device_properties(i).uuid))
            for i in range(torch.cuda.device_count())
        ]
    else:
        return []
    if ":" in device:
        gpus = [gpu for gpu in gpus if gpu.device == device]
    if len(gpus) > 1:
        free = free_memory()
        gpus.sort(key=lambda gpu: -free.get(gpu.name, 0))
    return [] if "SLURM_JOB_ID" in environment and len(gpus) == 1 else gpus


def free_memory() -> dict[str, int]:
    """Return each GPU's free memory in MiB by the name of its lease; empty where none can say.

    The driver's own program is asked: torch would take memory on every device to answer.
    """
    words = ["nvidia-smi", "--query-gpu=uuid,memory.free", "--format=csv,noheader,nounits"]
    try:
        found = subprocess.run(words, capture_output=True, text=True, timeout=20)  # noqa: S603 # nosec
    except (OSError, subprocess.TimeoutExpired):
        return {}
    lines = [line.split(", ") for line in found.stdout.splitlines()]
    return {
        name.removeprefix("GPU-"): int(free)
        for name, free in (line for line in lines if len(line) == 2)
        if free.strip().isdigit()
    }


def lease_folder() -> Path:
    """Return the folder of the lock files, made if need be; all users of a machine share it."""
    chosen = os.environ.get("KGTEXTVEC_LEASES")
    folder = Path(chosen) if chosen else Path(tempfile.gettempdir()) / GPU_LOCKS
    try:
        folder.mkdir(parents=True)
        folder.chmod(0o1777)  # as /tmp: whoever has jobs here makes files, no one removes others'
    except FileExistsError:
        pass
    except OSError as error:
        raise as_input_error(error, folder) from error
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise InputError(f"{folder}: not a folder. Remove it, or set KGTEXTVEC_LEASES to another.")
    return folder


def open_lease(path: Path) -> int:
    """Open a device's lock file. Raises InputError when that is not permitted."""
    try:
        return open_shared_to_lock(path)
    except OSError as error:
        raise as_input_error(error, path) from error
