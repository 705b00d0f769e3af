"""Which device, precision and number of threads a job takes."""

import os

from kgtextvec.errors import InputError

# bfloat16 has the range of float32, so nothing overflows; float16 can, but is 70 times as near it.
AUTO_PRECISION = {"cuda": "bfloat16", "mps": "float32", "cpu": "float32"}
WORTH_A_GPU = 1e12  # multiply-adds; below this loading torch's CUDA takes longer than the work


def set_threads(threads: int | None) -> None:
    """Let torch and the tokenizers use that many CPU threads; None: as many as there are cores."""
    if threads:
        import torch

        torch.set_num_threads(threads)
        os.environ.setdefault("RAYON_NUM_THREADS", str(threads))
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


def keep_float32_exact() -> None:
    """Let CUDA multiply float32 in float32: TF32, cuDNN's default, is 3e-4 off."""
    import torch

    os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # some images set 1, which torch does not see
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def choose_device(asked: str, runs_on_mps: bool = True) -> str:
    """Return `cuda`, `mps` or `cpu`; `auto` takes the first that this machine has.

    Work that does not run on `mps` takes the CPU in its place. Raises InputError when the machine
    lacks the device asked for.
    """
    import torch

    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if asked == "auto":
        asked = next(device for device, found in there.items() if found)
    if not there.get(asked.split(":")[0], False):
        raise InputError(
            f"config, embed.device: {asked} is not there on this machine."
            f" Choose one of auto, {', '.join(d for d, found in there.items() if found)}."
        )
    if asked.startswith("cuda"):
        keep_float32_exact()
    return "cpu" if asked == "mps" and not runs_on_mps else asked


def choose_cuda_or_cpu(asked: str, work: float) -> str:
    """Return a CUDA device or `cpu`; `auto` takes a GPU if `work` multiply-adds are worth it.

    Apple's `mps` has no float64, so it is not used. Raises InputError when CUDA was asked for and
    the machine has none.
    """
    if asked in ("cpu", "mps") or (asked == "auto" and work < WORTH_A_GPU):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        keep_float32_exact()
        return "cuda" if asked == "auto" else asked
    if asked != "auto":
        raise InputError(f"--device {asked}: no CUDA device here. Choose auto or cpu.")
    return "cpu"


def choose_precision(
    asked: str, device: str, repairs_overflow: bool = False, dtype: str | None = None
) -> str:
    """Return the precision for `auto` on that device, else the one asked for.

    `repairs_overflow`: whether the caller computes in float32 again what came out as NaN or Inf.
    `dtype`: that of the checkpoint, if known; a bfloat16 model overflows in float16 all the time.
    """
    if asked != "auto":
        return asked
    chosen = AUTO_PRECISION[device.split(":")[0]]
    takes_float16 = repairs_overflow and dtype != "bfloat16"
    return "float16" if chosen == "bfloat16" and takes_float16 else chosen


def available_cores() -> int:
    """Return the number of cores that this job may use: those of its allocation, if it has one."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
