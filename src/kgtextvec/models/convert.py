"""Check a model's folder and save it once as safetensors, with a record of what it is."""

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kgtextvec.encoders.folder import RECORD, WEIGHTS, file_digests, tokenizer_digest
from kgtextvec.encoders.pretrained import quiet_transformers
from kgtextvec.errors import InputError
from kgtextvec.files import read_json, whole_folder, write_json
from kgtextvec.models.known import is_known
from kgtextvec.models.sources import Entry, read_entry
from kgtextvec.progress import say

# Bumped by hand when the same files give another folder.
RECIPE = 1
PACKAGES = ("kgtextvec", "torch", "transformers", "tokenizers", "safetensors")
ElmoFiles = tuple[Path | None, Path | None, Path | None]  # weights, options, vocabulary


def convert(
    out: Path,
    folder: Path | None,
    model: str | None,
    entry: str,
    downloaded: Path | None,
    kind: str | None,
    elmo_files: ElmoFiles,
) -> None:
    """Make the folder `out` (config.json, model.safetensors, tokenizer, kgtextvec.json).

    Raises InputError when the model would give wrong vectors; `out` is then not made.
    """
    home = folder or elmo_files[0]
    if home is None:
        raise InputError("convert-model: name the model's folder, or --weights and --options.")
    name = model or re.sub(r"[^A-Za-z0-9._+-]", "_", home.absolute().name).lstrip(".-+") or "model"
    about = read_entry(name, entry, sources=False)
    record = read_json(downloaded) if downloaded else {}
    with whole_folder(out) as part:
        if (kind or about.kind) == "elmo":
            facts = convert_elmo(about, elmo_inputs(folder, elmo_files), part)
        else:
            if folder is None or not folder.is_dir():
                raise InputError(f"{home}: is no folder. Run unpack-model first.")
            facts = convert_transformer(about, folder, part)
        digests = file_digests(part)
        whole = {
            "model": about.model,
            "kind": kind or about.kind,
            "source": record.get("source") or f"path:{home.absolute()}",
            "revision": record.get("revision"),
            "weights_sha256": digests[WEIGHTS],
            "tokenizer_sha256": tokenizer_digest(part),
            **facts,
            "pooling": about.pooling,
            "license": about.license,
            "citation": about.citation,
            "recipe": RECIPE,
            "versions": {name: version_of(name) for name in PACKAGES},
            "files": digests,
        }
        write_json(part / RECORD, whole)
    say(
        f"{about.model}: {whole['dims']} dims, {whole['parameters']:,} parameters,"
        f" {whole['max_tokens'] or 'any number of'} tokens a text"
    )


def convert_transformer(about: Entry, folder: Path, out: Path) -> dict[str, Any]:
    """Check and save a transformers model; return dims, limits and what was found of case."""
    from kgtextvec.models.tokenizer import check_ids, load_tokenizer
    from kgtextvec.models.weights import load_model, read_config, token_limit

    quiet_transformers()
    config = read_config(folder)
    tokenizer, case = load_tokenizer(folder, about.do_lower_case, config["model_type"])
    model = load_model(folder)
    check_ids(folder, tokenizer, int(model.get_input_embeddings().weight.shape[0]))
    most, default = token_limit(model, tokenizer)
    if about.max_tokens and most and about.max_tokens > most:
        raise InputError(
            f"catalogue, {about.model}.max_tokens: {about.max_tokens} is more than the model's"
            f" positions allow ({most}). Lower it."
        )
    limit = about.max_tokens or default
    vectors = probe(folder, model, tokenizer)
    dims = int(vectors.shape[1])
    if about.dims and about.dims != dims:
        raise InputError(
            f"catalogue, {about.model}.dims: {about.dims}, but the model's vectors have {dims}."
            " Mend the entry, or get the right model."
        )
    tokenizer.model_max_length = limit
    tokenizer.save_pretrained(str(out))
    tidy(out / "tokenizer_config.json")
    # Else old names of weights (gamma, beta) would be written again.
    model.save_pretrained(str(out), max_shard_size="1000GB", save_original_format=False)
    check_saved(out, vectors)
    return {
        "dims": dims,
        "max_tokens": limit,
        "do_lower_case": case.effective,
        # What the files do when nobody interferes, as scripts that load them plainly get it.
        "default_lower_case": case.default,
        "parameters": sum(value.numel() for value in model.parameters()),
    }


def probe(folder: Path, model: Any, tokenizer: Any) -> Any:
    """Return the mean vectors (2, dims) of two sentences; refuse NaN, and two that are equal."""
    import torch

    from kgtextvec.models.tokenizer import OTHER, SENTENCE, ids_of

    rows = []
    for text in (SENTENCE, OTHER):
        ids = torch.tensor([ids_of(tokenizer, text)])
        try:
            with torch.inference_mode():
                answer = model(input_ids=ids, attention_mask=torch.ones_like(ids))
            rows.append(answer.last_hidden_state[0].mean(0))
        except (ValueError, TypeError, AttributeError, IndexError, RuntimeError) as error:
            raise InputError(
                f"{folder}: the model does not work as an encoder ({str(error)[:150]}). Take one"
                " that gives a vector per token, such as a BERT."
            ) from error
    vectors = torch.stack(rows)
    if not torch.isfinite(vectors).all():
        raise InputError(f"{folder}: the vectors hold NaN or Inf, first at row 0 of a trial.")
    if torch.equal(vectors[0], vectors[1]):
        raise InputError(f"{folder}: two different sentences get one vector. The model is broken.")
    return vectors


def check_saved(out: Path, vectors: Any) -> None:
    """Load what was saved and prove that it gives the same vectors to the bit."""
    import torch

    from kgtextvec.models.tokenizer import open_tokenizer
    from kgtextvec.models.weights import load_model

    again = probe(out, load_model(out), open_tokenizer(out))
    if not torch.equal(again, vectors):
        raise RuntimeError(f"{out}: the saved model gives other vectors than the one it came from")


def tidy(path: Path) -> None:
    """Take out of the tokenizer's settings what tells of this run, not of the tokenizer."""
    values = json.loads(path.read_text("utf-8"))
    for key in ("is_local", "local_files_only", "name_or_path", "trust_remote_code"):
        values.pop(key, None)
    path.write_text(json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False), "utf-8")


def elmo_inputs(folder: Path | None, given: ElmoFiles) -> tuple[Path, Path, Path | None]:
    """Return weights, options and vocabulary, as given or as found in the folder."""
    weights, options, vocabulary = given
    if folder is not None:
        here = sorted(
            path for path in folder.iterdir() if path.is_file() and is_known(path.name, "elmo")
        )
        weights = weights or only(folder, here, (".hdf5", ".index"), "weights (.hdf5)")
        options = options or only(folder, here, ("options.json",), "options.json")
        words = [path for path in here if path.suffix == ".txt"]
        vocabulary = vocabulary or (words[0] if len(words) == 1 else None)
    if weights is None or options is None:
        raise InputError("convert-model: an ELMo needs its weights and its options.json.")
    for path in (weights, options):
        if not path.is_file():
            raise InputError(f"{path}: no such file.")
    return weights, options, vocabulary


def only(folder: Path, paths: list[Path], ends: tuple[str, ...], what: str) -> Path:
    """Return the one file with such an ending."""
    found = [path for path in paths if path.name.endswith(ends)]
    if len(found) != 1:
        raise InputError(f"{folder}: holds {len(found)} files of {what}; an ELMo has one.")
    return found[0]


def convert_elmo(about: Entry, files: tuple[Path, Path, Path | None], out: Path) -> dict[str, Any]:
    """Convert bilm-tf's files; return dims, layers and the number of parameters."""
    from safetensors import safe_open

    from kgtextvec.encoders.elmo.convert import convert_bilm

    weights, options, vocabulary = files
    convert_bilm(weights=weights, options=options, vocabulary=vocabulary, out=out)
    config = read_json(out / "config.json")
    dims = int(config.get("hidden_size") or 2 * config["projection_size"])
    if about.dims and about.dims != dims:
        raise InputError(
            f"catalogue, {about.model}.dims: {about.dims}, but the model's vectors have {dims}."
            " Mend the entry, or get the right model."
        )
    parameters = 0
    with safe_open(out / WEIGHTS, framework="numpy") as tensors:
        for name in tensors.keys():  # noqa: SIM118 (not a mapping)
            size = 1
            for side in tensors.get_slice(name).get_shape():
                size *= side
            parameters += size
    return {
        "dims": dims,
        "layers": int(config["num_hidden_layers"]) + 1,
        "max_tokens": about.max_tokens,
        "do_lower_case": None,
        "default_lower_case": None,
        "parameters": parameters,
    }


def version_of(package: str) -> str:
    """Return a package's version."""
    from kgtextvec import __version__

    return __version__ if package == "kgtextvec" else version(package)
