"""What decides a text's vector besides the text: the key of a folder in the vector store."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.device import choose_precision
from kgtextvec.embed import EMBED_RECIPE
from kgtextvec.encoders import EncoderSettings
from kgtextvec.encoders.choices import LAST, Choices, check_choices, choose
from kgtextvec.encoders.folder import limit_tokens
from kgtextvec.records import ModelRecipe, ModelRecord
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
    "words": ("tokens",),
}  # fmt: skip
# `mode` acts through special_tokens and lower_case; an ELMo's layers are chosen from stored
# vectors, and those of transformers are part of the recipe.
NEVER_IN_KEY = ("mode", "layers")
# Settings for all models, of which these kinds have no use.
UNUSED = {"endpoint": ("precision",), "words": ("precision",)}
# In the key by what they come to, whoever chose it: see recipe_in_key.
IN_KEY_RESOLVED = ("normalize", "prompt", "truncate_dims")


def runs_on_mps(record: ModelRecord) -> bool:
    """Return whether a model runs on Apple's GPUs, which have no float64: an ELMo sums in it."""
    return record["kind"] != "elmo"


def resolve(
    record: ModelRecord, options: EncoderOptions, embed: Embed, mode: Mode, device: str
) -> EncoderSettings:
    """Return how the model runs on `device`: defaults and `auto` replaced by what they mean here.

    Raises InputError when the model cannot take so many tokens, or can't do what a key asks for.
    """
    if record["kind"] == "endpoint":
        return EncoderSettings(
            device=device,
            precision="",
            pooling="",
            max_tokens=0,
            long_text="",
            prompt=options.prompt or "",
            max_characters=options.max_characters,
        )
    if record["kind"] == "words":
        return EncoderSettings(
            device="cpu", precision="", long_text="", max_tokens=0, tokens=options.tokens
        )
    faithful = mode.mode == "faithful"
    is_transformer = record["kind"] == "transformer"
    choices = choices_for(record, options, mode)
    if is_transformer and "token_dims" in record:
        check_choices(choices, record["model"], record)
    return EncoderSettings(
        device=device,
        precision=choose_precision(embed.precision, device, is_transformer, record.get("dtype")),
        pooling=choices.pooling,
        heads=choices.heads,
        unit=choices.unit,
        truncate_dims=choices.truncate_dims,
        prompt=choices.prompt,
        include_prompt=choices.include_prompt,
        lower_text=choices.lower_text,
        max_tokens=limit_tokens(choices.max_tokens, record),
        long_text=embed.long_text,
        special_tokens="control" if faithful else "literal",
        lower_case=record.get("default_lower_case") if faithful else None,
        batch_tokens=None if embed.batch_tokens == "auto" else embed.batch_tokens,
        layers=choices.layers if is_transformer else options.layers,
        initial_state=options.initial_state,
        tokens=options.tokens,
    )


def choices_for(record: ModelRecord, options: EncoderOptions, mode: Mode) -> Choices:
    """Return how a text becomes a vector, and who chose it; faithful: as a plain AutoModel would.

    Raises InputError for a prompt that is none of the model's.
    """
    keys = ("max_tokens", "pooling", *IN_KEY_RESOLVED)
    given = {key: getattr(options, key) for key in keys}
    if record["kind"] == "transformer":
        given["layers"] = options.layers
    asked = record.get("asked", {}) | {
        key: value for key, value in given.items() if value is not None
    }
    if mode.mode == "faithful":
        own: ModelRecipe = {}
        most = record.get("default_max_tokens") or record.get("max_tokens")
    else:
        own, most = record.get("own", {}), record.get("max_tokens")
    return choose(own, asked, most)


def choices_in_manifest(
    record: ModelRecord, options: EncoderOptions, mode: Mode
) -> dict[str, dict[str, Any]]:
    """Return {name: {value, by}} of how a text became a vector; {} for endpoints and words."""
    without = record["kind"] in ("endpoint", "words")
    return {} if without else choices_for(record, options, mode).to_dict()


def recipe_in_key(record: ModelRecord, settings: EncoderSettings) -> dict[str, Any]:
    """Return what the store's key has of the recipe: what isn't as in a plain model."""
    heads = [
        [name, {file: sha for file, sha in record["files"].items() if file.startswith(f"{name}/")}]
        for name in settings.heads
    ]
    found = {
        "prompt": settings.prompt,
        "without_prompt": not settings.include_prompt,
        "heads": heads,
        "unit": settings.unit,
        "truncate_dims": settings.truncate_dims,
        "lower_text": settings.lower_text,
        "layers": settings.layers if record["kind"] == "transformer" else None,
    }
    if found["layers"] == LAST:
        found["layers"] = None
    return {key: value for key, value in found.items() if value}


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
        if key not in (*always, *NEVER_IN_KEY, *IN_KEY_RESOLVED) and key not in UNUSED.get(kind, ())
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
        "recipe": EMBED_RECIPE[kind],
        **engine,
        **{key: getattr(settings, key) for key in always},
        **later,
        **recipe_in_key(record, settings),
    }


def vector_dims(record: ModelRecord, settings: EncoderSettings) -> int:
    """Return the dims of a text's vector; ELMo's `concat` has those of all layers together."""
    if record["kind"] == "elmo" and settings.layers != "concat":
        return int(record["dims"])
    return stored_dims(record, settings)


def stored_dims(record: ModelRecord, settings: EncoderSettings) -> int:
    """Return the dims of a vector in the store: for an ELMo all layers side by side."""
    if "token_dims" not in record:
        return int(record["dims"]) * int(record.get("layers") or 1)
    head_dims = record.get("head_dims", {})
    dims = int(record["token_dims"]) * (settings.pooling.count("+") + 1)
    for name in settings.heads:
        dims = head_dims.get(name, (dims, dims))[1]
    return settings.truncate_dims or dims


def chosen_layers(
    vectors: NDArray[np.float32], record: ModelRecord, layers: str | int | None
) -> NDArray[np.float32]:
    """Take from stored vectors (n, stored_dims) what is asked for, (n, vector_dims).

    An ELMo's layers are stored once and chosen from here, so another choice costs no forward pass.
    """
    if record["kind"] != "elmo":
        return vectors
    from kgtextvec.encoders.elmo.engine import choose_layers

    return choose_layers(vectors, layers, int(record.get("layers") or 1) - 1)
