"""Models that convert-model refuses: weights of other kinds, lengths without room, false claims."""

import json

import pytest
import torch
from test_models import convert
from tiny_models import (
    read_weights,
    tiny_bert,
    write,
    write_weights,
)

from kgtextvec.errors import InputError


@pytest.mark.parametrize("weights", ["bin", "safetensors"])
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (torch.complex64, "complex numbers"),
        (torch.int8, "integers"),
        (torch.int64, "integers"),
        (torch.uint8, "integers"),
        (torch.bool, "true and false"),
    ],
)
def test_weights_that_are_no_floats_are_refused(tmp_path, weights, kind, words):
    name = "encoder.layer.0.attention.self.query.weight"
    tiny_bert(tmp_path / "m")
    tensors = read_weights(tmp_path / "m")
    write_weights(tmp_path / "m", tensors | {name: tensors[name].to(kind)}, weights)
    with pytest.raises(InputError, match=f"{name} holds {words}, not floats"):
        convert(tmp_path / "m")


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_of_any_float_and_buffers_of_integers_are_taken(tmp_path, kind):
    tiny_bert(tmp_path / "m")
    tensors = {name: value.to(kind) for name, value in read_weights(tmp_path / "m").items()}
    ids = torch.arange(512).reshape(1, 512)
    write_weights(tmp_path / "m", tensors | {"embeddings.position_ids": ids}, "safetensors")
    assert convert(tmp_path / "m")["dims"]


@pytest.mark.parametrize("length", [7, 0, -1, "512", None, [512]])
def test_a_length_without_room_for_a_text_is_refused(tmp_path, length):
    tiny_bert(tmp_path / "m")
    write(tmp_path / "m/tokenizer_config.json", {"model_max_length": length})
    if length is None:  # transformers takes its default
        assert convert(tmp_path / "m")["max_tokens"]
        return
    with pytest.raises(InputError, match=r"model_max_length in tokenizer_config\.json is"):
        convert(tmp_path / "m")


@pytest.mark.parametrize("weights", ["bin", "safetensors"])
@pytest.mark.parametrize(
    ("key", "claimed"),
    [("num_hidden_layers", 10**6), ("vocab_size", 10**9), ("intermediate_size", 10**12)],
)
def test_a_config_that_claims_far_more_than_there_is_is_refused_before_room_is_made(
    tmp_path, weights, key, claimed
):
    tiny_bert(tmp_path / "m")
    write_weights(tmp_path / "m", read_weights(tmp_path / "m"), weights)
    config = json.loads((tmp_path / "m/config.json").read_text())
    write(tmp_path / "m/config.json", config | {key: claimed})
    with pytest.raises(InputError, match=rf"config\.json claims {key} {claimed}, and the weights"):
        convert(tmp_path / "m")
