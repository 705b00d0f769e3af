"""A GPU for each job: with several jobs on one machine, each leases a device that is free.

A lease is a lock (flock) on a file per device. The kernel drops it when its holder ends, however
it ends, so nothing is left to clean up. Results don't depend on leases, only speed and memory do.
"""

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kgtextvec.errors import InputError
from kgtextvec.files import as_input_error
from kgtextvec.progress import say

FOLDER = "kgtextvec-gpus"
POLL_SECONDS = 0.2
REMIND_SECONDS = 600.0


@dataclass(frozen=True)
class Gpu:
    """A device as torch names it (`cuda:1`), and a name that all processes know it by."""

    device: str
    name: str


@contextmanager
def leased(device: str) -> Iterator[str]:
    """Yield the device to run on; a GPU is held until the block ends, or the process does.

    Waits while other jobs hold all devices. On a CPU, and in a Slurm job with one device, there
    is nothing to choose. Raises InputError when the lock files can't be made.
    """
    candidates = gpus_to_share(device, os.environ)
    if not candidates:
        yield device
        return
    gpu, lock = take_one(candidates, lease_folder())
    say(f"GPU {gpu.name} leased")
    try:
        if gpu.device.startswith("cuda:"):
            import torch

            torch.cuda.set_device(gpu.device)  # else memory is taken on the first device too
        yield gpu.device
    finally:
        say(f"GPU {gpu.name} given back")
        os.close(lock)


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
    return [] if "SLURM_JOB_ID" in environment and len(gpus) == 1 else gpus


def lease_folder() -> Path:
    """Return the folder of the lock files, made if need be; all users of a machine share it."""
    chosen = os.environ.get("KGTEXTVEC_LEASES")
    folder = Path(chosen) if chosen else Path(tempfile.gettempdir()) / FOLDER
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


def take_one(gpus: list[Gpu], folder: Path) -> tuple[Gpu, int]:
    """Wait for a free device; return it and its open lock, which closing gives back."""
    waited, reminded = 0.0, -REMIND_SECONDS
    while True:
        for gpu in gpus:
            lock = open_lock(folder / f"{gpu.name}.lock")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            else:
                return gpu, lock
        if waited - reminded >= REMIND_SECONDS:
            say(f"waiting for a free GPU: other jobs hold all {len(gpus)}")
            reminded = waited
        time.sleep(POLL_SECONDS)
        waited += POLL_SECONDS


def open_lock(path: Path) -> int:
    """Open a lock file, made if need be; never through a link."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise as_input_error(error, path) from error
        try:
            # O_EXCL: Linux refuses a plain O_CREAT on others' files in folders such as /tmp
            made = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            continue
        except OSError as error:
            raise as_input_error(error, path) from error
        os.fchmod(made, 0o666)  # whatever the umask says, other users may take their turn
        return made
