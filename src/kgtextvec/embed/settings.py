"""What decides a text's vector besides the text."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.errors import InputError

# Bumped by hand when the same texts and settings give other numbers; part of the store's key.
RECIPE = 1
MODEL_KEYS = (
    "kind",
    "source",
    "revision",
    "weights_sha256",
    "tokenizer_sha256",
    "license",
    "citation",
    "parameters",
)


def limit_tokens(asked: int | None, about: dict[str, Any]) -> int:
    """Return the tokens a text may have. Raises InputError when the model can't take so many."""
    most = about.get("max_tokens")
    if asked and most and asked > most:
        raise InputError(
            f"max_tokens: {asked} is more than {about['model']} can take ({most}). Lower it."
        )
    return int(asked or most or 512)


def dims_of(about: dict[str, Any], settings: dict[str, Any]) -> int:
    """Return the dims of a text's vector; ELMo's `concat` has those of all layers together."""
    if about["kind"] == "elmo" and settings["layers"] == "concat":
        return int(about["dims"]) * int(about["layers"])
    return int(about["dims"])


def stored_dims(about: dict[str, Any]) -> int:
    """Return the dims of a vector in the store: for an ELMo all layers side by side."""
    return int(about["dims"]) * int(about.get("layers") or 1)


def chosen_layers(
    vectors: NDArray[np.float32], about: dict[str, Any], settings: dict[str, Any]
) -> NDArray[np.float32]:
    """Take from stored vectors (n, stored_dims) what is asked for, (n, dims).

    An ELMo's layers are stored once and chosen from here, so another choice costs no forward pass.
    """
    if about["kind"] != "elmo":
        return vectors
    from kgtextvec.encoders.elmo.engine import choose_layers

    chosen: NDArray[np.float32] = choose_layers(
        vectors, settings["layers"], int(about["layers"]) - 1
    )
    return chosen


def fingerprint_of(about: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Return all that decides a text's vector besides the text: the key of the store.

    The device is left out: at one precision the numbers agree to the tolerance of the tests.
    """
    ours = ["pooling", "max_tokens", "long_text", "precision", "special_tokens", "lower_case"]
    engine: dict[str, Any] = {}
    if about["kind"] == "elmo":
        from kgtextvec.encoders.elmo.engine import RECIPE as ENGINE_RECIPE
        from kgtextvec.encoders.elmo.model import WARM_ROUNDS, WARM_TEXT

        ours = ["pooling", "precision", "initial_state", "tokens"]
        engine = {"engine_recipe": ENGINE_RECIPE, "warm": [WARM_ROUNDS, WARM_TEXT]}
    return {
        "kind": about["kind"],
        "weights_sha256": about["weights_sha256"],
        "tokenizer_sha256": about["tokenizer_sha256"],
        "recipe": RECIPE,
        **engine,
        **{key: settings[key] for key in ours},
    }
