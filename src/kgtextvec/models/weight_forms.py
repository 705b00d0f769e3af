"""Weights in forms that are not read: which one a model has, and what to do about it."""

import re
from collections.abc import Iterable

from kgtextvec.errors import InputError
from kgtextvec.models.known import ADAPTER, MODULE, PICKLED, SAFE, parent_name

# What a file's name, folders included, says of the weights' form, and the way out.
EXPORT = "Take the repository that it was made from"
OTHER_FORMS = (
    (re.compile(r".*\.onnx|onnx"), "ONNX", EXPORT),
    (re.compile(r".*\.gguf"), "GGUF (quantized, for llama.cpp)", EXPORT),
    (re.compile(r"openvino_model.*|openvino"), "OpenVINO", EXPORT),
    (
        re.compile(r"tf_model\.h5|.*\.ckpt[\w.-]*\.index|saved_model\.pb"),
        "TensorFlow",
        "Take its PyTorch form, or convert it once with transformers below version 5:"
        " from_pretrained(folder, from_tf=True), then save_pretrained(new_folder)",
    ),
    (
        re.compile(r"flax_model\.msgpack"),
        "Flax",
        "Take its PyTorch form, or convert it once with transformers below version 5:"
        " from_pretrained(folder, from_flax=True), then save_pretrained(new_folder)",
    ),
)


def refuse_other_forms(where: str, names: Iterable[str]) -> None:
    """Raise InputError if a model's only weights are of a form that can't be read.

    `names` are those of its files, with their folders.
    """
    files = list(names)
    bases = [name.rpartition("/")[2] for name in files if not is_head(parent_name(name))]
    if any(form.fullmatch(name) for name in bases for form in (SAFE, PICKLED, ADAPTER)):
        return
    for pattern, form, way_out in OTHER_FORMS:
        found = [name for name in files if any(pattern.fullmatch(part) for part in name.split("/"))]
        found.sort(key=lambda name: not pattern.fullmatch(name.rpartition("/")[2]))
        if found:
            raise InputError(
                f"{where}: the weights are there as {form} only ({found[0]}), which can't be read."
                f" {way_out}: the model's folder must hold model.safetensors or pytorch_model.bin."
            )


def is_head(folder: str) -> bool:
    """Return whether a folder is that of a module behind the transformer, such as 2_Dense."""
    name = folder.rpartition("/")[2]
    return bool(MODULE.fullmatch(name)) and not name.endswith("_Transformer")
