"""convert-model for transformers: checked, saved in the checkpoint's own dtype, tried.

The saved weights are read after the model is gone, so that memory holds one or the other, and are
compared with it by their digests.
"""

import gc
import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from kgtextvec.encoders.choices import NORMALIZE, Choices, check_choices, choose
from kgtextvec.encoders.folder import WEIGHTS, read_model_folder
from kgtextvec.encoders.pretrained import quiet_transformers
from kgtextvec.errors import InputError
from kgtextvec.files import need_space, read_json
from kgtextvec.models.adapter import check_adapter_files, merge_adapter
from kgtextvec.models.known import files_in
from kgtextvec.models.recipe import read_recipe
from kgtextvec.models.tokenizer import check_ids, ids_of, load_tokenizer, open_tokenizer
from kgtextvec.models.trial_texts import trial_texts
from kgtextvec.models.weights import (
    check_dims,
    check_finite,
    embedding_rows,
    load_model,
    read_config,
    stored_dtype,
    token_limit,
)
from kgtextvec.progress import say
from kgtextvec.records import EncoderFacts, ModelRecipe
from kgtextvec.settings.models import ModelTraits

# Keys of a catalogue entry that overrule the model's own recipe.
OVERRULING = ("pooling", "normalize", "prompt", "truncate_dims", "do_lower_case")


def convert_transformer(
    name: str, traits: ModelTraits, folder: Path, out: Path, adapted: Path | None = None
) -> EncoderFacts:
    """Check and save a transformers model, its heads and its tokenizer; `name` is for messages.

    `adapted`: the converted model that the adapter in `folder` belongs to; it lends what the
    adapter has not got: the tokenizer, and the recipe with its heads. Raises InputError for what
    would give wrong vectors.
    """
    from safetensors import safe_open

    quiet_transformers()
    files = files_in(folder)
    check_adapter_files(folder, set(files), adapted)
    lent = read_model_folder(adapted) if adapted else None
    own, heads_from = read_recipe(files), folder
    if adapted and lent and "modules.json" not in files:
        own, heads_from = lent.get("own", {}) | own, adapted
    home = adapted or folder / own.get("folder", "")
    config = read_config(home)
    has_tokenizer = {"tokenizer.json", "tokenizer_config.json"} & set(files)
    tokenizer_from = folder if adapted and has_tokenizer else home
    tokenizer, case = load_tokenizer(tokenizer_from, traits.do_lower_case, config["model_type"])
    # Merged weights are sums, so they are kept in float32.
    dtype = "float32" if adapted else stored_dtype(home)
    model = load_model(home, dtype)
    if adapted:
        model = merge_adapter(model, folder)
    check_ids(home, tokenizer, embedding_rows(home, model))
    most, default = token_limit(model, tokenizer)
    limit = chosen_limit(name, traits.max_tokens, own, most, default)
    if most and "max_tokens" in own:
        own["max_tokens"] = min(own["max_tokens"], most)
    asked = {key: getattr(traits, key) for key in OVERRULING if getattr(traits, key) is not None}
    choices = choose(own, asked, limit)
    parameters = sum(value.numel() for value in model.parameters())
    need_space({out.parent: sum(each.nbytes for each in model.parameters())})
    head_dims = save_heads(heads_from, own, out)
    digests, aliases = weight_digests(model.named_parameters()), aliases_of(model)
    tokenizer.model_max_length = limit
    tokenizer.save_pretrained(str(out))
    remove_local_settings(out / "tokenizer_config.json")
    # Else old names of weights (gamma, beta) would be written again.
    model.save_pretrained(str(out), max_shard_size="1000GB", save_original_format=False)
    causal, token_dims = try_model(folder, out, model, choices)
    del model
    gc.collect()
    with safe_open(out / WEIGHTS, framework="pt") as saved:
        tensors = ((name, saved.get_tensor(name)) for name in saved.keys())  # noqa: SIM118
        found = {
            aliases.get(name, name): digest for name, digest in weight_digests(tensors).items()
        }
    if {name: found.get(name) for name in digests} != digests:
        raise RuntimeError(f"{out}: the saved model has other weights than the one it came from")
    if causal and "AutoModel" in (config.get("auto_map") or {}):
        raise InputError(
            f"{home / 'config.json'}: the model has code of its own (auto_map), which is never run,"
            " and transformers' own class is causal: the model's may not be. Take a model without"
            " auto_map."
        )
    facts = {"token_dims": token_dims, "head_dims": head_dims, "causal": causal}
    dims = check_choices(replace(choices, truncate_dims=own.get("truncate_dims")), name, facts)
    check_dims(name, traits.dims, dims)
    say(f"{name}: {choices.summary()}")
    return {
        "dims": dims,
        "max_tokens": limit,
        "default_max_tokens": default,
        "do_lower_case": case.effective or choices.lower_text,
        "default_lower_case": case.default,
        "parameters": parameters,
        "own": own,
        "asked": asked,
        "token_dims": token_dims,
        "head_dims": head_dims,
        "dtype": lent.get("dtype", dtype) if lent else dtype,
        "causal": causal,
    }


def chosen_limit(
    name: str, asked: int | None, own: ModelRecipe, most: int | None, default: int
) -> int:
    """Return the tokens of a text at most: the catalogue's key, the model's own, or the default.

    `most` is what the positions allow. Raises InputError if the key asks for more.
    """
    if asked and most and asked > most:
        raise InputError(
            f"catalogue, {name}.max_tokens: {asked} is more than the model's positions allow"
            f" ({most}). Lower it."
        )
    limit = own.get("max_tokens")
    if asked is None and limit and most and limit > most:
        say(f"{name}: its files say {limit} tokens, its positions allow {most}")
        limit = most
    return asked or limit or default


def save_heads(folder: Path, own: ModelRecipe, out: Path) -> dict[str, list[int]]:
    """Save the heads as safetensors; return {name: [dims in, dims out]}, Normalize left out.

    Raises InputError for a head that can't be loaded or holds NaN.
    """
    found = {}
    for name in own.get("heads", []):
        if name == NORMALIZE:
            continue
        from kgtextvec.encoders.transformer.heads import load_head

        try:
            head = load_head(folder / name)
        except Exception as error:
            what = " ".join(str(error).split())[:200]
            raise InputError(f"{folder / name}: cannot be loaded: {what}. Get it again.") from error
        check_finite(folder / name, head)
        (out / name).mkdir()
        head.save(str(out / name))
        dims = head.get_embedding_dimension()
        found[name] = [int(getattr(head, "in_features", dims)), int(dims)]
    return found


def aliases_of(model: Any) -> dict[str, str]:
    """Return {each name of a weight: its first one}; weights that are tied have several."""
    first = {id(value): name for name, value in model.named_parameters()}
    every = model.named_parameters(remove_duplicate=False)
    return {name: first[id(value)] for name, value in every}


def weight_digests(weights: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Return {name: sha256} of weights, of their bytes."""
    import torch

    found = {}
    for name, value in weights:
        flat = value.detach().contiguous().reshape(-1).view(torch.uint8)
        found[name] = hashlib.sha256(flat.numpy()).hexdigest()
    return found


def try_model(folder: Path, out: Path, model: Any, choices: Choices) -> tuple[bool, int]:
    """Compute two texts that begin alike, with the model's own pooling and heads.

    Returns whether the model is causal (a token sees those before it alone), and the dims of a
    token's vector. Raises InputError for vectors with NaN, and for two texts that get one vector.
    What overflows in float16 is tried in bfloat16, which has the range of the float32 that it runs
    in; `model` is not needed afterwards.
    """
    import torch

    from kgtextvec.encoders.poolings import pool_function
    from kgtextvec.encoders.transformer.heads import Heads

    tokenizer = open_tokenizer(out)
    texts = [choices.prompt + text for text in trial_texts(folder, tokenizer)]
    rows = [ids_of(tokenizer, text) for text in texts]
    hidden, fault = trial_hidden(model, rows)
    if fault and model.dtype == torch.float16:
        hidden, fault = trial_hidden(model.to(torch.bfloat16), rows)
    if fault:
        raise InputError(f"{folder}: {fault}")
    same = 0
    while same < min(map(len, rows)) and rows[0][same] == rows[1][same]:
        same += 1
    first, second = (each[0, :same] for each in hidden)
    directed = any(getattr(module, "is_causal", False) for module in model.modules())
    near = 0.02 * float(hidden[0].abs().max())
    causal = directed and same > 0 and bool((first - second).abs().max() <= near)
    if causal and "cls" in choices.pooling.split("+"):
        return causal, first.shape[1]  # check_choices refuses it by name
    pool, heads = pool_function(choices.pooling), Heads(out, choices.heads, None, choices.unit)
    vectors = []
    for each in hidden:
        inside = torch.ones(each.shape[:2], dtype=torch.bool)
        vectors.append(heads(pool(each, inside, ~inside)))
    if torch.equal(vectors[0], vectors[1]):
        raise InputError(
            f"{folder}: two different texts get one vector. Get intact weights and the right"
            " tokenizer."
        )
    return causal, int(first.shape[1])


def trial_hidden(model: Any, rows: list[list[int]]) -> tuple[list[Any], str]:
    """Return the last layer (1, tokens, dims) float32 of each text's ids, and what is wrong."""
    import torch

    from kgtextvec.encoders.transformer.overflow import OverflowWatch

    hidden, watch = [], OverflowWatch(model, torch.device("cpu"))
    for ids in rows:
        try:
            given = torch.tensor([ids])
            with torch.inference_mode():
                answer = model(input_ids=given, attention_mask=torch.ones_like(given))
            hidden.append(watch.mark(answer.last_hidden_state.float()))
        except (ValueError, TypeError, AttributeError, IndexError, RuntimeError) as error:
            return [], (
                f"the model does not work as an encoder ({str(error)[:150]}). Take one that gives a"
                " vector per token, such as a BERT."
            )
    if not all(torch.isfinite(each).all() for each in hidden):
        return [], "the vectors hold NaN or Inf, first at row 0 of a trial. Get intact weights."
    return hidden, ""


def remove_local_settings(path: Path) -> None:
    """Remove from a tokenizer's settings what depends on where and how it was loaded."""
    values = read_json(path)
    for key in ("is_local", "local_files_only", "name_or_path", "trust_remote_code"):
        values.pop(key, None)
    path.write_text(json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False), "utf-8")
