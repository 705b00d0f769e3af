"""Vectors of words in all layers: against the model itself, one sentence at a time."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import elmo_models
import elmo_oracle
import numpy as np
import pytest
import tiny_models
import torch
from hypothesis import given
from hypothesis.strategies import integers, lists

from kgtextvec.encoders import EncoderSettings
from kgtextvec.encoders import layers as layers_module
from kgtextvec.encoders.layers import load_reader, window_edges
from kgtextvec.errors import InputError

SENTENCES = [
    ["The", "protein", "kinase", "TP53", "binds", "to", "the", "receptor", "."],
    ["cell"],
    [
        "Alzheimer",
        "disease",
        "is",
        "progressive",
        ":",
        "encodes",
        ",",
        "(",
        "brain",
        ")",
        "factor-alpha",
        "IL-2",
        "x1y2",
    ],
    ["a", "a", "a"],
    ["[SEP]", "in", "</s>", "α-synuclein"],
    ["gene"] * 17,
]
KINDS = {
    name: getattr(tiny_models, f"tiny_{name}")
    for name in ("bert", "roberta", "mpnet", "distilbert", "electra", "deberta_v2", "modernbert")
}
SETTINGS = EncoderSettings(batch_tokens=64)


def made(folder: Path, kind: str = "bert", **more) -> Path:
    return KINDS[kind](folder, weights="safetensors", **more)


def read_all(reader, sentences) -> list[np.ndarray]:
    found = dict(reader.read(sentences))
    assert sorted(found) == list(range(len(sentences)))
    return [found[row] for row in range(len(sentences))]


def reader_of(folder: Path, **more):
    return load_reader(folder, {"kind": "transformer"}, replace(SETTINGS, **more))


def plain(folder: Path, words: list[str]) -> np.ndarray:
    """One sentence through transformers alone: characters tell the word of a piece."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    text = " ".join(words)
    encoded = tokenizer(
        text,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        split_special_tokens=True,
    )
    with torch.no_grad():
        hidden = model(
            torch.tensor([encoded["input_ids"]]),
            attention_mask=torch.tensor([encoded["attention_mask"]]),
            output_hidden_states=True,
        ).hidden_states
    states = torch.stack(hidden, 2)[0].numpy()  # (pieces, layers, dims)
    vectors, at = [], 0
    for word in words:
        place = text.index(word, at)
        at = place + len(word)
        mine = [
            state
            for state, (a, b), special in zip(
                states, encoded["offset_mapping"], encoded["special_tokens_mask"], strict=True
            )
            if not special and a < at and b > max(place - 1, 0)
        ]
        vectors.append(np.mean(mine, axis=0))
    return np.stack(vectors)


@pytest.mark.parametrize("kind", KINDS)
def test_a_word_is_the_mean_of_its_pieces_in_every_layer(kind, tmp_path):
    folder = made(tmp_path / kind, kind)
    found = read_all(reader_of(folder), SENTENCES)
    for words, vectors in zip(SENTENCES, found, strict=True):
        expected = plain(folder, words)
        assert vectors.shape == expected.shape == (len(words), 3, 32)
        assert np.abs(vectors - expected).max() <= 1e-5


def test_wordpieces_are_those_that_transformers_gives_to_split_words(tmp_path):
    """`is_split_into_words` and `word_ids`, which a cased BERT needs no text for."""
    from transformers import AutoTokenizer

    folder = made(tmp_path / "bert", tokenizer_config=True)
    reader = reader_of(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for words, (ids, owners) in zip(SENTENCES, reader.pieces(SENTENCES), strict=True):
        encoded = tokenizer(
            words, is_split_into_words=True, add_special_tokens=False, split_special_tokens=True
        )
        assert ids.tolist() == encoded["input_ids"]
        assert owners.tolist() == encoded.word_ids()


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_batch_gives_what_its_sentences_give_alone(kind, tmp_path):
    reader = reader_of(made(tmp_path / kind, kind), batch_tokens=2048)
    together = read_all(reader, SENTENCES)
    for words, vectors in zip(SENTENCES, together, strict=True):
        (alone,) = read_all(reader, [words])
        assert np.abs(alone - vectors).max() <= 1e-5


def test_a_sentence_over_the_limit_is_read_in_windows_and_counted(tmp_path):
    folder = made(tmp_path / "bert")
    words = ("protein kinase disease cell receptor gene " * 5).split()
    reader = reader_of(folder, max_tokens=12)
    (found, short) = read_all(reader, [words, words[:10]])
    assert reader.counts == {"windowed": 1, "without_piece": 0}
    parts = [words[i : i + 10] for i in range(0, 30, 10)]
    expected = np.concatenate([plain(folder, part) for part in parts])
    assert np.abs(found - expected).max() <= 1e-5
    assert np.abs(short - expected[:10]).max() <= 1e-5


def test_a_word_longer_than_a_window_is_the_mean_over_its_windows(tmp_path):
    folder = made(tmp_path / "bert")
    reader = reader_of(folder, max_tokens=6)
    (found,) = read_all(reader, [["cell", "x1y2z3w4", "gene"]])
    ids = next(ids for ids, _ in reader.pieces([["x1y2z3w4"]]))
    assert len(ids) > 4
    assert reader.counts["windowed"] == 1
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder).eval()
    ((whole, owners),) = reader.pieces([["cell", "x1y2z3w4", "gene"]])
    edges = window_edges(owners, 4)
    states = []
    for a, b in pairwise(edges):
        given = [*reader.tokenizer.prefix, *whole[a:b].tolist(), *reader.tokenizer.suffix]
        with torch.no_grad():
            hidden = model(torch.tensor([given]), output_hidden_states=True).hidden_states
        states.append(torch.stack(hidden, 2)[0, 1:-1].numpy())
    expected = np.concatenate(states)[owners == 1].mean(0)
    assert np.abs(found[1] - expected).max() <= 1e-5


@given(lists(integers(1, 9), max_size=12), integers(1, 6))
def test_windows_cover_all_pieces_and_cut_words_only_where_they_must(sizes, room):
    words = np.repeat(np.arange(len(sizes)), sizes)
    edges = window_edges(words, room)
    assert edges[0] == 0 and edges[-1] == len(words)
    for a, b in pairwise(edges):
        assert b - a <= room
        assert b > a or len(words) == 0
        if b < len(words) and words[b] == words[b - 1]:
            assert sizes[words[b]] > room and words[a] == words[b]


def test_a_word_without_a_piece_is_zero_and_counted(tmp_path):
    reader = reader_of(made(tmp_path / "bert"))
    found, empty = read_all(reader, [["cell", "\u200b", "gene"], ["\u200b"]])
    assert reader.counts == {"windowed": 0, "without_piece": 2}
    assert not found[1].any() and found[0].any() and found[2].any()
    assert empty.shape == (1, 3, 32) and not empty.any()


def test_a_tokenizer_without_offsets_is_refused(tmp_path, monkeypatch):
    folder = made(tmp_path / "bert")
    load = layers_module.Tokenizer.__init__

    def slow(self, *given):
        load(self, *given)
        self.backend = None

    monkeypatch.setattr(layers_module.Tokenizer, "__init__", slow)
    with pytest.raises(InputError, match="can't be probed"):
        reader_of(folder)


@pytest.mark.parametrize("state", ["warm", "zeros"])
def test_an_elmos_layers_are_the_oracles(state, tmp_path):
    options = elmo_models.options_of()
    folder, weights = elmo_models.make(tmp_path, options)
    sentences = [one for one in elmo_models.texts_of_words(12, seed=3) if one]
    reader = load_reader(folder, {"kind": "elmo"}, replace(SETTINGS, initial_state=state))
    assert (reader.layers, reader.dims, reader.precision) == (3, 12, "float32")
    found = read_all(reader, sentences)
    for words, vectors in zip(sentences, found, strict=True):
        (alone,) = read_all(reader, [words])
        assert np.abs(vectors - alone).max() <= 1e-5
        if state == "zeros":
            expected, _ = elmo_oracle.read(words, options, weights)
            assert np.abs(vectors - np.stack(expected, 1)).max() <= 1e-5


def test_an_elmos_warm_layers_are_the_models_own(tmp_path):
    """`ElmoModel` called as a transformers model is, a sentence at a time."""
    from kgtextvec.encoders.elmo.engine import load_elmo
    from kgtextvec.encoders.elmo.tokenizer import character_ids

    folder, _ = elmo_models.make(tmp_path, elmo_models.options_of())
    assert json.loads((folder / "config.json").read_text())["max_characters"] == 16
    model = load_elmo(folder)
    reader = load_reader(folder, {"kind": "elmo"}, SETTINGS)
    sentences = [["IL", "-", "2"], ["binds"], ["the", "α-synuclein", "x" * 70, "the"]]
    for words, vectors in zip(sentences, read_all(reader, sentences), strict=True):
        ids = torch.from_numpy(character_ids(words, 16))[None]
        with torch.no_grad():
            hidden = torch.stack(model(ids).hidden_states, 2)[0].numpy()
        assert np.abs(vectors - hidden).max() <= 1e-5


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["transformer", "elmo"])
def test_a_gpu_gives_the_cpus_vectors(kind, tmp_path):
    if kind == "elmo":
        folder, _ = elmo_models.make(tmp_path, elmo_models.options_of())
    else:
        folder = made(tmp_path / "bert")
    on_cpu, on_gpu = (
        read_all(load_reader(folder, {"kind": kind}, replace(SETTINGS, device=device)), SENTENCES)
        for device in ("cpu", "cuda")
    )
    for cpu, gpu in zip(on_cpu, on_gpu, strict=True):
        # Sums of float32 products in another order: the encoders' own tolerance on a GPU.
        assert np.abs(cpu - gpu).max() <= 1e-4
