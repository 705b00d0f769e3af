"""Folders as bilm-tf leaves them: two checkpoints, one layer, kinds that are not supported."""

import json
import shutil
from pathlib import Path

import elmo_oracle
import h5py
import numpy as np
import pytest
from downloads import run
from elmo_models import write
from finetune_models import (
    WORDS,
    slots_of,
    tiny_checkpoint,
    training_options,
    weights_of,
    write_model,
)
from finetune_runs import finetune
from safetensors.numpy import load_file
from tf_checkpoints import checkpoint_name, write_checkpoint

from kgtextvec.encoders.elmo.convert import convert_bilm
from kgtextvec.errors import InputError
from kgtextvec.finetune.corpus import read_softmax_words
from kgtextvec.finetune.plan import training_settings
from kgtextvec.finetune.source import open_source
from kgtextvec.models.convert import convert_model
from kgtextvec.models.unpack import unpack_model
from kgtextvec.settings.training import FineTuning

LATEST = 'model_checkpoint_path: "/home/them/run 1/model.ckpt-12"\n' + (
    'all_model_checkpoint_paths: "/home/them/run 1/model.ckpt-3"\n'
    'all_model_checkpoint_paths: "/home/them/run 1/model.ckpt-12"\n'
)


def two_checkpoints(folder: Path, state: str | None = LATEST) -> Path:
    """Write model.ckpt-3 with random weights and model.ckpt-12 with others."""
    tiny_checkpoint(folder, seed=0)
    later = tiny_checkpoint(folder.parent / "later", seed=1)
    for path in later.glob("model.ckpt-3.*"):
        shutil.copyfile(path, folder / path.name.replace("ckpt-3", "ckpt-12"))
    if state:
        (folder / "checkpoint").write_text(state)
    return folder


def converted(folder: Path, out: Path) -> dict[str, np.ndarray]:
    entry = json.dumps({"kind": "elmo", "source": "path:x"})
    convert_model(folder, out=out, model="elmo", entry=entry)
    return load_file(out / "model.safetensors")


def test_of_two_checkpoints_the_latest_is_taken_wherever_it_lay(tmp_path):
    folder = two_checkpoints(tmp_path / "model")
    ours = converted(folder, tmp_path / "out")
    right = weights_of(training_options(), seed=1)
    assert np.array_equal(ours["char_embed"], right["char_embed"])
    source = open_source(folder)
    assert np.array_equal(source.weights()["char_embed"], right["char_embed"])
    record = run(tmp_path, f"path:{folder}", kind="elmo")
    names = {file["name"] for file in record["files"]}
    assert "model.ckpt-12.index" in names and "model.ckpt-3.index" not in names


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, "holds 2 checkpoints .*no file checkpoint names the latest"),
        ('model_checkpoint_path: "model.ckpt-99"\n', "the file checkpoint names 'model.ckpt-99'"),
    ],
)
def test_two_checkpoints_of_which_none_is_the_latest_are_refused(tmp_path, state, message):
    folder = two_checkpoints(tmp_path / "model", state)
    for use in (lambda: converted(folder, tmp_path / "out"), lambda: open_source(folder),
                lambda: run(tmp_path, f"path:{folder}", kind="elmo")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            use()


def test_one_checkpoint_is_taken_whatever_the_file_checkpoint_names(tmp_path):
    folder = tiny_checkpoint(tmp_path / "model")
    (folder / "checkpoint").write_text(LATEST)
    assert len(converted(folder, tmp_path / "out")) > 10
    assert open_source(folder).rows == len(WORDS)


def test_a_checkpoint_beside_its_hdf5_is_no_second_model(tmp_path):
    folder = tiny_checkpoint(tmp_path / "model")
    options = training_options()
    weights, _ = write(tmp_path / "hdf5", options, elmo_oracle.random_weights(options, 5))
    shutil.copyfile(weights, folder / "weights.hdf5")
    ours = converted(folder, tmp_path / "out")
    with h5py.File(folder / "weights.hdf5") as file:
        assert np.array_equal(ours["char_embed"], file["char_embed"][...])
    assert open_source(folder).rows == len(WORDS)


def one_layer(**more) -> tuple[dict, dict]:
    """Return options without n_layers, as bilm-tf takes them, and weights by usual names."""
    options = training_options(**more)
    options["lstm"]["n_layers"] = 1
    return options, weights_of(options)


def without_cell(name: str) -> str:
    return name.replace("/multi_rnn_cell/cell_0", "").replace("/MultiRNNCell/Cell0", "")


def test_a_model_of_one_layer_has_its_own_names_in_both_forms(tmp_path):
    options, weights = one_layer()
    usual = write_model(tmp_path / "usual", options, weights, None)
    right = converted(usual, tmp_path / "right")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    arrays = {without_cell(checkpoint_name(name)): value for name, value in weights.items()}
    assert "lm/RNN_0/rnn/lstm_cell/kernel" in arrays
    slots = {name + "/Adagrad": value for name, value in arrays.items()}
    write_checkpoint(theirs / "model.ckpt-3", arrays | slots)
    del options["lstm"]["n_layers"]
    (theirs / "options.json").write_text(json.dumps(options))
    (theirs / "vocabulary.txt").write_text("\n".join(WORDS))
    ours = converted(theirs, tmp_path / "ours")
    assert ours.keys() == right.keys()
    assert all(np.array_equal(ours[name], right[name]) for name in ours)
    source = open_source(theirs)
    assert np.array_equal(source.weights()["cells.1.0.kernel"], right["cells.1.0.kernel"])
    assert np.array_equal(source.slots()["cells.1.0.kernel"], right["cells.1.0.kernel"])
    with h5py.File(tmp_path / "weights.hdf5", "w") as file:
        for name, value in weights.items():
            if not name.startswith("softmax"):
                file.create_dataset(without_cell(name), data=value)
        assert "RNN_0/RNN/LSTMCell/W_0" in file
    convert_bilm(tmp_path / "weights.hdf5", theirs / "options.json", None, tmp_path / "h")
    same = load_file(tmp_path / "h/model.safetensors")
    assert all(np.array_equal(same[name], right[name]) for name in right)


def kinds_that_are_not_ours() -> dict[str, tuple[dict, dict]]:
    """Return options and tensors of each."""
    options = training_options()
    tensors = {checkpoint_name(name): value for name, value in weights_of(options).items()}
    words = {key: value for key, value in options.items() if key != "char_cnn"}
    one_way = {name.replace("RNN_0/", ""): v for name, v in tensors.items() if "RNN_1" not in name}
    cudnn = {name.replace("lstm_cell", "cudnn_compatible_lstm_cell"): v for name, v in
             tensors.items()}  # fmt: skip
    lstm = options["lstm"] | {"use_cudnn": True}
    return {
        "words, by options": (words, tensors),
        "words, by tensors": (options, tensors | {"lm/embedding": np.ones((3, 2), np.float32)}),
        "one way, by options": ({**options, "bidirectional": False}, tensors),
        "one way, by tensors": (options, one_way),
        "cuDNN, by options": ({**options, "lstm": lstm}, tensors),
        "cuDNN, by tensors": (options, cudnn),
    }


@pytest.mark.parametrize("kind", kinds_that_are_not_ours())
def test_a_kind_that_is_not_supported_is_called_so_before_its_weights_are_read(tmp_path, kind):
    options, tensors = kinds_that_are_not_ours()[kind]
    folder = tmp_path / "model"
    folder.mkdir()
    write_checkpoint(folder / "model.ckpt-3", tensors)
    (folder / "model.ckpt-3.data-00000-of-00001").write_bytes(b"not read")
    (folder / "options.json").write_text(json.dumps(options))
    (folder / "vocabulary.txt").write_text("\n".join(WORDS))
    what = {"words": "fixed vocabulary", "one way": "one direction only", "cuDNN": "cuDNN's LSTM"}
    message = f"{what[kind.split(',')[0]]}.*That kind is not supported"
    for use in (lambda: converted(folder, tmp_path / "out"), lambda: open_source(folder),
                lambda: run(tmp_path, f"path:{folder}", kind="elmo")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            use()
    assert not (tmp_path / "models.lock.yaml").exists()


@pytest.mark.parametrize(
    ("options", "asked", "samples"),
    [
        ({"sample_softmax": True}, {}, 6),
        ({"sample_softmax": False}, {}, None),
        ({}, {}, None),  # a small vocabulary
        ({"sample_softmax": True}, {"softmax": "full"}, None),
        ({"sample_softmax": False}, {"softmax": "sampled"}, 6),
    ],
)
def test_the_softmax_is_that_of_the_options_unless_another_one_is_asked_for(
    tmp_path, options, asked, samples
):
    folder = tiny_checkpoint(tmp_path / "model", n_negative_samples_batch=6, **options)
    assert training_settings(FineTuning(**asked), open_source(folder)).samples == samples


def test_a_sample_softmax_that_is_neither_true_nor_false_is_refused(tmp_path):
    with pytest.raises(InputError, match='sample_softmax is "yes", must be true or false'):
        open_source(tiny_checkpoint(tmp_path / "model", sample_softmax="yes"))


def test_options_of_another_vocabulary_are_refused(tmp_path):
    folder = tiny_checkpoint(tmp_path / "model", n_tokens_vocab=len(WORDS))
    assert open_source(folder).rows == len(WORDS)
    folder = tiny_checkpoint(tmp_path / "other", n_tokens_vocab=len(WORDS) + 1)
    with pytest.raises(InputError, match="n_tokens_vocab is 17, but the checkpoint's softmax has"):
        open_source(folder)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (WORDS[::-1], "<S> is word 16 of 16, but should be one of the first"),
        ([*WORDS[:3], *sorted(WORDS[3:])], "its words are in alphabetical order"),
        (sorted(WORDS), "its words are in alphabetical order"),
    ],
)
def test_a_vocabulary_in_another_order_is_refused(tmp_path, words, message):
    (tmp_path / "vocabulary.txt").write_text("\n".join(words), "utf-8")
    with pytest.raises(InputError, match=message):
        read_softmax_words(tmp_path / "vocabulary.txt", len(words))


def test_slots_and_weights_of_the_latest_belong_together(tmp_path):
    source = open_source(two_checkpoints(tmp_path / "model"))
    right = slots_of(weights_of(training_options(), seed=1), seed=1)
    assert np.array_equal(source.slots()["char_embed"], right["char_embed"])


def test_a_tuned_model_in_a_folder_can_be_trained_further(tmp_path):
    text = tmp_path / "corpus.txt"
    text.write_text("the gene binds .\n" * 20)
    base = tiny_checkpoint(tmp_path / "base")
    assert finetune(tmp_path, base, text, "--batch-size", "1").returncode == 0
    tuned = tmp_path / "tuned"
    run(tmp_path, f"path:{tuned}", kind="elmo")
    unpack_model(tmp_path / "m.json", out=tmp_path / "unpacked")
    source, original = open_source(tmp_path / "unpacked"), open_source(tuned)
    assert source.identity == original.identity
    assert np.array_equal(source.weights()["char_embed"], original.weights()["char_embed"])
    trained = converted(tmp_path / "unpacked", tmp_path / "out")["char_embed"]
    assert np.array_equal(trained, original.weights()["char_embed"])
