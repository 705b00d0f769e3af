"""Recipes and models that are not supported are refused by name."""

import json
from pathlib import Path

import pytest
from sentence_folders import PACKAGE, bert, convert, sentence_folder
from tiny_decoders import tiny_qwen3
from tiny_models import write

from kgtextvec.errors import InputError
from kgtextvec.models.known import files_in
from kgtextvec.models.recipe import read_recipe


def changed(name: str, **values):
    """Return a change of a JSON file of a folder."""

    def change(folder: Path) -> None:
        before = json.loads((folder / name).read_text())
        write(folder / name, {**before, **values})

    return change


def other_modules(*kinds: str):
    """Return a change of modules.json."""

    def change(folder: Path) -> None:
        listed = [{"path": "", "type": kind} for kind in kinds]
        write(folder / "modules.json", listed)

    return change


REFUSED_FILES = {
    "custom_module": (other_modules("custom_st.Transformer"), r"custom_st\.Transformer is not"),
    "unknown_module": (
        other_modules(f"{PACKAGE}.Transformer", f"{PACKAGE}.WordWeights"),
        r"WordWeights is not supported",
    ),
    "no_pooling": (other_modules(f"{PACKAGE}.Transformer"), "no Pooling follows"),
    "sparse": (
        changed("config_sentence_transformers.json", model_type="SparseEncoder"),
        "SparseEncoder does not give one vector per text",
    ),
    "no_such_prompt": (
        changed("config_sentence_transformers.json", default_prompt_name="x"),
        "default_prompt_name 'x' is not one",
    ),
    "unknown_pooling": (changed("1_Pooling/config.json", pooling_mode="top"), "mode 'top'"),
    "own_function": (
        changed("2_Dense/config.json", activation_function="evil.run"),
        r"evil\.run is not a function of torch\.nn",
    ),
    "other_task": (
        changed("sentence_bert_config.json", transformer_task="fill-mask"),
        "transformer_task 'fill-mask' is not supported",
    ),
    "config_changes": (
        changed("sentence_bert_config.json", config_args={"rope_scaling": {"factor": 2}}),
        "rope_scaling .* is not supported",
    ),
}


@pytest.mark.parametrize(("change", "message"), REFUSED_FILES.values(), ids=list(REFUSED_FILES))
def test_what_a_model_asks_for_and_cannot_get_is_refused_by_name(tmp_path, change, message):
    folder = sentence_folder(bert(tmp_path / "b"), heads=["Dense"])
    change(folder)
    with pytest.raises(InputError, match=message) as caught:
        read_recipe(files_in(folder))
    assert "\n" not in str(caught.value)


def test_cls_of_a_causal_model_is_refused_at_conversion(tmp_path):
    folder = sentence_folder(tiny_qwen3(tmp_path / "q"), pooling=["cls"])
    with pytest.raises(InputError, match=r"pooling: cls is not for m, a causal model"):
        convert(folder)


def test_an_adapter_beside_its_base_is_not_left_out_in_silence(tmp_path):
    folder = bert(tmp_path / "b")
    write(folder / "adapter_config.json", {"peft_type": "LORA"})
    with pytest.raises(InputError, match="holds an adapter"):
        convert(folder)
