"""docs/models.md, "I want …": each line is read as it is written, and gives what it promises."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from downloads import run
from sentence_folders import bert, sentence_folder, vectors_of
from test_docs import REST, ROOT
from test_recipes_convert import lora
from tiny_decoders import tiny_qwen3
from tiny_models import tiny_bert

from kgtextvec.models.convert import convert_model
from kgtextvec.models.endpoint import check_keys_of_kind
from kgtextvec.models.entry import locations_of
from kgtextvec.models.unpack import unpack_model
from kgtextvec.settings.base import read_settings
from kgtextvec.settings.config import Config
from kgtextvec.settings.models import Model

PAGE = (ROOT / "docs/models.md").read_text("utf-8")
LINES = re.findall(
    r"^\| ([^|]+) \| `(.+)`[^`|]* \|$", PAGE[: PAGE.index("\n| key |")], re.MULTILINE
)
WANTED = {want: yaml.safe_load("\n".join(line.split("` and `"))) for want, line in LINES}
ENTRIES = {
    want: entries for want, entries in WANTED.items() if not {"models", "embed"} & set(entries)
}
TEXTS = ["TP53", "the receptor of the cell", "a progressive disorder"]
PROMPTS = {"query": "Instruct: find the gene\nQuery: "}


def test_every_wish_has_lines_that_a_config_takes():
    assert (len(WANTED), len(ENTRIES)) == (12, 9)
    for want, entries in WANTED.items():
        given = {"catalogue": entries} if want in ENTRIES else entries
        read_settings(Config, REST | given, f"{want}, ")
    for entries in ENTRIES.values():
        for name, entry in entries.items():
            model = read_settings(Model, entry, f"{name}.")
            check_keys_of_kind(name, model)
            assert model.kind == "endpoint" or locations_of(name, model)
    catalogue = yaml.safe_load((ROOT / "config/models.yaml").read_text("utf-8"))
    named = [name for entries in WANTED.values() for name in entries.get("models", [])]
    assert named[-1] == "owner/name" and set(named[:-1]) <= set(catalogue)


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, str]:
    """What each source of the table is here: a model made up on the spot."""
    from transformers import BertModel

    home = tmp_path_factory.mktemp("places")
    mine = tiny_bert(home / "mine", hidden=320, tokenizer_config=True)
    sentence_folder(mine, dims=320, pooling=["cls"])
    qwen3 = sentence_folder(tiny_qwen3(home / "q"), pooling=["lasttoken"], prompts=PROMPTS)
    plain = bert(home / "plain")
    adapter = lora(home / "lora", plain, BertModel, target_modules=["query", "value"])
    (home / "PubMed-w2v.bin").write_text("2 3\nthe 1 0 0\ncell 0 1 0\n")
    found = {
        "path:/data/my-model": mine,
        "hub:Qwen/Qwen3-Embedding-0.6B": qwen3,
        "path:/data/lora": adapter,
    } | dict.fromkeys(
        ["hub:owner/name", "hub:intfloat/e5-base-v2", "path:/data/bert", "path:/data/base"], plain
    )
    words = {"file:/data/PubMed-w2v.bin": f"file:{home / 'PubMed-w2v.bin'}"}
    return {source: f"path:{folder}" for source, folder in found.items()} | words


def prepared(folder: Path, entries: dict[str, dict], places: dict[str, str]) -> tuple[Path, dict]:
    """Download, unpack and convert the entries in order; return the last folder and entry."""
    out: dict[str, Path] = {}
    for name, given in entries.items():
        entry = given | {"source": places.get(given["source"], given["source"])}
        run(folder, model=name, **entry)
        unpack_model(folder / f"{name}.json", out=folder / f"{name}-unpacked")
        out[name] = folder / f"{name}-out"
        convert_model(
            folder / f"{name}-unpacked", out=out[name], model=name, entry=json.dumps(entry),
            adapted=out.get(entry.get("adapter_of", "")),
        )  # fmt: skip
    return out[name], entry


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("want", [want for want in ENTRIES if "endpoint" not in want])
def test_the_lines_of_a_wish_give_what_it_says(tmp_path, places, want):
    out, entry = prepared(tmp_path, ENTRIES[want], places)
    keys = ("pooling", "normalize", "prompt", "truncate_dims", "layers")
    options = {key: entry[key] for key in keys if key in entry}
    found = vectors_of(out, TEXTS, **options)
    assert np.isfinite(found).all()
    if "truncate_dims" in entry:
        assert found.shape[1] == 256
        assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    elif entry.get("kind") == "words":
        assert np.allclose(found[1], [2 / 3, 1 / 3, 0])
    elif options:
        (tmp_path / "plain").mkdir()
        plain, _ = prepared(tmp_path / "plain", {"m": {"source": entry["source"]}}, places)
        assert np.abs(found - vectors_of(plain, TEXTS)).max() > 1e-3, "the key changes them"
    elif "adapter_of" in entry:
        base = vectors_of(tmp_path / "base-out", TEXTS)
        assert np.abs(found - base).max() > 1e-3
    else:
        assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6), "its own Normalize"
