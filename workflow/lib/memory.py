"""How much memory a job needs, by the size of its model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

MEBIBYTE = 1 << 20
# Libraries, and what a job holds besides the model (measured: 0.4 GB of libraries).
BESIDES = 3000
AT_ENDPOINT = 2000  # texts and vectors of a job whose model is at a server
# Of a batch, which each thread of a transformer has; measured: 40 MB for 1,024 dims of a token.
A_STREAM, OF_DIMS = 50, 10

Resource = Callable[..., int]


def for_conversion(unknown: int) -> Resource:
    """Return mem_mb of convert_model: 1.3 times the files, and room; grows by attempt.

    Measured: 1.0 times the files and 0.04 GB, beyond libraries. An adapter's base is held in
    float32, next to its file in half precision. `unknown`: for a model that is not there yet.
    """

    def mem_mb(wildcards: Any, input: Any, attempt: int) -> int:
        size = downloaded_bytes(input)
        for adapted in getattr(input, "adapted", None) or []:
            parameters = read_quietly(Path(str(adapted)) / "kgtextvec.json").get("parameters", 0)
            size = size + 6 * parameters if parameters else 0
        return attempt * (BESIDES + round(1.3 * size / MEBIBYTE) if size else unknown)

    return mem_mb


def for_model(unknown: int, least: int = 4000) -> Resource:
    """Return mem_mb of a job that runs a model: twice its float32 weights, and room.

    On a CPU the linear layers are laid out anew while the old ones are there, and each thread
    computes a batch. `unknown`: for a model that is not converted yet; `least`: for a small one.
    """

    def mem_mb(wildcards: Any, input: Any, threads: int, attempt: int) -> int:
        record = read_quietly(Path(str(input.model)) / "kgtextvec.json")
        if record.get("kind") == "endpoint":
            return attempt * AT_ENDPOINT
        size = 4 * record.get("parameters", 0)
        batches: int = threads * max(A_STREAM, record.get("token_dims", 0) // OF_DIMS)
        known: int = max(BESIDES + round(2.1 * size / MEBIBYTE) + batches, least)
        return attempt * (known if size else unknown + batches)

    return mem_mb


def for_training(least: int) -> Resource:
    """Return mem_mb of finetune_model: twice the checkpoint, and room, but at least `least`.

    Measured: 8.2 GB for BioELMo's checkpoint of 4.85 GB, of which the system may drop half.
    """

    def mem_mb(wildcards: Any, input: Any, attempt: int) -> int:
        return attempt * max(least, BESIDES + round(2 * downloaded_bytes(input) / MEBIBYTE))

    return mem_mb


def downloaded_bytes(input: Any) -> int:
    """Return the size of the files in download-model's record; 0 while it is not there."""
    found = read_quietly(Path(str(input.downloaded))).get("files", [])
    return sum(int(file.get("bytes", 0)) for file in found)


def read_quietly(path: Path) -> dict[str, Any]:
    """Return a JSON file's mapping; {} while it is not there, or is not one."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
