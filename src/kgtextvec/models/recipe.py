"""What a model's own files say of how a text becomes a vector: sentence-transformers' layout.

modules.json names the modules in order, each in a folder with its settings; the texts' length,
case and prompts are in files next to it. What is not supported is refused by name: half a recipe
gives vectors that look right and are not.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kgtextvec.errors import InputError
from kgtextvec.files import read_json
from kgtextvec.models.known import RECIPE
from kgtextvec.records import ModelRecipe

# Theirs for ours, in the order in which sentence-transformers puts several side by side.
FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
MODES = {name.removeprefix("pooling_mode_"): ours for name, ours in FLAGS.items()} | {
    ours: ours for ours in FLAGS.values()
}
POOLING_KEYS = {"word_embedding_dimension", "embedding_dimension", "pooling_mode", "include_prompt"}
HEAD_TYPES = ("Dense", "LayerNorm", "Normalize")
WITHOUT_EFFECT = ("Dropout",)  # it acts in training alone
# Settings of the Transformer module that change no number of a text's vector.
HARMLESS = {
    "trust_remote_code", "attn_implementation", "torch_dtype", "dtype", "device_map",
    "use_safetensors", "low_cpu_mem_usage", "add_pooling_layer", "padding_side", "use_cache",
    "use_memory_efficient_attention", "unpad_inputs", "local_files_only", "revision",
}  # fmt: skip
FIXED = {
    "transformer_task": "feature-extraction", "module_output_name": "token_embeddings",
    "module_input_name": "sentence_embedding",
}  # fmt: skip
MODALITIES = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
OTHER_MODEL = "Take another model, or give a folder without this file and the right keys."


def read_recipe(files: Mapping[str, Path]) -> ModelRecipe:
    """Read what the files of a model (by name, folders included) say; {} if they say nothing.

    Raises InputError for a module, a setting or a value that is not supported.
    """
    recipe: ModelRecipe = {}
    folder = ""
    if "modules.json" in files:
        path = files["modules.json"]
        modules = read_json(path, OTHER_MODEL)
        if not isinstance(modules, list) or not modules:
            raise InputError(f"{path}: holds no list of modules. {OTHER_MODEL}")
        kinds = [module_of(path, module) for module in modules]
        (first, folder), *rest = kinds
        if first != "Transformer":
            raise InputError(f"{path}: the first module is {first}, not Transformer. {OTHER_MODEL}")
        if not rest or rest[0][0] != "Pooling":
            raise InputError(f"{path}: no Pooling follows the Transformer. {OTHER_MODEL}")
        pooling = files.get(f"{rest[0][1]}/config.json")
        if pooling is None:
            raise InputError(
                f"{path}: names {rest[0][1]}, and {rest[0][1]}/config.json is missing. Get the"
                " whole model."
            )
        recipe |= read_pooling(pooling)
        recipe["heads"] = [
            read_head(files, kind, place) for kind, place in rest[1:] if kind in HEAD_TYPES
        ]
        if folder:
            recipe["folder"] = folder
    inside = f"{folder}/" if folder else ""
    for name in sorted(files):
        base = name.removeprefix(inside)
        if RECIPE.fullmatch(base) and base.startswith("sentence_"):
            recipe |= read_transformer_settings(files[name])
    if "config_sentence_transformers.json" in files:
        recipe |= read_prompts(files["config_sentence_transformers.json"])
    return recipe


def module_of(path: Path, module: Any) -> tuple[str, str]:
    """Return the class and the folder of an entry of modules.json."""
    if not isinstance(module, dict) or not isinstance(module.get("type"), str):
        raise InputError(f"{path}: a module without type. {OTHER_MODEL}")
    package, _, kind = module["type"].rpartition(".")
    known = ("Transformer", "Pooling", *HEAD_TYPES, *WITHOUT_EFFECT)
    if package.partition(".")[0] != "sentence_transformers" or kind not in known:
        raise InputError(
            f"{path}: module {module['type']} is not supported. Only {', '.join(known)} of"
            " sentence-transformers are known; code of a model's own is never run."
            f" {OTHER_MODEL}"
        )
    return kind, str(module.get("path") or "").strip("/")


def read_pooling(path: Path) -> ModelRecipe:
    """Read the settings of a Pooling module."""
    values = mapping_in(path)
    strange = [key for key, value in values.items() if value and key not in POOLING_KEYS | {*FLAGS}]
    if strange:
        raise InputError(
            f"{path}: {strange[0]} is not known, so it is not supported. {OTHER_MODEL}"
        )
    modes = values.get("pooling_mode")
    if modes is None:
        modes = [ours for flag, ours in FLAGS.items() if values.get(flag)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else list(modes)
    for mode in modes:
        if mode not in MODES:
            raise InputError(f"{path}: pooling mode {mode!r} is not known. {OTHER_MODEL}")
    found: ModelRecipe = {"pooling": "+".join(MODES[mode] for mode in modes)}
    if values.get("include_prompt") is False:
        found["include_prompt"] = False
    return found


def read_head(files: Mapping[str, Path], kind: str, folder: str) -> str:
    """Return the name of a head, checked: its folder, or Normalize."""
    path = files.get(f"{folder}/config.json")
    values = mapping_in(path) if path else {}
    for key in ("module_input_name", "module_output_name"):
        if values.get(key) not in (None, FIXED["module_input_name"]):
            raise InputError(f"{path}: {key} {values[key]!r} is not supported. {OTHER_MODEL}")
    if kind == "Normalize":
        return kind
    if path is None or folder.partition("_")[2] != kind:
        raise InputError(
            f"modules.json: {kind} in {folder!r} has no {folder}/config.json. Get the whole model."
        )
    activation = values.get("activation_function")
    if kind == "Dense" and activation and not str(activation).startswith("torch.nn."):
        raise InputError(f"{path}: {activation} is not a function of torch.nn. {OTHER_MODEL}")
    return folder


def read_transformer_settings(path: Path) -> ModelRecipe:
    """Read the length and the case of texts next to a Transformer module."""
    values = mapping_in(path)
    found: ModelRecipe = {}
    most, lower = values.pop("max_seq_length", None), values.pop("do_lower_case", False)
    for name in [key for key in values if key.endswith(("_args", "_kwargs"))]:
        inside = values.pop(name)
        if isinstance(inside, dict):
            most = most or inside.pop("model_max_length", None)
            values |= inside
    for key, value in values.items():
        harmless = key in HARMLESS or not value or value == FIXED.get(key)
        if not harmless and not (key == "modality_config" and value == MODALITIES):
            raise InputError(f"{path}: {key} {value!r} is not supported. {OTHER_MODEL}")
    if most is not None:
        if not isinstance(most, int) or most < 1:
            raise InputError(
                f"{path}: max_seq_length {most!r} is not a number of tokens. {OTHER_MODEL}"
            )
        found["max_tokens"] = most
    if lower:
        found["lower_text"] = True
    return found


def read_prompts(path: Path) -> ModelRecipe:
    """Read the prompts, the default one, and the dims to keep."""
    values = mapping_in(path)
    kind = values.get("model_type") or "SentenceTransformer"
    if kind != "SentenceTransformer":
        raise InputError(f"{path}: a {kind} does not give one vector per text. {OTHER_MODEL}")
    prompts = {
        str(name): text for name, text in (values.get("prompts") or {}).items() if text is not None
    }
    default, dims = values.get("default_prompt_name"), values.get("truncate_dim")
    found: ModelRecipe = {}
    if default is not None and default not in prompts:
        raise InputError(
            f"{path}: default_prompt_name {default!r} is not one of its prompts. Correct it."
        )
    if any(prompts.values()):
        found["prompts"] = prompts
    if default is not None and prompts[default]:
        found["default_prompt"] = default
    if dims is not None:
        found["truncate_dims"] = int(dims)
    return found


def mapping_in(path: Path) -> dict[str, Any]:
    """Return a JSON file's mapping. Raises InputError if it holds none."""
    values = read_json(path, OTHER_MODEL)
    if not isinstance(values, dict):
        raise InputError(f"{path}: holds no mapping of settings. {OTHER_MODEL}")
    return dict(values)
