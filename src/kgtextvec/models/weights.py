"""Load a checkpoint into its transformers model, and refuse what would give wrong vectors."""

import inspect
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kgtextvec.encoders.pretrained import POOLER, encoder_class, load_with_report
from kgtextvec.errors import InputError
from kgtextvec.files import read_json
from kgtextvec.models.weight_forms import refuse_other_forms
from kgtextvec.progress import say

RIGHT_FILE = "Get the right file."
POINTER = b"version https://git-lfs"
NUMBER_KINDS = {"C": "complex numbers", "I": "integers", "U": "integers", "B": "true and false"}
# What config.json says of a model's size: its layers; its rows and columns.
LAYER_KEYS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers", "encoder_layers")
SIZE_KEYS = (
    "vocab_size", "hidden_size", "dim", "d_model", "n_embd", "embedding_size",
    "intermediate_size", "hidden_dim", "d_ff", "type_vocab_size",
)  # fmt: skip
# Dtypes in which a checkpoint is kept, if all its weights have it, as safetensors writes them.
OWN_DTYPES = {"BF16": "bfloat16", "F16": "float16"}
CHECKED_NUMBERS = 1 << 20  # numbers of a weight that are looked at together
# Buffers that old checkpoints carry and new models compute.
COMPUTED = ("position_ids", "token_type_ids", "inv_freq", "masked_bias", "attn.bias")


def read_config(folder: Path) -> dict[str, Any]:
    """Return config.json, checked. Raises InputError for what cannot be loaded safely."""
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(
            f"{folder}: config.json missing. Correct the path, or get the complete model."
        )
    values = read_json(path, RIGHT_FILE)
    if not isinstance(values, dict) or not isinstance(values.get("model_type"), str):
        raise InputError(
            f"{path}: model_type missing, such as bert. Download the files into a folder, add"
            ' "model_type": "bert" (or what the model is) there, and name the folder with path:.'
        )
    if values.get("quantization_config"):
        raise InputError(f"{path}: the weights are quantized. Take the model's plain weights.")
    if values["model_type"] == "reformer" and "lsh" in values.get("attn_layers", ["lsh"]):
        raise InputError(
            f"{path}: the model hashes tokens at random (lsh in attn_layers), so each run gives"
            " other vectors. Take another model."
        )
    from transformers import CONFIG_MAPPING

    if values.get("auto_map"):
        if values["model_type"] not in CONFIG_MAPPING:
            raise custom_code(path)
        say(
            f"{path}: names code of the model's own (auto_map), which is not run; transformers'"
            f" own {values['model_type']} takes its place"
        )
    tokenizer = folder / "tokenizer_config.json"
    if tokenizer.exists() and not (folder / "tokenizer.json").exists():
        about = read_json(tokenizer, RIGHT_FILE)
        if isinstance(about, dict) and about.get("auto_map"):
            raise custom_code(tokenizer)
    if values["model_type"] not in CONFIG_MAPPING:
        raise InputError(
            f"{path}: transformers does not know model_type {values['model_type']!r}. Take"
            " one that it knows."
        )
    return values


def custom_code(path: Path) -> InputError:
    """Return the error of a model that can't be loaded without running Python files of its own."""
    return InputError(
        f"{path}: the model needs custom code (auto_map), which is never run. Take a model that"
        " transformers knows by itself."
    )


def check_weight_files(folder: Path) -> None:
    """Raise InputError if there are no weights, or an index names files that are not there."""
    names = {path.name for path in folder.iterdir()}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.stat().st_size < 1024 and path.read_bytes().startswith(POINTER):
            raise InputError(
                f"{path}: is a Git LFS pointer, not the file. Run git lfs pull where it came from."
            )
    for index in names & {"model.safetensors.index.json", "pytorch_model.bin.index.json"}:
        try:
            parts = set(read_json(folder / index, RIGHT_FILE)["weight_map"].values())
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{folder / index}: cannot be read ({error}). Get the file again."
            ) from None
        missing = sorted(str(part) for part in parts if part not in names)
        if missing:
            raise InputError(
                f"{folder}: {', '.join(missing)} missing, which {index} names. Get the complete"
                " model."
            )
        return
    if not names & {"model.safetensors", "pytorch_model.bin"}:
        refuse_other_forms(str(folder), sorted(names))
        raise InputError(
            f"{folder}: no weights: neither model.safetensors nor pytorch_model.bin is there. Get"
            " the complete model."
        )


def stored_dtype(folder: Path) -> str:
    """Return the dtype that holds a checkpoint's weights: bfloat16, float16 or float32."""
    check_weight_files(folder)
    with refusing_damage(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kinds = {
            kind
            for _, kind, shape in stored_tensors(folder)
            if shape and kind.startswith(("F", "BF"))
        }
    return OWN_DTYPES.get(next(iter(kinds)), "float32") if len(kinds) == 1 else "float32"


def load_model(folder: Path, dtype: str = "float32") -> Any:
    """Load the encoder in a dtype, without its pooler; every weight from the file, none random.

    Raises InputError for missing, surplus or misshapen weights, NaN and Inf, pickles that hold
    more than tensors, and damaged files.
    """
    check_weight_files(folder)
    with refusing_damage(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_stored(folder)
        model, report = load_with_report(encoder_class(folder), folder, dtype)
    check_weight_names(folder, model, report)
    check_finite(folder, model)
    if getattr(model, "pooler", None) is not None:
        code = inspect.getsource(type(model))
        does_without = "if self.pooler" in code or "self.pooler is not None" in code
        model.pooler = None if does_without else no_pooler()
    return model.eval().requires_grad_(False)


def no_pooler() -> Any:
    """Return a module without weights in a pooler's place: LayoutLM, for one, always calls it."""
    import torch

    class NoPooler(torch.nn.Module):
        def forward(self, hidden: Any, *_: Any, **__: Any) -> None:
            return None

    return NoPooler()


def embedding_rows(folder: Path, model: Any) -> int:
    """Return how many ids the model's embeddings have. Raises InputError if it has no such table.

    CLIP's two towers don't, nor does CANINE, which reads characters.
    """
    try:
        return int(model.get_input_embeddings().weight.shape[0])
    except (NotImplementedError, AttributeError) as error:
        raise InputError(
            f"{folder}: {type(model).__name__} has no table of token embeddings: it does not read"
            " texts alone, or reads them as characters. Take a model of texts and tokens."
        ) from error


@contextmanager
def refusing_damage(folder: Path) -> Iterator[None]:
    """Turn what is raised at weights that can't be read into an InputError."""
    try:
        yield
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{folder}: the weights are not plain tensors ({reason(error)}); a pickle can run code"
            " and is not opened. Get the weights as safetensors."
        ) from error
    except (EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{folder}: the weights are damaged or cut short. Get them again."
        ) from error
    except Exception as error:
        if type(error).__name__ == "SafetensorError" or "PytorchStreamReader" in str(error):
            raise InputError(
                f"{folder}: the weights are damaged or cut short ({reason(error)}). Get them again."
            ) from error
        raise InputError(
            f"{folder}: the model cannot be loaded: {reason(error)}. Get it again."
        ) from error


def check_dims(name: str, expected: int | None, dims: int) -> None:
    """Raise InputError if the catalogue has other dims than the model's vectors."""
    if expected and expected != dims:
        raise InputError(
            f"catalogue, {name}.dims: {expected}, but the model's vectors have {dims}."
            " Correct the entry, or get the right model."
        )


def check_weight_names(folder: Path, model: Any, report: dict[str, Any]) -> None:
    """Raise InputError unless each weight but the pooler's came from the file."""
    names = [name for name, _ in model.named_parameters()]
    missing = sorted(name for name in report["missing_keys"] if name in names)
    needed = [name for name in missing if not name.startswith(POOLER)]
    if needed:
        raise InputError(
            f"{folder}: {len(missing)} of {len(names)} weights are missing (first {needed[0]}), so"
            " they would be random. The file is of another model, or uses other names. Get"
            " the right one."
        )
    for name, *shapes in sorted(report["mismatched_keys"]):
        if not str(name).startswith(POOLER):
            sizes = " and ".join(str(tuple(shape)) for shape in shapes)
            raise InputError(
                f"{folder}: {name} has shapes {sizes} in weights and config.json. Get both from"
                " one place."
            )
    surplus = [name for name in report["unexpected_keys"] if is_inner(name, model)]
    if surplus:
        raise InputError(
            f"{folder}: config.json calls for fewer weights than there are, {len(surplus)} would be"
            f" left out (first {sorted(surplus)[0]}). It is of another model. Get the right one."
        )
    if report.get("error_msgs"):
        why = " ".join(str(report["error_msgs"][0]).split())[:200]
        raise InputError(f"{folder}: the weights can't be loaded: {why}. Get the right ones.")


def check_stored(folder: Path) -> None:
    """Check what the weights' headers say before a model is made for them.

    Raises InputError for complex and integer weights, which transformers would cast in silence
    (buffers of integers that the model computes anyway, and single numbers, are let be), and for
    a config.json that claims far more layers or rows than the weights have: the memory for them
    would be taken before their absence shows.
    """
    tensors, longest = 0, 0
    for name, kind, shape in stored_tensors(folder):
        tensors, longest = tensors + 1, max(longest, *shape, 0)
        numbers = None if kind == "BF16" else NUMBER_KINDS.get(kind[0])
        if numbers and shape and not name.endswith(COMPUTED):
            raise InputError(
                f"{folder}: weight {name} holds {numbers}, not floats. Get the model's plain"
                " weights."
            )
    config = read_json(folder / "config.json", RIGHT_FILE)
    limits = dict.fromkeys(LAYER_KEYS, tensors) | dict.fromkeys(SIZE_KEYS, 2 * longest + (1 << 16))
    for key, most in limits.items():
        claimed = config.get(key)
        if isinstance(claimed, int | float) and claimed > most:
            raise InputError(
                f"{folder}: config.json claims {key} {claimed}, and the weights hold {tensors}"
                f" tensors of at most {longest} rows. It is of another model. Get the right one."
            )


def stored_tensors(folder: Path) -> Iterator[tuple[str, str, Sequence[int]]]:
    """Yield (name, type as safetensors writes it, shape) of what a folder's weights hold."""
    import torch
    from safetensors import safe_open

    letters = {torch.bool: "BOOL", torch.bfloat16: "BF16", torch.float16: "F16"}
    paths = sorted(folder.glob("model*.safetensors"))
    for path in paths:
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 (no mapping)
                part = file.get_slice(name)
                yield name, part.get_dtype(), part.get_shape()
    for path in sorted(folder.glob("pytorch_model*.bin")) if not paths else []:
        lazily = True if zipfile.is_zipfile(path) else None
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=lazily)
        for name, value in tensors.items():
            if isinstance(value, torch.Tensor):
                plain = "C" if value.is_complex() else "F" if value.is_floating_point() else "I"
                yield str(name), letters.get(value.dtype, plain), value.shape


def is_inner(name: str, model: Any) -> bool:
    """Return whether a weight that the model lacks belongs to the encoder, not to a head."""
    first, *rest = name.removeprefix(f"{model.base_model_prefix}.").split(".")
    inner = {child for child, _ in model.named_children()} - {"pooler"}
    # Models of texts and images keep the head next to the layers of their language model.
    return first in inner and "lm_head" not in rest and not name.endswith(COMPUTED)


def check_finite(folder: Path, model: Any) -> None:
    """Raise InputError that names the first weight with NaN or Inf, and where in it."""
    import torch

    for name, value in model.named_parameters():
        if name.startswith(POOLER):
            continue
        rows = value.detach().reshape(len(value) if value.dim() else 1, -1)
        some = max(1, CHECKED_NUMBERS // max(rows.shape[1], 1))
        bad = [int((~torch.isfinite(part)).sum()) for part in rows.split(some)]
        if any(bad):
            start = next(i for i, count in enumerate(bad) if count) * some
            row = start + int((~torch.isfinite(rows[start : start + some])).nonzero()[0][0])
            raise InputError(
                f"{folder}: all vectors hold NaN or Inf, since weight {name} does"
                f" ({sum(bad)} of {value.numel()} numbers, first at row {row}). Get intact weights."
            )


def token_limit(model: Any, tokenizer: Any) -> tuple[int | None, int]:
    """Return (the most tokens the positions allow, None for no limit; the default limit).

    RoBERTa and its kin count positions from the padding's index on, so that 514 rows allow 512. MRA
    and its kin have two rows more than config.json says, which no text may use.
    """
    config = model.config.get_text_config()
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    weight = getattr(table, "weight", None)  # I-BERT's table has no num_embeddings
    rows, padding = None if weight is None else len(weight), getattr(table, "padding_idx", None)
    said = getattr(config, "max_position_embeddings", None) or getattr(config, "max_seq_len", None)
    most = int(said) if said and said > 0 else None
    if rows is not None:
        most = min(int(rows) - (0 if padding is None else int(padding) + 1), most or int(rows))
    own = tokenizer.model_max_length
    default = min(limit for limit in (most, own if own < 10**6 else None, 1 << 20) if limit)
    return most, default if most or own < 10**6 else 512


def reason(error: BaseException) -> str:
    """Return the most informative line of a long message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    known = [line for line in lines if line.startswith(("Trying to load", "Unsupported"))]
    return " ".join((known or lines or [type(error).__name__])[0].split())[:200]
