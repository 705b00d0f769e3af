"""The ELMo network against a float64 oracle and against the published numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from elmo_models import KINDS, WORDS, make, options_of, texts_of_words
from elmo_oracle import read, spell, zero_state
from transformers import AutoConfig, AutoModel, AutoTokenizer

from kgtextvec.encoders.elmo.convert import convert_bilm
from kgtextvec.encoders.elmo.model import ElmoConfig, ElmoModel, ElmoTokenizer
from kgtextvec.encoders.elmo.tokenizer import character_ids

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden" / "elmo"
golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the published fixtures are not here")


def load(folder: Path, dtype=torch.float32):
    """Load a model as any user of transformers does."""
    model = AutoModel.from_pretrained(folder, dtype=dtype)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def layers_of(model, tokenizer, texts, state) -> list[np.ndarray]:
    """Give (layers + 1, words, 2P) for each text of a batch."""
    batch = tokenizer(texts, return_tensors="pt")
    with torch.no_grad():
        hidden = torch.stack(model(**batch, initial_state=state).hidden_states)
    for row, text in enumerate(texts):
        assert not hidden[:, row, len(text) :].any()
    return [hidden[:, row, : len(text)].numpy() for row, text in enumerate(texts)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", ["zeros", "carried"])
def test_in_float64_the_network_is_the_oracle(tmp_path, kind, state):
    folder, weights = make(tmp_path, KINDS[kind])
    model, tokenizer = load(folder, torch.float64)
    states = [zero_state(KINDS[kind])] * 5
    for n_texts in (3, 5, 2):  # a batch may be smaller or larger than those before it
        texts = texts_of_words(n_texts, seed=n_texts)
        ours = layers_of(model, tokenizer, texts, state)
        for row, text in enumerate(texts):
            before = states[row] if state == "carried" else None
            theirs, states[row] = read(text, KINDS[kind], weights, before)
            np.testing.assert_allclose(ours[row], theirs, rtol=0, atol=1e-10)


def test_warm_starts_from_the_shipped_sentence_read_four_times(tmp_path):
    from kgtextvec.encoders.elmo.model import WARM_TEXT

    folder, weights = make(tmp_path, KINDS["plain"])
    state = None
    for _ in range(4):
        _, state = read(WARM_TEXT.split(), KINDS["plain"], weights, state)
    expected, _ = read(WORDS, KINDS["plain"], weights, state)
    model, tokenizer = load(folder, torch.float64)
    for _ in range(2):  # the state is frozen: a second call starts from it, too
        ours = layers_of(model, tokenizer, [WORDS, ["x"]], "warm")
        np.testing.assert_allclose(ours[0], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("state", ["warm", "zeros"])
def test_a_text_has_its_vectors_in_any_batch(tmp_path, state):
    model, tokenizer = load(make(tmp_path, KINDS["plain"])[0])
    texts = texts_of_words(8, longest=20)
    together = layers_of(model, tokenizer, texts, state)
    for text, vectors in zip(texts[::-1], together[::-1], strict=True):
        alone = layers_of(model, tokenizer, [text], state)[0]
        np.testing.assert_allclose(alone, vectors, rtol=0, atol=1e-6)


def test_carried_depends_on_what_came_before_until_it_is_reset(tmp_path):
    model, tokenizer = load(make(tmp_path, KINDS["plain"])[0])
    first = layers_of(model, tokenizer, [["the"]], "carried")[0]
    second = layers_of(model, tokenizer, [["the"]], "carried")[0]
    assert abs(first - second)[1:].max() > 1e-4
    model.reset_state()
    np.testing.assert_array_equal(layers_of(model, tokenizer, [["the"]], "carried")[0], first)


def test_new_weights_give_a_new_warm_state(tmp_path):
    model, tokenizer = load(make(tmp_path, KINDS["plain"])[0])
    before = layers_of(model, tokenizer, [["the"]], "warm")[0]
    with torch.no_grad():
        model.cells[0][0].bias += 1
    after = layers_of(model, tokenizer, [["the"]], "warm")[0]
    fresh = ElmoModel(model.config)
    fresh.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(after, layers_of(fresh.eval(), tokenizer, [["the"]], "warm")[0])
    assert abs(before - after).max() > 1e-4


def test_saving_and_loading_changes_nothing(tmp_path):
    model, tokenizer = load(make(tmp_path, KINDS["no highway key"])[0])
    model.save_pretrained(tmp_path / "again")
    tokenizer.save_pretrained(tmp_path / "again")
    again, same_tokenizer = load(tmp_path / "again")
    config = AutoConfig.from_pretrained(tmp_path / "again")
    assert config.to_diff_dict() | {"_name_or_path": 0} == model.config.to_diff_dict() | {
        "_name_or_path": 0
    }
    assert isinstance(again, ElmoModel) and isinstance(same_tokenizer, ElmoTokenizer)
    assert same_tokenizer.max_characters == 16
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


def test_bioelmo_has_the_number_of_parameters_that_is_expected():
    with torch.device("meta"):
        model = ElmoModel(ElmoConfig())
    assert sum(p.numel() for p in model.parameters()) == 93_600_848
    assert (model.config.hidden_size, model.config.num_hidden_layers) == (1024, 2)


def test_words_are_spelled_as_the_oracle_spells_them():
    words = [*WORDS, "<S>", "<UNK>", "é" * 40, "", "</S>", "x\ud800y"]
    ids = character_ids(words, 16)
    assert ids.shape == (len(words), 16) and character_ids([], 16).shape == (0, 16)
    for word, own in zip(words, ids.tolist(), strict=True):
        assert own == [i + 1 for i in spell(word, 16)]


def test_the_tokenizer_takes_texts_and_word_lists():
    tokenizer = ElmoTokenizer(max_characters=10)
    batch = tokenizer([["IL", "-", "2"], [], ["a"]], return_tensors="pt")
    assert batch["input_ids"].shape == (3, 3, 10)
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 0], [1, 0, 0]]
    assert not batch["input_ids"][1].any()
    told = tokenizer(["IL-2", "", "a"], return_tensors="pt")
    assert torch.equal(told["input_ids"], batch["input_ids"])
    one = tokenizer(["IL", "-", "2"], is_split_into_words=True)
    assert one["input_ids"] == batch["input_ids"][:1].tolist()
    assert len(tokenizer.get_vocab()) == tokenizer.vocab_size == len(tokenizer)
    with pytest.raises(ValueError, match="truncation"):
        tokenizer("a", truncation=True)


def test_values_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="projection_size 9 is over cell_size 8"):
        ElmoConfig(projection_size=9, cell_size=8)
    with pytest.raises(ValueError, match="activation is 'gelu'"):
        ElmoConfig(activation="gelu")
    model = ElmoModel(ElmoConfig(cell_size=8, projection_size=4, filters=[[1, 4]], char_dim=2))
    ids = torch.ones(1, 2, 50, dtype=torch.long)
    with pytest.raises(ValueError, match="first words of a text"):
        model(ids, attention_mask=torch.tensor([[0, 1]]))
    with pytest.raises(ValueError, match="initial_state is 'cold'"):
        model(ids, initial_state="cold")


@golden
@pytest.mark.parametrize("name", ["fixtures_allennlp", "fixtures_bilm_tf"])
def test_published_vectors_are_met(tmp_path, name):
    import h5py

    home = GOLDEN / name
    convert_bilm(home / "lm_weights.hdf5", home / "options.json", None, tmp_path / "model")
    model, tokenizer = load(tmp_path / "model")
    files = json.loads(next(home.glob("*sentences.json")).read_text())
    for number in range(10):
        texts = [sentences[number].split() for sentences in files]
        ours = layers_of(model, tokenizer, texts, "carried")
        for row in range(3):
            with h5py.File(home / f"lm_embeddings_{row}.hdf5") as file:
                forward, backward = file[str(number)][...]
            theirs = np.concatenate([forward, backward], 1)
            np.testing.assert_allclose(ours[row][-1], theirs, rtol=1e-5, atol=1e-6)


@golden
@pytest.mark.parametrize("home", sorted(GOLDEN.glob("tf_random/*")), ids=lambda home: home.name)
def test_random_models_are_as_bilm_tf_computes_them(tmp_path, home):
    """Within 1e-5, or four times bilm-tf's own distance from float64 where that is more.

    One of these networks amplifies a last bit a hundredfold over its four layers.
    """
    convert_bilm(home / "weights.hdf5", home / "options.json", None, tmp_path / "model")
    model, tokenizer = load(tmp_path / "model")
    exact, _ = load(tmp_path / "model", torch.float64)
    ours, sure, theirs = [], [], []
    with np.load(home / "oracle.npz") as oracle:
        for number, texts in enumerate(json.loads((home / "batches.json").read_text())):
            ours += layers_of(model, tokenizer, texts, "carried")
            sure += layers_of(exact, tokenizer, texts, "carried")
            for row, text in enumerate(texts):
                theirs.append(oracle[f"e{number}"][row, :, : len(text)])
    mine, true, bilm = (np.concatenate([x.ravel() for x in part]) for part in (ours, sure, theirs))
    noise = abs(bilm - true).max()
    assert noise < 5e-5
    np.testing.assert_allclose(mine, bilm, rtol=0, atol=max(1e-5, 4 * noise))


def test_options_that_no_model_has_still_make_one(tmp_path):
    """One filter as wide as a word, one layer, one cell."""
    options = options_of(dim=1, projection=1, layers=1, filters=[[16, 1]], highways=2)
    folder, weights = make(tmp_path, options)
    model, tokenizer = load(folder, torch.float64)
    ours = layers_of(model, tokenizer, [WORDS], "zeros")[0]
    np.testing.assert_allclose(ours, read(WORDS, options, weights)[0], rtol=0, atol=1e-10)
