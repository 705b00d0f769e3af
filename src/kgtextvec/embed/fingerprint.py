"""What decides a text's vector besides the text: the key of a folder in the vector store."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.device import choose_precision
from kgtextvec.embed import RECIPE
from kgtextvec.encoders import EncoderSettings
from kgtextvec.encoders.folder import limit_tokens
from kgtextvec.records import ModelRecord
from kgtextvec.settings.base import changed
from kgtextvec.settings.models import Embed, EncoderOptions, Mode

# In the key at their defaults too, as the first stores have them. Any later setting is in the key
# only where it differs from its default, so that a new setting leaves every store valid.
ALWAYS_IN_KEY = {
    "transformer": (
        "pooling", "max_tokens", "long_text", "precision", "special_tokens", "lower_case",
    ),
    "elmo": ("pooling", "precision", "initial_state", "tokens"),
    "endpoint": (),
}  # fmt: skip
# `mode` acts through special_tokens and lower_case; layers are chosen from stored vectors.
NEVER_IN_KEY = ("mode", "layers")
SERVERS_OWN = ("precision",)  # of an endpoint: settings for all models that it has no use for


def resolve(
    record: ModelRecord, options: EncoderOptions, embed: Embed, mode: Mode, device: str
) -> EncoderSettings:
    """Return how the model runs on `device`: defaults and `auto` replaced by what they mean here.

    Raises InputError when the model cannot take so many tokens.
    """
    if record["kind"] == "endpoint":
        return EncoderSettings(
            device=device,
            precision="",
            pooling="",
            max_tokens=0,
            long_text="",
            max_characters=options.max_characters,
        )
    faithful = mode.mode == "faithful"
    is_transformer = record["kind"] == "transformer"
    return EncoderSettings(
        device=device,
        precision=choose_precision(embed.precision, device, is_transformer),
        pooling=options.pooling,
        max_tokens=limit_tokens(options.max_tokens, record),
        long_text=embed.long_text,
        special_tokens="control" if faithful else "literal",
        lower_case=record.get("default_lower_case") if faithful else None,
        batch_tokens=None if embed.batch_tokens == "auto" else embed.batch_tokens,
        layers=options.layers,
        initial_state=options.initial_state,
        tokens=options.tokens,
    )


def fingerprint_of(
    record: ModelRecord, settings: EncoderSettings, *given: EncoderOptions | Embed | Mode
) -> dict[str, Any]:
    """Return what decides a vector; `settings` are resolved, `given` are those they come from.

    The device is left out: at one precision the numbers agree to the tolerance of the tests.
    """
    kind = record["kind"]
    always = ALWAYS_IN_KEY[kind]
    later = {
        key: value
        for key, value in changed(*given, acts="vectors", kind=kind).items()
        if key not in (*always, *NEVER_IN_KEY, *(SERVERS_OWN if kind == "endpoint" else ()))
    }
    engine: dict[str, Any] = {}
    if kind == "elmo":
        from kgtextvec.encoders.elmo.engine import ELMO_RECIPE
        from kgtextvec.encoders.elmo.model import WARM_ROUNDS, WARM_TEXT

        engine = {"engine_recipe": ELMO_RECIPE, "warm": [WARM_ROUNDS, WARM_TEXT]}
    return {
        "kind": kind,
        "weights_sha256": record["weights_sha256"],
        "tokenizer_sha256": record["tokenizer_sha256"],
        "recipe": RECIPE["embed_shard"],
        **engine,
        **{key: getattr(settings, key) for key in always},
        **later,
    }


def vector_dims(record: ModelRecord, layers: str | int) -> int:
    """Return the dims of a text's vector; ELMo's `concat` has those of all layers together."""
    return stored_dims(record) if layers == "concat" else int(record["dims"])


def stored_dims(record: ModelRecord) -> int:
    """Return the dims of a vector in the store: for an ELMo all layers side by side."""
    return int(record["dims"]) * int(record.get("layers") or 1)


def chosen_layers(
    vectors: NDArray[np.float32], record: ModelRecord, layers: str | int
) -> NDArray[np.float32]:
    """Take from stored vectors (n, stored_dims) what is asked for, (n, vector_dims).

    An ELMo's layers are stored once and chosen from here, so another choice costs no forward pass.
    """
    if record["kind"] != "elmo":
        return vectors
    from kgtextvec.encoders.elmo.engine import choose_layers

    n_layers = stored_dims(record) // int(record["dims"]) - 1
    return choose_layers(vectors, layers, n_layers)
