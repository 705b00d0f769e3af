"""Conversion: adapters, code of a model's own, precision, vocabularies without words."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_folders import TEXTS, assert_close, bert, convert, sentence_folder, vectors_of
from tiny_decoders import tiny_qwen3
from tiny_models import write

from kgtextvec.embed.fingerprint import resolve
from kgtextvec.encoders.folder import read_model_folder
from kgtextvec.errors import InputError
from kgtextvec.models.convert import convert_model
from kgtextvec.models.known import wanted
from kgtextvec.settings.models import Embed, EncoderOptions, Mode


def lora(folder: Path, base: Path, build, **settings) -> Path:
    """Save a LoRA with random weights for the model in `base`, as peft saves it."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(3)
    config = LoraConfig(r=4, lora_alpha=8, task_type="FEATURE_EXTRACTION", **settings)
    model = get_peft_model(build.from_pretrained(str(base)), config)
    for name, value in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(value, std=0.2)
    model.save_pretrained(str(folder))
    return folder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("head", [False, True], ids=["of_an_encoder", "of_a_model_with_a_head"])
def test_an_adapter_is_merged_into_its_model(tmp_path, head):
    from peft import PeftModel
    from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

    base = tiny_qwen3(tmp_path / "q")
    sentence_folder(base, pooling=["lasttoken"], heads=[])
    kind = AutoModelForCausalLM if head else AutoModel
    adapter = lora(tmp_path / "lora", base, kind, target_modules=["q_proj", "v_proj"])
    out = tmp_path / "merged"
    convert_model(adapter, out=out, model="m", adapted=convert(base))
    tuned = PeftModel.from_pretrained(kind.from_pretrained(str(base)), str(adapter)).eval()
    encoder = tuned.base_model.model.model if head else tuned
    tokenizer = AutoTokenizer.from_pretrained(str(base))
    exact = []
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt")
        with torch.inference_mode():
            exact.append(encoder(**ids).last_hidden_state[0, -1].numpy())
    found = vectors_of(out)
    assert_close(found, np.array(exact))
    assert np.abs(found - vectors_of(tmp_path / "q-out")).max() > 0.01


@pytest.mark.filterwarnings("ignore")
def test_an_adapter_of_another_model_is_refused(tmp_path):
    from transformers import AutoModel

    base, other = tiny_qwen3(tmp_path / "q"), bert(tmp_path / "b")
    adapter = lora(tmp_path / "lora", base, AutoModel, target_modules=["q_proj"])
    with pytest.raises(InputError, match="adapter does not fit its model"):
        convert_model(adapter, out=tmp_path / "x", model="m", adapted=convert(other))
    deeper = tiny_qwen3(tmp_path / "deep", layers=5)
    with pytest.raises(InputError, match="trained on another model"):
        convert_model(adapter, out=tmp_path / "x", model="m", adapted=convert(deeper))


def test_a_model_with_code_of_its_own_is_loaded_by_transformers_class(tmp_path, capfd):
    folder = bert(tmp_path / "b")
    plain = vectors_of(convert(folder))
    config = json.loads((folder / "config.json").read_text())
    write(folder / "config.json", {**config, "auto_map": {"AutoModel": "evil.Model"}})
    (folder / "evil.py").write_text("raise SystemExit")
    assert np.array_equal(vectors_of(convert(folder)), plain)
    assert "not run; transformers' own bert takes its place" in capfd.readouterr().err


def test_causal_models_with_code_of_their_own_are_refused(tmp_path):
    """gte-Qwen2's code attends in both directions; transformers' Qwen2 does not."""
    folder = tiny_qwen3(tmp_path / "q")
    config = json.loads((folder / "config.json").read_text())
    write(folder / "config.json", {**config, "auto_map": {"AutoModel": "modeling.Model"}})
    with pytest.raises(InputError, match=r"auto_map.*class is causal"):
        convert(folder)


def test_all_files_of_a_recipe_are_fetched_and_weights_of_one_form_only():
    names = [
        "modules.json", "config.json", "model.safetensors", "pytorch_model.bin", "README.md",
        "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/pytorch_model.bin",
        "2_Dense/model.safetensors", "onnx/model.onnx", "onnx/config.json",
        "sentence_bert_config.json", "config_sentence_transformers.json", "a/1_Pooling/config.json",
    ]  # fmt: skip
    assert wanted(names) == [
        "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors", "config.json",
        "config_sentence_transformers.json", "model.safetensors", "modules.json",
        "sentence_bert_config.json",
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_are_saved_in_their_own_precision(tmp_path, dtype):
    from tiny_models import change_weights, read_weights

    folder = change_weights(bert(tmp_path / "b"), lambda name, value: (name, value.to(dtype)))
    exact = vectors_of(convert(folder))
    record = read_model_folder(tmp_path / "b-out")
    assert record["dtype"] == str(dtype).removeprefix("torch.")
    assert {value.dtype for value in read_weights(tmp_path / "b-out").values()} == {dtype}
    on = {device: resolve(record, EncoderOptions(), Embed(), Mode(), device).precision
          for device in ("cuda:0", "cpu")}  # fmt: skip
    assert on == {"cuda:0": record["dtype"], "cpu": "float32"}, "auto follows both"
    change_weights(folder, lambda name, value: (name, value.float()))
    assert np.array_equal(vectors_of(convert(folder)), exact)


def test_a_weight_that_changes_while_it_is_saved_is_noticed(tmp_path, monkeypatch):
    from transformers import PreTrainedModel

    save = PreTrainedModel.save_pretrained

    def with_a_fault(model, *args, **kwargs):
        model.get_input_embeddings().weight.data[3, 5] += 1e-6
        save(model, *args, **kwargs)

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", with_a_fault)
    with pytest.raises(RuntimeError, match="has other weights than the one it came from"):
        convert(bert(tmp_path / "b"))
    assert not (tmp_path / "b-out").exists()


def test_a_saved_model_that_lacks_a_weight_is_not_run(tmp_path):
    from safetensors.torch import load_file, save_file

    from kgtextvec.encoders.transformer.loading import read_transformer

    out = convert(bert(tmp_path / "b"))
    assert read_transformer(out, "float32")
    weights = load_file(out / "model.safetensors")
    del weights["encoder.layer.1.output.dense.bias"]
    save_file(weights, out / "model.safetensors", {"format": "pt"})
    with pytest.raises(RuntimeError, match=r"1 weights are missing \(first encoder\.layer\.1"):
        read_transformer(out, "float32")


def test_weights_of_several_precisions_are_saved_in_float32(tmp_path):
    from tiny_models import change_weights

    folder = change_weights(
        bert(tmp_path / "b"),
        lambda name, value: (name, value.bfloat16() if "query" in name else value),
    )
    assert read_model_folder(convert(folder))["dtype"] == "float32"


def test_a_protein_model_is_tried_with_its_own_tokens(tmp_path, capfd):
    from tiny_models import encoder_size, save, write_lines
    from transformers import EsmConfig, EsmModel

    folder = tmp_path / "esm"
    folder.mkdir()
    acids = list("LAGVSERTIDPKQNFYMHWC")
    tokens = ["<cls>", "<pad>", "<eos>", "<unk>", *acids, "<mask>"]
    write_lines(folder / "vocab.txt", tokens)
    write(folder / "tokenizer_config.json", {"tokenizer_class": "EsmTokenizer"})
    config = EsmConfig(
        vocab_size=len(tokens),
        pad_token_id=1,
        mask_token_id=len(tokens) - 1,
        max_position_embeddings=130,
        position_embedding_type="rotary",
        token_dropout=True,
        **encoder_size(32, 2),
    )
    save(folder, EsmModel, config, 0, "safetensors", 0.3)
    out = convert(folder)
    assert "no vocabulary of words" in capfd.readouterr().err
    texts = ["LAGVSERT", "MKQNFYLAGVLAGVSERTHWC", "LA"]
    model_texts = vectors_of(out, texts)
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(str(folder)), AutoModel.from_pretrained(folder)
    exact = []
    for text in texts:
        with torch.inference_mode():
            given = tokenizer(text, return_tensors="pt")
            exact.append(model.eval()(**given).last_hidden_state[0].mean(0).numpy())
    assert_close(model_texts, np.array(exact))
