"""convert-model: files and weights that would give wrong vectors are refused, by name."""

import json
import os
import pickle
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from tiny_models import (
    BUILDERS,
    change_weights,
    read_weights,
    tiny_bert,
    tiny_mpnet,
    tiny_roberta,
    write,
    write_weights,
)

from kgtextvec.encoders.folder import read_model_folder
from kgtextvec.errors import InputError
from kgtextvec.models.convert import convert_model


def convert(folder: Path, **entry) -> dict:
    """Convert to the folder beside it; return the record, its digests proven."""
    out = folder.with_name(f"{folder.name}-out")
    convert_model(folder, out=out, model="m", entry=json.dumps(entry))
    return read_model_folder(out)


# --- names of weights -------------------------------------------------------------------------


def test_model_gamma_beta(tmp_path):
    folder = tiny_bert(tmp_path / "b")
    plain = convert(folder)["weights_sha256"]

    def old(name, value):
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
        return name.replace("LayerNorm.bias", "LayerNorm.beta"), value

    change_weights(folder, old)
    assert "embeddings.LayerNorm.gamma" in read_weights(folder)
    assert convert(folder)["weights_sha256"] == plain


@pytest.mark.parametrize("prefix", ["bert.", ""], ids=["with prefix", "bare"])
def test_heads_and_pooler_may_be_there_or_not(tmp_path, prefix):
    folder = tiny_bert(tmp_path / "b")
    plain = convert(folder)["weights_sha256"]
    change_weights(folder, lambda name, value: (prefix + name, value))
    tensors = read_weights(folder)
    tensors["cls.predictions.bias"] = torch.zeros(3)
    tensors[f"{prefix}embeddings.position_ids"] = torch.arange(512)[None]
    write_weights(folder, tensors)
    assert convert(folder)["weights_sha256"] == plain


def test_model_missing_pooler(tmp_path):
    folder = tiny_bert(tmp_path / "b")
    change_weights(folder, lambda name, value: None if "pooler" in name else (name, value))
    convert(folder)
    with pytest.raises(
        InputError, match=r"'pooler' is unknown\. Choose one of cls, lasttoken, max"
    ):
        convert(folder, pooling="pooler")


def test_model_wrong_prefix(tmp_path):
    folder = tiny_bert(tmp_path / "b")
    change_weights(folder, lambda name, value: (f"encoder_q.{name}", value))
    with pytest.raises(InputError, match="39 of 39 weights are missing"):
        convert(folder)


def test_one_missing_weight_is_named(tmp_path):
    folder = tiny_mpnet(tmp_path / "b")
    lost = "encoder.layer.1.output.dense.weight"
    change_weights(folder, lambda name, value: None if name == lost else (name, value))
    with pytest.raises(InputError, match=f"1 of [0-9]+ weights are missing .first {lost}"):
        convert(folder)


def test_a_config_of_a_smaller_model_is_told(tmp_path):
    folder = tiny_bert(tmp_path / "b", layers=3)
    config = json.loads((folder / "config.json").read_text())
    write(folder / "config.json", {**config, "num_hidden_layers": 2})
    with pytest.raises(InputError, match=r"16 would be left out .first encoder\.layer\.2"):
        convert(folder)


def test_a_weight_of_another_shape_is_named(tmp_path):
    folder = tiny_bert(tmp_path / "b")
    name = "encoder.layer.0.output.dense.weight"
    change_weights(folder, lambda n, value: (n, value[:, :5] if n == name else value))
    with pytest.raises(InputError, match=rf"{name} has shapes \(32, 5\) and \(32, 64\)"):
        convert(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_model_nan_weight(tmp_path, value):
    folder = tiny_bert(tmp_path / "b")
    tensors = read_weights(folder)
    tensors["encoder.layer.1.output.LayerNorm.weight"][5] = value
    write_weights(folder, tensors)
    message = (
        r"vectors hold NaN or Inf.*encoder\.layer\.1\.output\.LayerNorm\.weight.*first at row 5"
    )
    with pytest.raises(InputError, match=message):
        convert(folder)


def test_weights_keep_their_precision(tmp_path):
    folder = change_weights(tiny_bert(tmp_path / "b"), lambda name, value: (name, value.half()))
    assert convert(folder)["dtype"] == "float16"
    assert {value.dtype for value in read_weights(tmp_path / "b-out").values()} == {torch.float16}


# --- files ------------------------------------------------------------------------------------


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_model_evil_pickle(tmp_path, form):
    folder, trace = tiny_bert(tmp_path / "b"), tmp_path / "executed"
    path = folder / "pytorch_model.bin"
    if form == "torch":
        torch.save({"a": Evil(trace)}, path)
    else:
        path.write_bytes(pickle.dumps({"a": Evil(trace)}))
    with pytest.raises(InputError, match="not plain tensors"):
        convert(folder)
    assert not trace.exists()
    assert not (tmp_path / "b-out").exists()
    pickle.loads(pickle.dumps(Evil(trace)))  # noqa: S301 (shows that the trap works)
    assert trace.exists()


@pytest.mark.parametrize("weights", ["bin", "safetensors"])
def test_weights_cut_short_are_refused(tmp_path, weights):
    folder = tiny_bert(tmp_path / "b", weights=weights)
    path = next(path for path in folder.iterdir() if path.suffix in (".bin", ".safetensors"))
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(InputError, match=r"the weights are (damaged|not plain tensors)"):
        convert(folder)


def test_weights_in_torchs_old_form_are_read(tmp_path):
    folder = tiny_bert(tmp_path / "b")
    plain = convert(folder)["weights_sha256"]
    path = folder / "pytorch_model.bin"
    torch.save(read_weights(folder), path, _use_new_zipfile_serialization=False)
    assert path.read_bytes()[:2] != b"PK"
    assert convert(folder)["weights_sha256"] == plain
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(InputError, match=r"the weights are|cannot be loaded"):
        convert(folder)


def test_a_git_lfs_pointer_is_told(tmp_path):
    folder = tiny_bert(tmp_path / "b")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    (folder / "pytorch_model.bin").write_text(pointer)
    with pytest.raises(InputError, match=r"pytorch_model\.bin: is a Git LFS pointer.*git lfs pull"):
        convert(folder)


@pytest.mark.skipif(find_spec("google") is not None, reason="protobuf is installed")
def test_a_lone_sentencepiece_model_without_protobuf_is_told(tmp_path):
    folder = BUILDERS["deberta-v2"](tmp_path / "b")
    (folder / "tokenizer.json").rename(folder / "spm.model")
    with pytest.raises(InputError, match=r"spm\.model cannot be read without .* protobuf"):
        convert(folder)


REMOVED = {
    "model_bert_no_vocab": (tiny_bert, ["vocab.txt"], r"vocab\.txt missing"),
    "model_mpnet_no_vocab": (tiny_mpnet, ["vocab.txt"], r"vocab\.txt missing"),
    "model_roberta_no_merges": (tiny_roberta, ["merges.txt"], r"merges\.txt missing"),
    "model_roberta_no_vocab": (tiny_roberta, ["vocab.json"], r"vocab\.json missing"),
    "model_modernbert_no_tokenizer": (
        BUILDERS["modernbert"],
        ["tokenizer.json"],
        r"tokenizer\.json missing",
    ),
    "model_deberta_no_tokenizer": (
        BUILDERS["deberta-v2"],
        ["tokenizer.json"],
        r"spm\.model missing",
    ),
    "model_no_weights": (tiny_bert, ["pytorch_model.bin"], "no weights: neither"),
    "model_no_config": (tiny_bert, ["config.json"], r"config\.json missing"),
}


@pytest.mark.parametrize(("build", "names", "message"), REMOVED.values(), ids=list(REMOVED))
def test_a_missing_file_is_named(tmp_path, build, names, message):
    folder = build(tmp_path / "b")
    for name in names:
        (folder / name).unlink()
    with pytest.raises(InputError, match=message) as caught:
        convert(folder)
    assert "\n" not in str(caught.value)


CONFIGS = {
    "model_remote_code": (
        {"auto_map": {"AutoModel": "evil.Model"}, "model_type": "evil"},
        "custom code",
    ),
    "model_no_type": ({"model_type": None}, "model_type missing"),
    "model_unknown_type": ({"model_type": "evo9"}, "does not know model_type 'evo9'"),
    "model_quantized": ({"quantization_config": {"bits": 4}}, "quantized"),
}


@pytest.mark.parametrize(("change", "message"), CONFIGS.values(), ids=list(CONFIGS))
def test_a_config_that_cannot_be_trusted_is_refused(tmp_path, change, message, capsys):
    folder = tiny_bert(tmp_path / "b")
    config = json.loads((folder / "config.json").read_text())
    write(folder / "config.json", {**config, **change})
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(InputError, match=message):
        convert(folder)
    assert not (tmp_path / "ran").exists()
    assert not capsys.readouterr().out, "nobody is asked"


def test_custom_code_of_a_tokenizer_is_refused(tmp_path):
    folder = tiny_bert(tmp_path / "b")
    write(folder / "tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.T", None]}})
    with pytest.raises(InputError, match="custom code"):
        convert(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_a_config_that_is_not_one_is_told(tmp_path, text):
    folder = tiny_bert(tmp_path / "b")
    (folder / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config\.json: (not valid JSON|model_type missing)"):
        convert(folder)


def test_an_index_of_weights_that_are_not_there_is_told(tmp_path):
    folder = tiny_bert(tmp_path / "b")
    (folder / "pytorch_model.bin").unlink()
    index = {"weight_map": {"a": "../pytorch_model-00001-of-00001.bin"}}
    write(folder / "pytorch_model.bin.index.json", index)
    with pytest.raises(InputError, match=r"pytorch_model-00001-of-00001\.bin missing"):
        convert(folder)


def test_a_damaged_folder_is_not_replaced_by_half_a_model(tmp_path):
    folder = tiny_bert(tmp_path / "b")
    before = convert(folder)
    (folder / "vocab.txt").unlink()
    with pytest.raises(InputError):
        convert(folder)
    assert read_model_folder(tmp_path / "b-out") == before
