"""Check a model's folder and save it once as safetensors, with a record of what it is."""

import re
from math import prod
from pathlib import Path
from typing import Annotated, Literal

from kgtextvec.encoders.folder import RECORD, WEIGHTS, file_digests, tokenizer_digest
from kgtextvec.errors import InputError
from kgtextvec.files import read_json, whole_folder
from kgtextvec.models import RECIPE
from kgtextvec.models.entry import read_access, read_entry
from kgtextvec.models.known import is_known
from kgtextvec.models.weights import check_dims
from kgtextvec.progress import say
from kgtextvec.records import DownloadOrigin, EncoderFacts, ModelRecord, read_record, write_record
from kgtextvec.settings.models import Access, Model, ModelTraits
from kgtextvec.versions import versions_of

CONVERT_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors")


def convert_model(
    folder: Annotated[Path | None, "folder that unpack-model made"] = None,
    *,
    out: Annotated[Path, "folder to make"],
    model: Annotated[str | None, "name in the catalogue (default: the folder's name)"] = None,
    entry: Annotated[str, "the catalogue entry, as JSON"] = "{}",
    downloaded: Annotated[Path | None, "record that download-model wrote"] = None,
    adapted: Annotated[Path | None, "converted model that an adapter belongs to"] = None,
    access: Annotated[str, "an endpoint's api_key_env and requests, as JSON"] = "{}",
    kind: Annotated[Literal["transformer", "elmo"] | None, "default: the entry's kind"] = None,
    weights: Annotated[Path | None, "elmo: HDF5 weights"] = None,
    options: Annotated[Path | None, "elmo: options.json"] = None,
    vocabulary: Annotated[Path | None, "elmo: list of words, optional"] = None,
) -> None:
    """Check a model's folder and save it as safetensors, with kgtextvec.json.

    For ELMo, weights, options and vocabulary may stand in for the folder. An endpoint has no
    folder: its server is asked for two vectors. Raises InputError when the model would give wrong
    vectors; the folder `out` is then not made.
    """
    if model and read_entry(model, entry, ModelTraits).kind == "endpoint":
        record_endpoint(model, read_entry(model, entry, Model), read_access(model, access), out)
        return
    home = folder or weights
    if home is None:
        raise InputError(
            "convert-model: no model is named. Name its folder, or --weights and --options."
        )
    name = model or re.sub(r"[^A-Za-z0-9._+-]", "_", home.absolute().name).lstrip(".-+") or "model"
    traits = read_entry(name, entry, ModelTraits)
    origin: DownloadOrigin = {"model": name, "source": f"path:{home.absolute()}", "revision": None}
    if downloaded:
        origin = read_record(downloaded, DownloadOrigin)
    with whole_folder(out) as part:
        if traits.kind != "words" and (kind or traits.kind) == "elmo":
            facts = convert_elmo(
                name, traits, elmo_files(folder, weights, options, vocabulary), part
            )
        elif folder is None or not folder.is_dir():
            raise InputError(f"{home}: is no folder. Run unpack-model first.")
        elif traits.kind == "words":
            from kgtextvec.models.word_vectors import convert_words

            facts = convert_words(name, traits, folder, part)
        else:
            from kgtextvec.models.transformer import convert_transformer

            facts = convert_transformer(name, traits, folder, part, adapted)
        digests = file_digests(part)
        record: ModelRecord = {
            "model": name,
            "kind": kind or traits.kind,
            "source": origin["source"],
            "revision": origin.get("revision"),
            "weights_sha256": digests[WEIGHTS],
            "tokenizer_sha256": tokenizer_digest(part),
            **facts,
            "pooling": traits.pooling or facts.get("own", {}).get("pooling") or "mean",
            "license": traits.license,
            "citation": traits.citation,
            "recipe": RECIPE["convert_model"],
            "versions": versions_of(*CONVERT_PACKAGES),
            "files": digests,
        }
        write_record(part / RECORD, record)
    say(
        f"{name}: {facts['dims']} dims, {facts['parameters']:,} parameters,"
        f" {facts['max_tokens'] or 'any number of'} tokens a text"
    )


def record_endpoint(name: str, entry: Model, access: Access, out: Path) -> None:
    """Make the folder of an endpoint, once its server has answered."""
    from kgtextvec.models.endpoint import convert_endpoint

    with whole_folder(out) as part:
        facts, identity = convert_endpoint(name, entry, access, part)
        record: ModelRecord = {
            "model": name,
            "kind": entry.kind,
            "source": str(entry.source),
            "revision": None,
            "weights_sha256": identity,
            "tokenizer_sha256": "",
            **facts,
            "pooling": "",
            "license": entry.license,
            "citation": entry.citation,
            "recipe": RECIPE["convert_model"],
            "versions": versions_of("requests", "urllib3"),
            "files": file_digests(part),
        }
        write_record(part / RECORD, record)
    say(f"{name}: {facts['dims']} dims, from {entry.source}")


def elmo_files(
    folder: Path | None, weights: Path | None, options: Path | None, vocabulary: Path | None
) -> tuple[Path, Path, Path | None]:
    """Return weights, options and vocabulary, as given or as found in the folder."""
    from kgtextvec.encoders.elmo.bilm_folder import files_in_use

    if folder is not None:
        known = (path for path in folder.iterdir() if path.is_file())
        named = {path.name: path for path in known if is_known(path.name, "elmo")}
        here = sorted(files_in_use(named).values())
        has_hdf5 = any(path.suffix == ".hdf5" for path in here)
        ends = (".hdf5",) if has_hdf5 else (".index",)  # both hold the same, HDF5 without softmax
        weights = weights or file_ending_in(folder, here, ends, "weights (.hdf5)")
        options = options or file_ending_in(folder, here, ("options.json",), "options.json")
        words = [path for path in here if path.suffix == ".txt"]
        vocabulary = vocabulary or (words[0] if len(words) == 1 else None)
    if weights is None or options is None:
        raise InputError(
            "convert-model: an ELMo needs its weights and its options.json. Name both."
        )
    for path in (weights, options):
        if not path.is_file():
            raise InputError(f"{path}: no such file. Correct the path.")
    return weights, options, vocabulary


def file_ending_in(folder: Path, paths: list[Path], ends: tuple[str, ...], what: str) -> Path:
    """Return the one file with one of these endings. Raises InputError if there is not one."""
    found = [path for path in paths if path.name.endswith(ends)]
    if len(found) != 1:
        raise InputError(f"{folder}: holds {len(found)} files of {what}. Leave one.")
    return found[0]


def convert_elmo(
    name: str, traits: ModelTraits, files: tuple[Path, Path, Path | None], out: Path
) -> EncoderFacts:
    """Convert bilm-tf's weights, options and vocabulary; `name` is used in messages."""
    from safetensors import safe_open

    from kgtextvec.encoders.elmo.convert import convert_bilm

    weights, options, vocabulary = files
    convert_bilm(weights=weights, options=options, vocabulary=vocabulary, out=out)
    config = read_json(out / "config.json")
    dims = int(config.get("hidden_size") or 2 * config["projection_size"])
    check_dims(name, traits.dims, dims)
    with safe_open(out / WEIGHTS, framework="numpy") as tensors:
        shapes = [tensors.get_slice(key).get_shape() for key in tensors.keys()]  # noqa: SIM118
    return {
        "dims": dims,
        "layers": int(config["num_hidden_layers"]) + 1,
        "max_tokens": traits.max_tokens,
        "do_lower_case": None,
        "default_lower_case": None,
        "parameters": sum(prod(shape) for shape in shapes),
    }
