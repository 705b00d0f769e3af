"""Adapters of PEFT: small changes of another model's weights, merged into them once."""

from pathlib import Path
from typing import Any

from kgtextvec.errors import InputError

ADAPTER_CONFIG = "adapter_config.json"


def check_adapter_files(folder: Path, names: set[str], adapted: Path | None) -> None:
    """Raise InputError unless an adapter has the model that it belongs to, and a model has none.

    `names` are those of the folder's files.
    """
    if ADAPTER_CONFIG in names and adapted is None:
        raise InputError(
            f"{folder}: holds an adapter ({ADAPTER_CONFIG}), which changes the weights of another"
            " model. Name that model in the entry, adapter_of: <name in the catalogue>, or give a"
            " folder without the adapter."
        )
    if adapted is not None and ADAPTER_CONFIG not in names:
        raise InputError(
            f"{folder}: adapter_of is set, and there is no {ADAPTER_CONFIG}. Remove it."
        )


def merge_adapter(model: Any, folder: Path) -> Any:
    """Return `model` (float32) with the adapter in `folder` merged into its weights, by peft.

    Raises InputError for an adapter that can't be merged, or was trained on another model.
    """
    from peft import PeftConfig, get_peft_model, set_peft_model_state_dict
    from peft.utils import load_peft_weights

    try:
        config = PeftConfig.from_pretrained(str(folder))
        config.task_type, config.inference_mode = "FEATURE_EXTRACTION", True
        wrapped = get_peft_model(model, config)
        before = {name for name, _ in wrapped.named_parameters() if "lora_" in name}
        weights = load_peft_weights(str(folder), device="cpu")
        found: Any = set_peft_model_state_dict(wrapped, without_head(weights, wrapped))
    except (ValueError, KeyError, TypeError, RuntimeError, OSError, AttributeError) as error:
        what = " ".join(str(error).split())[:200]
        raise InputError(
            f"{folder}: the adapter does not fit its model: {what}. Correct adapter_of."
        ) from error
    if not before:
        raise InputError(
            f"{folder}: an adapter of the kind {config.peft_type} can't be merged. Take a LoRA, or"
            " the merged model."
        )
    missing = sorted(before & set(found.missing_keys))
    if found.unexpected_keys or missing:
        raise InputError(
            f"{folder}: the adapter was trained on another model than adapter_of names"
            f" ({len(found.unexpected_keys)} weights too many, {len(missing)} missing, first"
            f" {(*found.unexpected_keys, *missing)[0]}). Correct adapter_of."
        )
    return wrapped.merge_and_unload().eval().requires_grad_(False)


def without_head(weights: dict[str, Any], wrapped: Any) -> dict[str, Any]:
    """Return an adapter's weights by the encoder's names.

    One that was trained on a model with a head has the encoder's name in each of its names:
    base_model.model.model.layers for base_model.model.layers.
    """
    inner = {name for name, _ in wrapped.base_model.model.named_children()}
    found = {}
    for name, value in weights.items():
        start, sep, rest = name.partition("base_model.model.")
        first, _, below = rest.partition(".")
        headed = sep and first not in inner and below.partition(".")[0] in inner
        found[f"{start}{sep}{below}" if headed else name] = value
    return found
