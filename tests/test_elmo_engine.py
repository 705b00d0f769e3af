"""ELMo over whole lists of texts: the vectors of each text alone, however they are shared."""

from functools import cache
from pathlib import Path
from threading import current_thread

import numpy as np
import pytest
import torch
from elmo_models import KINDS, make, texts_of_words
from elmo_oracle import read
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers, lists

from kgtextvec.embed.fingerprint import fingerprint_of
from kgtextvec.encoders import EncoderSettings
from kgtextvec.encoders.elmo.engine import ELMO_RECIPE, ElmoEncoder, choose_layers
from kgtextvec.encoders.elmo.model import WARM_ROUNDS, WARM_TEXT, ElmoModel, ElmoTokenizer
from kgtextvec.encoders.elmo.trie import build_trie, plan_steps
from kgtextvec.errors import InputError

TEXTS = [
    "", "gene", "the gene", "the gene IL-2", "the gene IL-2 binds.", "the gene IL-2 binds.",
    "a protein of the gene IL-2 binds.", "</S> <S>", "  ", "x " * 80, "α-synuclein (human)",
    *[f"protein {i % 7} of the gene {'very ' * (i % 5)}long" for i in range(30)],
]  # fmt: skip

some_texts = lists(lists(integers(0, 3), max_size=12), max_size=25)


def flat(texts):
    words = np.array([word for text in texts for word in text], dtype=np.int64)
    return words, np.cumsum([0, *map(len, texts)])


@given(some_texts, booleans())
def test_a_trie_has_each_distinct_beginning_once(texts, backward):
    trie = build_trie(*flat(texts), backward=backward)
    turned = [text[::-1] if backward else text for text in texts]
    spelled = []
    for word, parent in zip(trie.word, trie.parent, strict=True):
        assert parent < len(spelled)
        spelled.append((*(spelled[parent] if parent >= 0 else ()), int(word)))
    assert sorted(spelled) == sorted({tuple(t[: i + 1]) for t in turned for i in range(len(t))})
    for text, end in zip(turned, trie.ends, strict=True):
        assert (spelled[end] if end >= 0 else ()) == tuple(text)


@given(some_texts, integers(1, 9), integers(1, 20))
def test_a_plan_finds_each_parent_in_its_slot_and_each_text_at_its_place(texts, width, window):
    trie = build_trie(*flat(texts))
    plan = plan_steps(trie, width)
    slots = {0: ()}
    spelled = []
    for step in range(plan.steps):
        start, stop = plan.starts[step], plan.starts[step + 1]
        assert 0 < stop - start <= width
        before = [slots[slot] for slot in plan.source[start:stop]]
        new = [(*b, int(w)) for b, w in zip(before, plan.word[start:stop], strict=True)]
        spelled += new
        for place in range(plan.kept[step]):
            slots[plan.target[start + place]] = new[place]
        kept = plan.target[start : start + plan.kept[step]]
        assert not {0, *plan.source[start:stop]} & {*kept} and len({*kept}) == len(kept)
        assert all(start <= p < stop for p in plan.place[plan.ready[step] : plan.ready[step + 1]])
    assert len(spelled) == len(set(spelled)) == len(trie.word)
    assert max(slots) < plan.slots
    done = {int(t): spelled[p] for t, p in zip(plan.text, plan.place, strict=True)}
    assert done == {i: tuple(text) for i, text in enumerate(texts) if text}
    ranges = list(plan.windows(window))
    assert [step for first, last in ranges for step in range(first, last)] == [*range(plan.steps)]


def test_a_long_text_runs_beside_the_others():
    texts = [[0, *range(500)], *[[i] * 5 for i in range(1, 200)]]
    plan = plan_steps(build_trie(*flat(texts)), width=8)
    assert plan.steps == 501
    assert plan.slots < 20


def encode(encoder, texts) -> np.ndarray:
    """Give the vectors in the texts' order."""
    vectors = np.full((len(texts), encoder.dims), np.nan, dtype=np.float32)
    for part in encoder.encode(texts):
        assert np.isnan(vectors[part.rows]).all()
        assert part.vectors.dtype == np.float32
        vectors[part.rows] = part.vectors
    assert not np.isnan(vectors).any()
    return vectors


@cache
def plain_model(folder: Path, dtype: torch.dtype) -> ElmoModel:
    return ElmoModel.from_pretrained(folder, dtype=dtype)


def alone(folder: Path, text: str, state: str, dtype=torch.float64) -> np.ndarray:
    """Give a text's per-layer means, (layers + 1, 2P), by the plain model."""
    model = plain_model(folder, dtype)
    tokenizer = ElmoTokenizer(max_characters=model.config.max_characters)
    with torch.no_grad():
        hidden = model(**tokenizer(text, return_tensors="pt"), initial_state=state).hidden_states
    return torch.stack(hidden)[:, 0].double().mean(1).nan_to_num().numpy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", ["warm", "zeros"])
def test_every_text_gets_what_the_plain_model_gives_it_alone(tmp_path, kind, state):
    folder, _ = make(tmp_path, KINDS[kind])
    texts = TEXTS[:12] + TEXTS[-5:]
    vectors = encode(
        ElmoEncoder(folder, EncoderSettings(initial_state=state, layers="concat")), texts
    )
    for text, vector in zip(texts, vectors, strict=True):
        np.testing.assert_allclose(
            vector, alone(folder, text, state).reshape(-1), rtol=0, atol=1e-6
        )


def test_the_vectors_are_those_of_the_oracle(tmp_path):
    folder, weights = make(tmp_path, KINDS["plain"])
    encoder = ElmoEncoder(folder, EncoderSettings(initial_state="zeros", tokens="whitespace"))
    texts = [" ".join(words) for words in texts_of_words(12) if any(words)]
    for text, vector in zip(texts, encode(encoder, texts), strict=True):
        layers, _ = read(text.split(), KINDS["plain"], weights)
        np.testing.assert_allclose(vector, layers.mean((0, 1)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("block_words", [1, 40, 100_000])
def test_order_shards_and_blocks_change_nothing(tmp_path, block_words):
    folder, _ = make(tmp_path, KINDS["plain"])
    whole = encode(ElmoEncoder(folder), TEXTS)
    cut = ElmoEncoder(folder, block_words=block_words)
    np.testing.assert_allclose(encode(cut, TEXTS[::-1])[::-1], whole, rtol=0, atol=1e-6)
    shards = np.concatenate([encode(cut, TEXTS[:17]), encode(cut, TEXTS[17:])])
    np.testing.assert_allclose(shards, whole, rtol=0, atol=1e-6)


def test_short_texts_fill_blocks_of_bounded_vectors(tmp_path, monkeypatch):
    """A block is bounded by its texts' vectors too: many names have few words and long vectors."""
    folder, _ = make(tmp_path, KINDS["plain"])
    whole = encode(ElmoEncoder(folder), TEXTS)
    encoder = ElmoEncoder(folder)
    encoder.block_texts = 10
    parts = list(encoder.encode(TEXTS))
    assert [len(part.rows) for part in parts] == [10, 10, 10, 10, 1]
    np.testing.assert_allclose(encode(encoder, TEXTS), whole, rtol=0, atol=1e-6)
    monkeypatch.setattr("kgtextvec.encoders.elmo.engine.RESULT_BYTES", 10 * 4 * encoder.dims)
    assert ElmoEncoder(folder).block_texts == 10


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_block_is_given_out_before_those_after_the_next_begin(tmp_path, monkeypatch, ahead):
    """On a CPU (0) at once, so that it is stored before the next one begins."""
    folder, _ = make(tmp_path, KINDS["plain"])
    whole = encode(ElmoEncoder(folder), TEXTS)
    encoder = ElmoEncoder(folder)
    assert encoder.ahead == 0
    encoder.block_texts, encoder.ahead = 10, ahead
    begun, start = [], ElmoEncoder.start_block
    monkeypatch.setattr(
        ElmoEncoder, "start_block", lambda self, *of: begun.append(of) or start(self, *of)
    )
    found = [len(begun) for _ in encoder.encode(TEXTS)]
    assert found == [min(block + 1 + ahead, 5) for block in range(5)]
    np.testing.assert_allclose(encode(encoder, TEXTS), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kept", [1 << 17, 40])
def test_blocks_prepared_ahead_give_the_same_bytes(tmp_path, monkeypatch, kept):
    """Also where words are forgotten between blocks, and where a block is abandoned."""
    folder, _ = make(tmp_path, KINDS["plain"])
    found, run_by, run = [], [], ElmoEncoder.embed_block
    monkeypatch.setattr(
        ElmoEncoder,
        "embed_block",
        lambda self, block: run_by.append(current_thread()) or run(self, block),
    )
    for ahead in (0, 3):
        encoder = ElmoEncoder(folder)
        encoder.block_texts, encoder.prepared_ahead, encoder.table.kept = 6, ahead, kept
        next(iter(encoder.encode(TEXTS)))  # left after its first block
        found.append(encode(encoder, TEXTS).tobytes())
    assert found[0] == found[1]
    assert run_by == [current_thread()] * 16  # seven blocks twice, and two that were left


@pytest.mark.parametrize("ahead", [0, 2])
@pytest.mark.parametrize("room", [1, 40])
def test_a_block_that_does_not_fit_is_halved(tmp_path, monkeypatch, capfd, room, ahead):
    folder, _ = make(tmp_path, KINDS["plain"])
    whole = encode(ElmoEncoder(folder), TEXTS)
    embed = ElmoEncoder.embed_block

    def greedy(self, block):
        if len(block.rows) > 1 and len(block.split.numbers) > room:
            raise torch.OutOfMemoryError("no room")
        return embed(self, block)

    monkeypatch.setattr(ElmoEncoder, "embed_block", greedy)
    encoder = ElmoEncoder(folder)
    encoder.prepared_ahead, encoder.block_texts = ahead, 16
    np.testing.assert_allclose(encode(encoder, TEXTS), whole, rtol=0, atol=1e-6)
    assert "out of memory: batch halved" in capfd.readouterr().err
    room = -1
    monkeypatch.setattr(
        ElmoEncoder,
        "embed_block",
        lambda self, block: (_ for _ in ()).throw(MemoryError()),
    )
    with pytest.raises(InputError, match=r"one text of \d+ words does not fit .*more memory"):
        encode(ElmoEncoder(folder), TEXTS)


def test_shared_beginnings_and_endings_run_once(tmp_path):
    encoder = ElmoEncoder(make(tmp_path, KINDS["plain"])[0])
    encode(encoder, ["a b c", "a b d", "a b d", "x b d"])
    # Forward a, ab, abc, abd, x, xb, xbd; backward c, cb, cba, d, db, dba, dbx: 14 for 24.
    assert encoder.nodes == 14
    assert encoder.sharing == pytest.approx(24 / 14)


@pytest.mark.parametrize("layers", ["average", "top", "token", 0, 1, "2"])
def test_layers_can_be_chosen_now_or_from_what_concat_stored(tmp_path, layers):
    folder, _ = make(tmp_path, KINDS["plain"])
    everything = encode(ElmoEncoder(folder, EncoderSettings(layers="concat")), TEXTS)
    chosen = encode(ElmoEncoder(folder, EncoderSettings(layers=layers)), TEXTS)
    assert chosen.shape == (len(TEXTS), 12)
    np.testing.assert_allclose(chosen, choose_layers(everything, layers, 2), rtol=0, atol=1e-6)


def test_bfloat16_is_near(tmp_path):
    folder, _ = make(tmp_path, KINDS["no word projection"])
    exact = encode(ElmoEncoder(folder), TEXTS[1:])
    near = encode(ElmoEncoder(folder, EncoderSettings(precision="bfloat16")), TEXTS[1:])
    near, exact = near[exact.any(1)].astype(np.float64), exact[exact.any(1)].astype(np.float64)
    lengths = np.linalg.norm(near, axis=1) * np.linalg.norm(exact, axis=1)
    assert (1 - (near * exact).sum(1) / lengths).max() < 1e-4
    assert abs(near - exact).max() > 1e-7  # it is another precision


def test_a_very_long_text_is_exact(tmp_path):
    folder, _ = make(tmp_path, KINDS["no highway key"])
    text = " ".join(f"w{i % 13}" for i in range(4_200))  # more than LONG_TEXT
    vector = encode(ElmoEncoder(folder), [text, "short"])[0]
    expected = alone(folder, text, "warm").mean(0)
    np.testing.assert_allclose(vector, expected, rtol=0, atol=1e-6)


def test_words_are_counted_and_looked_up_in_the_vocabulary(tmp_path, capsys):
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("the\ngene\n")
    folder, _ = make(tmp_path, KINDS["plain"], vocabulary=vocabulary)
    (part,) = ElmoEncoder(folder).encode(["the gene IL-2", "", "the"])
    order = np.argsort(part.rows)
    assert part.n_tokens[order].tolist() == [5, 0, 1]
    assert part.n_unknown[order].tolist() == [3, 0, 0]
    assert not part.truncated.any()
    assert not part.vectors[part.rows == 1].any()
    assert "50.00 % of 6 words are in the vocabulary" in capsys.readouterr().err


def test_the_stores_key_holds_all_that_changes_the_numbers():
    about = {"kind": "elmo", "weights_sha256": "w", "tokenizer_sha256": "t"}
    one = fingerprint_of(about, EncoderSettings())
    assert one["initial_state"] == "warm" and one["warm"] == [WARM_ROUNDS, WARM_TEXT]
    assert one["engine_recipe"] == ELMO_RECIPE
    for choice in ({"initial_state": "zeros"}, {"tokens": "treebank"}, {"precision": "bfloat16"}):
        assert fingerprint_of(about, EncoderSettings(**choice)) == one | choice
    assert fingerprint_of(about, EncoderSettings(layers="top", device="cuda")) == one


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"pooling": "cls"}, "pooling: 'cls'"),
        ({"precision": "float16"}, "'float16' is not for ELMo"),
        ({"initial_state": "carried"}, "must not depend on the order"),
        ({"layers": 3}, "layers: 3 is not one of"),
        ({"layers": "-1"}, "layers: '-1' is not one of"),
        ({"tokens": "bpe"}, "'bpe' is not one of"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(tmp_path, choice, told):
    folder, _ = make(tmp_path, KINDS["plain"])
    with pytest.raises(InputError, match=told):
        ElmoEncoder(folder, EncoderSettings(**choice))


def test_a_folder_that_is_not_whole_is_named(tmp_path):
    from safetensors.torch import load_file, save_file

    folder, _ = make(tmp_path, KINDS["plain"])
    weights = load_file(folder / "model.safetensors")
    kernel = weights.pop("cells.1.0.kernel")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"cells\.1\.0\.kernel"):
        ElmoEncoder(folder)
    weights["cells.1.0.kernel"] = kernel[:-1].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"cells\.1\.0\.kernel"):
        ElmoEncoder(folder)
    with pytest.raises(InputError, match="not a complete ELMo folder"):
        ElmoEncoder(tmp_path)


@settings(max_examples=10)
@given(lists(lists(integers(0, 4), max_size=6), min_size=1, max_size=12))
def test_any_texts_get_what_they_get_alone(tmp_path_factory, texts):
    folder = tmp_path_factory.getbasetemp() / "any"
    if not folder.exists():
        make(folder, KINDS["no highway key"])
    encoder = ElmoEncoder(folder / "model", EncoderSettings(tokens="whitespace"))
    texts = [" ".join(f"w{word}" for word in text) for text in texts]
    each = np.concatenate([encode(encoder, [text]) for text in texts])
    np.testing.assert_allclose(encode(encoder, texts), each, rtol=0, atol=1e-6)
