"""transformers' `from_pretrained` for a folder on this disk: no network, no remote code."""

from pathlib import Path
from typing import Any

from kgtextvec.files import read_json

# Encoders that transformers does not list as such.
ENCODER_HALVES = {
    "longt5": "LongT5EncoderModel",
    "switch_transformers": "SwitchTransformersEncoderModel",
}
POOLER = "pooler."  # weights of BERT's own pooling, which is not used
LOCAL_ONLY: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def quiet_transformers() -> None:
    """Turn off transformers' warnings and progress bars."""
    from transformers import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def encoder_class(folder: Path) -> Any:
    """Return the class that loads a folder's encoder: of T5 and its kin, only that half."""
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES

    kind = str(read_json(folder / "config.json")["model_type"])
    name = ENCODER_HALVES.get(kind) or MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES.get(kind, "")
    return getattr(transformers, name if name.endswith("EncoderModel") else "AutoModel")


def can_split_special(tokenizer: Any) -> bool:
    """Return whether a tokenizer can read control tokens in a text as plain characters.

    Those of proteins can't: each of their tokens is kept in one piece in the same way.
    """
    if getattr(tokenizer, "backend_tokenizer", None) is not None:
        return True
    special = set(tokenizer.all_special_tokens)
    text = "".join(
        [one for one in tokenizer.get_vocab() if one.isalnum() and one not in special][:4]
    )
    ids = [tokenizer(text, split_special_tokens=split)["input_ids"] for split in (True, False)]
    return bool(ids[0] == ids[1])


def load_with_report(
    model_class: Any, folder: Path, dtype: str = "float32"
) -> tuple[Any, dict[str, Any]]:
    """Load a model in a dtype, and transformers' report on its weights.

    The report has missing_keys, unexpected_keys and mismatched_keys, which the caller refuses by
    name. Raises whatever transformers raises on damaged files.
    """
    import torch

    quiet_transformers()
    # bandit asks for a revision to pin; this is a folder on this disk.
    model, report = model_class.from_pretrained(  # nosec B615
        str(folder),
        dtype=getattr(torch, dtype),
        output_loading_info=True,
        ignore_mismatched_sizes=True,
        **LOCAL_ONLY,
    )
    return model, report
