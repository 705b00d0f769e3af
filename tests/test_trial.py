"""The trial of a converted model: with the entry's own pooling, on two texts that begin alike."""

import pytest
from sentence_folders import bert, convert
from tiny_decoders import tiny_qwen3
from tiny_models import change_weights, tiny_bert

from kgtextvec.errors import InputError
from kgtextvec.models.tokenizer import open_tokenizer
from kgtextvec.models.trial_texts import trial_texts


def without_attention(folder):
    """A BERT in which no token sees another: the first one is alike in all texts."""

    def change(name, value):
        mixes = "attention.output.dense" in name
        return name, value * 0 if mixes else value

    return change_weights(folder, change)


def test_the_trial_uses_the_pooling_of_the_entry(tmp_path):
    assert convert(without_attention(bert(tmp_path / "mean"))).is_dir()
    folder = without_attention(bert(tmp_path / "cls"))
    with pytest.raises(InputError, match="two different texts get one vector"):
        convert(folder, pooling="cls")
    assert not (tmp_path / "cls-out").exists()


@pytest.mark.parametrize("build", [tiny_bert, tiny_qwen3])
def test_its_texts_begin_alike_and_differ(tmp_path, build):
    out = convert(build(tmp_path / "m"))
    tokenizer = open_tokenizer(out)
    first, second = (tokenizer(text)["input_ids"] for text in trial_texts(out, tokenizer))
    assert first != second
    assert first[:2] == second[:2]
