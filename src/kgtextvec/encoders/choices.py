"""How a text becomes a vector: what the catalogue's keys, the model's own files and defaults say.

A key overrules the model's files, and these overrule the defaults. Every choice is kept with who
made it, for manifests and logs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kgtextvec.errors import InputError, did_you_mean
from kgtextvec.records import ModelRecipe

KEY, MODEL, DEFAULT = "key", "model", "default"
NORMALIZE = "Normalize"
LAST = "last"
# What `layers` can be, by kind; an ELMo also takes the number of a layer.
LAYERS = {
    "transformer": (LAST, "average", "first_last"),
    "elmo": ("average", "top", "token", "concat"),
}


@dataclass(frozen=True)
class Choices:
    """What was chosen, as `EncoderSettings` has it, and who chose it: {name: who}."""

    pooling: str
    heads: tuple[str, ...]
    unit: bool
    truncate_dims: int | None
    prompt: str
    include_prompt: bool
    lower_text: bool
    max_tokens: int | None
    layers: str = LAST
    by: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return {name: {value, by}} for manifests; of what nobody chose only three."""
        shown: dict[str, Any] = {
            "pooling": self.pooling,
            "normalize": self.unit or NORMALIZE in self.heads,
            "heads": [name for name in self.heads if name != NORMALIZE],
            "truncate_dims": self.truncate_dims,
            "prompt": self.prompt,
            "include_prompt": self.include_prompt,
            "lower_text": self.lower_text,
            "max_tokens": self.max_tokens,
            "layers": self.layers,
        }
        return {
            name: {"value": value, "by": self.by.get(name, DEFAULT)}
            for name, value in shown.items()
            if name in ("pooling", "normalize", "max_tokens")
            or self.by.get(name, DEFAULT) != DEFAULT
        }

    def summary(self) -> str:
        """Return one line for logs: each choice and who made it."""
        parts = [f"{name} {one['value']!r} ({one['by']})" for name, one in self.to_dict().items()]
        return ", ".join(parts)


def choose(own: ModelRecipe, asked: Mapping[str, Any], most: int | None = None) -> Choices:
    """Return what holds, given the model's own recipe and the catalogue's keys.

    `asked` has pooling, normalize, prompt, truncate_dims, max_tokens, layers and do_lower_case,
    where they are given; `most` is the length of a text if neither says. Raises InputError for a
    prompt that is none of the model's.
    """
    by: dict[str, str] = {}

    def pick(name: str, key: str, default: Any) -> Any:
        if asked.get(name) is not None:
            by[name] = KEY
            return asked[name]
        if key in own:
            by[name] = MODEL
            return own.get(key)
        return default

    pooling = pick("pooling", "pooling", "mean")
    heads = tuple(own.get("heads") or ())
    if any(name != NORMALIZE for name in heads):
        by["heads"] = MODEL
    unit = asked.get("normalize")
    if unit is not None:
        by["normalize"] = KEY
    elif "heads" in own:
        by["normalize"] = MODEL
    if unit is False:
        heads = tuple(name for name in heads if name != NORMALIZE)
    lower = own.get("lower_text", False)
    if asked.get("do_lower_case") is not None:
        by["lower_text"], lower = KEY, lower and asked["do_lower_case"]
    elif lower:
        by["lower_text"] = MODEL
    if own.get("include_prompt") is False:
        by["include_prompt"] = MODEL
    prompt = chosen_prompt(own, asked.get("prompt"))
    if asked.get("prompt") is not None:
        by["prompt"] = KEY
    elif "default_prompt" in own:
        by["prompt"] = MODEL
    return Choices(
        pooling=pooling,
        heads=heads,
        unit=bool(unit),
        truncate_dims=pick("truncate_dims", "truncate_dims", None),
        prompt=prompt,
        include_prompt=own.get("include_prompt", True),
        lower_text=bool(lower),
        max_tokens=pick("max_tokens", "max_tokens", most),
        layers=pick("layers", "layers", LAST),
        by=by,
    )


def chosen_prompt(own: ModelRecipe, asked: str | None) -> str:
    """Return the text of the prompt: one of the model's by its name, or the text itself."""
    prompts = own.get("prompts", {})
    if asked is None:
        return prompts.get(own.get("default_prompt", ""), "")
    if asked in prompts:
        return prompts[asked]
    if re.fullmatch(r"[\w-]+", asked):
        known = f"It has {', '.join(prompts)}." if prompts else "It has none by name."
        raise InputError(
            f"prompt: {asked!r} is not a prompt of the model. {known}"
            f" {did_you_mean(asked, prompts)}"
            " A prompt's text is written as it stands before a text, such as 'query: '."
        )
    return asked


def check_choices(choices: Choices, model: str, facts: Mapping[str, Any]) -> int:
    """Return the dims of a text's vector. Raises InputError for what the model can't do.

    `facts` are those of its record: dims of a token (`token_dims`), whether it is `causal`, and
    (in, out) of its heads (`head_dims`).
    """
    names = choices.pooling.split("+")
    if facts.get("causal") and "cls" in names:
        raise InputError(
            f"pooling: cls is not for {model}, a causal model: its first token sees no other, so"
            " that texts that begin alike get one vector. Take lasttoken."
        )
    check_layers(model, "transformer", choices.layers)
    trained = [head for head in choices.heads if head != NORMALIZE]
    if choices.layers != LAST and trained:
        raise InputError(
            f"layers: {choices.layers} is not for {model}, whose {trained[0]} was trained on the"
            " last layer. Leave the key out."
        )
    dims = int(facts["token_dims"]) * len(names)
    for head in choices.heads:
        expected, given = facts.get("head_dims", {}).get(head, (dims, dims))
        if expected != dims:
            raise InputError(
                f"pooling: {choices.pooling} gives {dims} dims, and {head} of {model} takes"
                f" {expected}. Leave the key out: the model's own pooling fits."
            )
        dims = int(given)
    if choices.truncate_dims and choices.truncate_dims > dims:
        raise InputError(
            f"truncate_dims: {choices.truncate_dims} is more than the {dims} dims of {model}."
            " Lower it, or leave it out."
        )
    return choices.truncate_dims or dims


def check_layers(model: str, kind: str, layers: str | int) -> None:
    """Raise InputError unless a model of the kind can have `layers`.

    How many layers an ELMo has is not known here.
    """
    known = LAYERS[kind]
    if layers in known or (kind == "elmo" and str(layers).isdigit()):
        return
    more = " or the number of a layer" if kind == "elmo" else ""
    near = did_you_mean(str(layers), known)
    raise InputError(
        f"layers: {layers!r} is not for {model}, a model of the kind {kind}. Write one of"
        f" {', '.join(known)}{more}. {near}".rstrip()
    )
