"""transformers' `from_pretrained` for a folder on this disk: no network, no remote code."""

from pathlib import Path
from typing import Any

from kgtextvec.files import read_json

# Encoders that transformers does not list as such.
ENCODER_HALVES = {
    "longt5": "LongT5EncoderModel",
    "switch_transformers": "SwitchTransformersEncoderModel",
}
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


def load_with_report(model_class: Any, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Load a model in float32, and transformers' report on its weights.

    The report has missing_keys, unexpected_keys and mismatched_keys, which the caller refuses by
    name. Raises whatever transformers raises on damaged files.
    """
    import torch

    quiet_transformers()
    # bandit asks for a revision to pin; this is a folder on this disk.
    model, report = model_class.from_pretrained(  # nosec B615
        str(folder),
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
        **LOCAL_ONLY,
    )
    return model, report
