"""A folder as bilm-tf leaves it: which checkpoint is meant, and whether the model is of our kind.

What is asked here takes two small files, options.json and a checkpoint's index, so that a model
that can't be used is refused before its gigabytes are read or copied.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from kgtextvec.errors import InputError
from kgtextvec.files import parse_json

INDEX = ".index"
# TensorFlow writes the latest checkpoint first, under the path that it had there.
LATEST = re.compile(r'^model_checkpoint_path:\s*"(.*)"\s*$', re.MULTILINE)


def files_in_use(files: Mapping[str, Path]) -> dict[str, Path]:
    """Return the files of an ELMo, by name, without those of older checkpoints.

    Raises InputError when the model is of a kind that isn't supported, or when there are several
    checkpoints and none of them is the latest.
    """
    for name, path in files.items():
        if name.endswith("options.json"):
            refuse_other_kinds(path)
    prefixes = [name.removesuffix(INDEX) for name in files if name.endswith(INDEX)]
    latest = latest_checkpoint(prefixes, files.get("checkpoint"), files)
    others = tuple(f"{prefix}." for prefix in prefixes if prefix != latest)
    used = {name: path for name, path in files.items() if not name.startswith(others)}
    if latest is not None:
        from kgtextvec.encoders.elmo.tf_checkpoint import Checkpoint

        index = files[latest + INDEX]
        names = Checkpoint(index.with_name(index.name.removesuffix(INDEX))).entries
        refuse_other_tensors(index, names)
    return used


def latest_checkpoint(
    prefixes: list[str], state: Path | None, files: Mapping[str, Path]
) -> str | None:
    """Return the prefix of the checkpoint that is meant; None if there is none.

    bilm-tf keeps the last two, and TensorFlow's file `checkpoint`, which is `state`, names the
    latest by its path on the machine of the training: its base name counts.
    """
    if len(prefixes) < 2:
        return prefixes[0] if prefixes else None
    found = LATEST.search(state.read_text("utf-8", "replace")) if state else None
    base = re.split(r"[/\\]", found[1])[-1] if found else ""
    if base in prefixes:
        return base
    folder = next(iter(files.values())).parent
    why = f"the file checkpoint names {base!r}" if base else "no file checkpoint names the latest"
    raise InputError(
        f"{folder}: holds {len(prefixes)} checkpoints ({', '.join(sorted(prefixes))}), and {why}."
        " Remove the others, or name the files one by one (docs/models.md)."
    )


def refuse_other_kinds(options: Path) -> None:
    """Raise InputError if an options.json is that of a model of a kind that isn't supported.

    What is no options.json at all is left to those who read it.
    """
    try:
        values = parse_json(options.read_bytes())
    except (OSError, ValueError):
        return
    if isinstance(values, dict):
        check_kind(options, values)


def check_kind(options: Path, values: dict[str, Any]) -> None:
    """Raise InputError if options are those of a model of a kind that isn't supported."""
    lstm = values.get("lstm")
    if isinstance(lstm, dict) and "char_cnn" not in values:
        refuse_kind(options, "reads words from a fixed vocabulary (there is no char_cnn)")
    if values.get("bidirectional") is False:
        refuse_kind(options, "reads in one direction only (bidirectional is false)")
    cudnn = [key for key in (*values, *(lstm if isinstance(lstm, dict) else ())) if "cudnn" in key]
    if cudnn:
        refuse_kind(options, f"has cuDNN's LSTM ({cudnn[0]}), whose weights have another form")


def refuse_other_tensors(where: Path, names: Iterable[str]) -> None:
    """Raise InputError if tensors of these names are those of a kind that isn't supported."""
    listed = [name for name in names if not name.endswith("/Adagrad")]
    for name in listed:
        if "cudnn" in name.lower():
            refuse_kind(where, f"has cuDNN's LSTM ({name}), whose weights have another form")
    if any(name in ("lm/embedding", "embedding") for name in listed):
        refuse_kind(where, "reads words from a fixed vocabulary (it has the tensor embedding)")
    cells = [name for name in listed if "lstm_cell/" in name.lower() or "LSTMCell/" in name]
    if cells and not any("RNN_1/" in name for name in cells):
        refuse_kind(where, f"reads in one direction only (it has {cells[0]}, and no RNN_1)")


def refuse_kind(where: Path, what: str) -> NoReturn:
    """Raise InputError: the model is of a kind that isn't supported."""
    raise InputError(
        f"{where}: this language model {what}. That kind is not supported: take one that reads"
        " characters in both directions, such as BioELMo."
    )
