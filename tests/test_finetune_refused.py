"""What finetune-model and perplexity refuse, in one line, before anything heavy starts."""

import fcntl
import os
from pathlib import Path

import pytest
from finetune_models import (
    WORDS,
    tiny_checkpoint,
    training_options,
    weights_of,
    write_model,
)
from finetune_runs import finetune, kgtextvec, write_text


@pytest.fixture
def text(tmp_path) -> Path:
    return write_text(tmp_path / "corpus.txt")


def refused(tmp_path, model, text, told, *more):
    done = finetune(tmp_path, model, text, *more)
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line]
    assert line.startswith("ERROR: ") and told in line, line
    assert not (tmp_path / "work").exists() and not (tmp_path / "tuned").exists()
    return line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (WORDS[:-1], "vocabulary.txt: 15 words, but the checkpoint's softmax has 16 rows"),
        ([*WORDS, "more"], "vocabulary.txt: 17 words, but"),
        ([w for w in WORDS if w != "<UNK>"] + ["x"], "vocabulary.txt: <UNK> is not in"),
    ],
)  # fmt: skip
def test_a_vocabulary_that_does_not_fit_is_told(tmp_path, text, words, told):
    model = tiny_checkpoint(tmp_path / "model")
    (model / "vocabulary.txt").write_text("\n".join(words), "utf-8")
    line = refused(tmp_path, model, text, told)
    assert "Give the word list that the checkpoint was trained with" in line


def test_a_cut_data_file_is_told(tmp_path, text):
    model = tiny_checkpoint(tmp_path / "model")
    data = model / "model.ckpt-3.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-4])
    refused(tmp_path, model, text, "model.ckpt-3.data-00000-of-00001: cut: lm/softmax/b/Adagrad")


@pytest.mark.parametrize("content", [b"", b"\n \n\t\n"])
def test_an_empty_corpus_is_told(tmp_path, content):
    text = tmp_path / "empty.txt"
    text.write_bytes(content)
    model = tiny_checkpoint(tmp_path / "model")
    refused(tmp_path, model, text, "empty.txt: no word in it. Give a text")


def test_other_faults_are_told(tmp_path, text):
    model = tiny_checkpoint(tmp_path / "model")
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"the gene\n\xff\xfe\n")
    refused(tmp_path, model, bad, "bad.txt: not UTF-8")
    bad.write_text("one line\n")
    refused(tmp_path, model, bad, "one sentence, so none can be held out")
    refused(tmp_path, model, tmp_path / "none.txt", "none.txt: no such text")
    wrong = "--held-out: 2.0 is not allowed: Expected `float` < 1.0"
    refused(tmp_path, model, text, wrong, "--held-out", 2)
    refused(tmp_path, model, text, "samples: 16 of a vocabulary of 16 words",
            "--softmax", "sampled", "--samples", 16)  # fmt: skip
    (model / "model.ckpt-3.index").unlink()
    refused(tmp_path, model, text, "holds 0 files of checkpoint index")


def test_weights_without_a_softmax_are_told(tmp_path, text):
    options = training_options()
    weights = weights_of(options)
    kept = {name: value for name, value in weights.items() if not name.startswith("softmax")}
    model = write_model(tmp_path / "model", options, kept, None)
    refused(
        tmp_path, model, text, "lm/softmax/b is missing, so this is not a checkpoint of training"
    )


def test_odd_training_options_are_named(tmp_path, text):
    model = tiny_checkpoint(tmp_path / "model", dropout=1.5)
    refused(tmp_path, model, text, "options.json: dropout is 1.5")


def test_a_step_that_ends_in_no_number_is_told(tmp_path, text):
    model = tiny_checkpoint(tmp_path / "model", all_clip_norm_val=1e30)
    done = finetune(tmp_path, model, text, "--learning-rate", 1e30, "--epochs", 5)
    assert done.returncode == 2, done.stderr
    assert "Lower finetune's learning_rate" in done.stderr.splitlines()[-1]


def test_perplexity_needs_sentences_enough(tmp_path):
    model, text = tiny_checkpoint(tmp_path / "model"), tmp_path / "t.txt"
    text.write_text("the gene\n")
    done = kgtextvec("perplexity", "--model", model, "--text", text)
    assert done.returncode == 2 and "too few sentences (1) for a batch of 256" in done.stderr


def test_a_folder_that_another_process_trains_in_is_left_alone(tmp_path, text):
    model = tiny_checkpoint(tmp_path / "model")
    assert finetune(tmp_path, model, text).returncode == 0
    (work,) = (tmp_path / "work").iterdir()
    handle = os.open(work, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    done = finetune(tmp_path, model, text)
    os.close(handle)
    assert done.returncode == 2 and "another process trains here" in done.stderr
    assert finetune(tmp_path, model, text).returncode == 0
