"""The language model: its costs and steps beside an oracle, and beside what TensorFlow gave."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from finetune_models import (
    SENTENCES,
    WORDS,
    costs,
    slots_of,
    training_options,
    weights_of,
    write_model,
)

from kgtextvec.errors import InputError
from kgtextvec.finetune.corpus import Stream, read_corpus, read_sentences, read_softmax_words
from kgtextvec.finetune.language_model import (
    SLOT,
    SOFTMAX,
    SOFTMAX_WEIGHTS,
    LanguageModel,
    run_cell,
)
from kgtextvec.finetune.measure import measure
from kgtextvec.finetune.softmax import (
    Sample,
    draw_sample,
    expected_counts,
    full_losses,
    measured_losses,
    sampled_losses,
)
from kgtextvec.finetune.source import open_source
from kgtextvec.finetune.train import BilmTrainer, TrainingSettings

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden" / "elmo"
golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the published numbers are not here")
KERNEL = "RNN_1/RNN/MultiRNNCell/Cell1/LSTMCell/W_0"


def tensors(arrays, dtype=torch.float32):
    return {name: torch.from_numpy(np.array(value)).to(dtype) for name, value in arrays.items()}


def opened(folder: Path, dtype=torch.float64):
    """A model's source, weights and slots, by default in double precision."""
    source = open_source(folder)
    weights, slots = source.weights(), source.slots()
    return source, tensors(weights, dtype), tensors(slots, dtype)


def corpus_of(source, sentences):
    vocabulary = read_softmax_words(source.vocabulary, source.rows)
    return read_corpus(sentences, "whitespace", vocabulary, source.config.max_characters)


def language_model(source, values):
    network = {name: value for name, value in values.items() if name not in SOFTMAX}
    return LanguageModel(source.config, network)


@pytest.fixture
def model(tmp_path):
    options = training_options()
    weights = weights_of(options)
    slots = slots_of(weights)
    return write_model(tmp_path / "model", options, weights, slots), options, weights, slots


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_perplexity_is_the_oracles(model, rows):
    folder, options, weights, _ = model
    source, values, _ = opened(folder)
    lm = language_model(source, values)
    found = measure(lm, values, corpus_of(source, SENTENCES), rows)
    forward, backward = costs(SENTENCES, options, weights, rows)
    assert found.words == forward.size
    assert found.forward == pytest.approx(np.exp(forward.mean()), rel=1e-10)
    assert found.backward == pytest.approx(np.exp(backward.mean()), rel=1e-10)
    assert found.average == pytest.approx(np.exp((forward.mean() + backward.mean()) / 2), rel=1e-10)


def test_a_text_that_fills_no_row_is_told(model):
    source, values, _ = opened(model[0])
    lm = language_model(source, values)
    with pytest.raises(InputError, match=r"too few sentences \(7\) for a batch of 8"):
        measure(lm, values, corpus_of(source, SENTENCES), 8)


def test_a_step_is_the_hand_computed_one(model):
    """Slopes of the oracle's cost by central differences, then Adagrad's formula by hand."""
    folder, options, weights, slots = model
    source, values, accumulators = opened(folder)
    settings = TrainingSettings(2, 4, 0.2, 0.0, clip_norm=1e9, samples=None, seed=None)
    before = {name: value.clone() for name, value in values.items()}
    trainer = BilmTrainer(
        source.config, values, accumulators, corpus_of(source, SENTENCES), settings
    )
    cost = trainer.step()

    def oracle(changed):
        forward, backward = costs(SENTENCES, options, changed, rows=2, steps=4)
        return (forward.mean() + backward.mean()) / 2

    doubles = {name: value.astype(np.float64) for name, value in weights.items()}
    assert cost == pytest.approx(oracle(doubles), rel=1e-10)
    ours = {place.hdf5 or place.checkpoint.removeprefix("lm/"): place.tensor
            for place in source.places}  # fmt: skip
    rng = np.random.default_rng(1)
    for name in [*doubles]:
        at = tuple(int(rng.integers(side)) for side in doubles[name].shape)
        if name == "char_embed":
            at = (260, 1)  # a character that is surely read
        slope = 0.0
        for sign in (1, -1):
            changed = {**doubles, name: doubles[name].copy()}
            changed[name][at] += sign * 1e-5
            slope += sign * oracle(changed) / 2e-5
        gradient = 4 * slope  # the cost is counted once per step of the window
        slot = float(slots[name][at]) + gradient**2
        moved = trainer.tensors()[ours[name]][at].item() - before[ours[name]][at].item()
        assert moved == pytest.approx(-0.2 * gradient / np.sqrt(slot), rel=1e-5, abs=1e-9), name
        now = trainer.tensors()[ours[name] + SLOT][at].item()
        assert now == pytest.approx(slot, rel=1e-7), name


def test_gradients_are_clipped_by_the_norm_of_all(model):
    """With huge accumulators a step is linear in the gradients, so their norm can be read off."""
    source, values, _ = opened(model[0])
    heavy = {name: torch.full_like(value, 1e16) for name, value in values.items()}
    moves = []
    for clip in (1e9, 0.01):
        start = {name: value.clone() for name, value in values.items()}
        trainer = BilmTrainer(
            source.config,
            {name: value.clone() for name, value in values.items()},
            {name: value.clone() for name, value in heavy.items()},
            corpus_of(source, SENTENCES),
            TrainingSettings(2, 4, 1e8, 0.0, clip, None, None),
        )
        trainer.step()
        moved = trainer.tensors()
        moves.append(torch.cat([(moved[n].detach() - start[n]).reshape(-1) for n in start]))
    free, clipped = moves
    assert clipped.norm().item() == pytest.approx(0.01, rel=1e-6)
    assert torch.allclose(clipped / clipped.norm(), free / free.norm(), atol=1e-6)


def test_the_window_carries_the_state_and_cuts_the_gradients(model):
    """Two windows of two steps cost what one of four does, when nothing is learned."""
    source, values, slots = opened(model[0])
    corpus = corpus_of(source, SENTENCES)
    frozen = TrainingSettings(2, 4, 0.0, 0.0, 1.0, None, None)
    whole = BilmTrainer(source.config, dict(values), dict(slots), corpus, frozen).step()
    halves = BilmTrainer(
        source.config,
        dict(values),
        dict(slots),
        corpus,
        TrainingSettings(2, 2, 0.0, 0.0, 1.0, None, None),
    )
    assert np.mean([halves.step(), halves.step()]) == pytest.approx(whole, rel=1e-10)
    assert not any(part.requires_grad for one in halves.state for pair in one for part in pair)


def test_dropout_falls_on_every_layers_input_and_on_the_output(model):
    """Wired anew beside ElmoModel's own layers, with the same draws: the skip is dropped, too."""
    source, values, _ = opened(model[0])
    lm = language_model(source, values)
    corpus = corpus_of(source, SENTENCES)
    words = np.stack([Stream(corpus, 2, backward).window(4)[0] for backward in (False, True)])
    chance = torch.Generator().manual_seed(4)
    with torch.no_grad():
        found, _ = lm.read(words, corpus.chars, lm.zero_state(2), 0.4, chance)

        chance.manual_seed(4)
        lengths = torch.full((2,), 4)

        def dropped(x):
            kept = torch.rand(4, 2, x.shape[2], generator=chance).transpose(0, 1) >= 0.4
            return torch.where(kept, x / 0.6, 0.0)

        for d in range(2):
            spelled = torch.from_numpy(corpus.chars[words[d].reshape(-1)].astype(np.int64))
            x = dropped(lm.network.embed(spelled).reshape(2, 4, -1))
            first, _ = lm.network.cells[d][0](x, lengths, lm.zero_state(2)[d][0])
            first = dropped(first)
            second, _ = lm.network.cells[d][1](first, lengths, lm.zero_state(2)[d][1])
            assert torch.allclose(found[d], dropped(second + first), atol=1e-12)


def test_chance_follows_from_seed_and_step(model):
    source, values, slots = opened(model[0])

    def costs_of(seed):
        settings = TrainingSettings(2, 4, 0.0, 0.3, 1.0, None, seed)
        trainer = BilmTrainer(
            source.config, dict(values), dict(slots), corpus_of(source, ["the gene"]), settings
        )
        return [trainer.step() for _ in range(3)]

    assert costs_of(1) == costs_of(1) != costs_of(2)
    assert len(set(costs_of(1))) == 3


# --- the softmax


def test_costs_in_pieces_are_those_in_one(monkeypatch):
    rng = np.random.default_rng(0)
    h, w, b = (torch.from_numpy(rng.normal(size=size)) for size in ((5, 4), (33, 4), (33,)))
    y = torch.from_numpy(rng.integers(0, 33, 5))
    monkeypatch.setattr("kgtextvec.finetune.softmax.EVALUATED", 35)
    expected = -torch.log_softmax(h @ w.t() + b, 1)[torch.arange(5), y]
    assert torch.allclose(measured_losses(h, w, b, y), expected, atol=1e-12)
    assert torch.allclose(full_losses(h, w, b, y), expected, atol=1e-12)


def test_samples_are_different_rows_drawn_log_uniformly():
    chance = np.random.default_rng(0)
    seen = np.zeros(50)
    targets = np.array([0, 7])
    expected = np.zeros(50)
    for _ in range(2000):
        sample = draw_sample(targets, 5, 50, chance)
        assert len(set(sample.rows)) == 5
        seen[sample.rows] += 1
        expected[sample.rows] += 1
    # Successive sampling without repetition: the first row is in the sample most often; the
    # shares fall with the row as log((i + 2) / (i + 1)) does.
    assert np.all(np.diff(np.add.reduceat(seen, [0, 1, 3, 8, 20]) / [1, 2, 5, 12, 30]) < 0)
    many = draw_sample(targets, 40, 50, chance)
    assert len(set(many.rows)) == 40 and many.rows.max() < 50
    share = np.log(np.arange(2, 52) / np.arange(1, 51)) / np.log(51)
    assert share.sum() == pytest.approx(1)
    assert expected_counts(np.arange(50), 3, 50) == pytest.approx(1 - (1 - share) ** 3)


@pytest.mark.parametrize("seed", range(20))
def test_a_sample_is_the_first_different_rows_and_its_counts_follow_from_the_tries(seed):
    """Drawn anew one at a time from the same random numbers."""
    chance, rows, tries = np.random.default_rng(seed), [], 0
    while len(rows) < 12:
        row = int(np.exp(chance.random() * np.log(31))) - 1
        tries += 1
        rows += [row] if row not in rows else []
    targets = np.array([0, 29])
    sample = draw_sample(targets, 12, 30, np.random.default_rng(seed))
    assert sample.rows.tolist() == rows
    for found, of in ((sample.expected, np.array(rows)), (sample.expected_targets, targets)):
        share = np.log((of + 2) / (of + 1)) / np.log(31)
        assert found == pytest.approx(1 - (1 - share) ** tries)


def test_first_draws_have_the_log_uniform_shares():
    chance = np.random.default_rng(1)
    first = np.array([draw_sample(np.array([0]), 1, 20, chance).rows[0] for _ in range(20_000)])
    share = np.log(np.arange(2, 22) / np.arange(1, 21)) / np.log(21)
    found = np.bincount(first, minlength=20) / len(first)
    assert np.abs(found - share).max() < 4 * np.sqrt(0.25 / len(first))


def test_a_sample_of_everything_costs_what_the_full_softmax_does():
    """Expected counts of 1 correct nothing, and the target itself must not count twice."""
    rng = np.random.default_rng(2)
    h, w, b = (torch.from_numpy(rng.normal(size=size)) for size in ((6, 4), (9, 4), (9,)))
    y = rng.integers(0, 9, 6)
    everything = Sample(np.arange(9), np.ones(9), np.ones(6))
    found = sampled_losses(h, w[y], b[y], w, b, y, everything)
    assert torch.allclose(found, full_losses(h, w, b, torch.from_numpy(y)), atol=1e-12)


def test_a_sampled_step_touches_its_own_rows_alone(model):
    source, values, slots = opened(model[0])
    before = values[SOFTMAX_WEIGHTS].clone(), slots[SOFTMAX_WEIGHTS].clone()
    settings = TrainingSettings(1, 2, 0.2, 0.0, 1.0, samples=2, seed=1)
    trainer = BilmTrainer(source.config, values, slots, corpus_of(source, SENTENCES), settings)
    trainer.step()
    used = set(np.concatenate([sample.rows for sample in trainer.samples]).tolist())
    moved = (trainer.softmax[SOFTMAX_WEIGHTS] != before[0]).any(1).numpy()
    heavier = (trainer.slots[SOFTMAX_WEIGHTS] != before[1]).any(1).numpy()
    assert np.array_equal(moved, heavier)
    assert used <= set(np.flatnonzero(moved).tolist())
    assert 0 < moved.sum() <= len(used) + 4 < len(WORDS)
    squares = slots[SOFTMAX_WEIGHTS] - before[1]
    steps = (values[SOFTMAX_WEIGHTS] - before[0]).abs()
    assert torch.allclose(steps, 0.2 * squares.sqrt() / slots[SOFTMAX_WEIGHTS].sqrt(), atol=1e-9)


# --- what TensorFlow gave


@golden
@pytest.mark.parametrize("rows", [1, 2])
def test_perplexity_is_what_bilm_tf_printed(rows):
    home = GOLDEN / "tf_checkpoint"
    source = open_source(home, home / "vocab.txt")
    weights = source.weights()
    values = tensors(weights)
    lm = language_model(source, values)
    corpus = corpus_of(source, read_sentences(home / "data.txt"))
    found = measure(lm, values, corpus, rows)
    printed = json.loads((home / "result.json").read_text())[f"ppl_bs{rows}"]
    assert found.average == pytest.approx(printed, rel=1e-6)


@golden
def test_six_restarted_steps_end_where_tensorflow_ended():
    home, vocabulary = GOLDEN / "tf_restart_before", GOLDEN / "tf_checkpoint" / "vocab.txt"
    source = open_source(home, vocabulary)
    weights, slots = source.weights(), source.slots()
    corpus = corpus_of(source, read_sentences(GOLDEN / "tf_checkpoint" / "data.txt"))
    clip = source.training["all_clip_norm_val"]
    settings = TrainingSettings(2, 10, 0.2, 0.0, clip, samples=None, seed=None)
    trainer = BilmTrainer(source.config, tensors(weights), tensors(slots), corpus, settings)
    for _ in range(6):
        trainer.step()
    after = open_source(GOLDEN / "tf_restart_after", vocabulary)
    expected, expected_slots = after.weights(), after.slots()
    found = trainer.tensors()
    for name in expected:
        assert np.abs(found[name].detach().numpy() - expected[name]).max() <= 1e-6
        assert np.abs(found[name + SLOT].numpy() - expected_slots[name]).max() <= 1e-6
    assert max(np.abs(expected[name] - weights[name]).max() for name in expected) > 0.1


@golden
def test_the_sampled_cost_is_what_tensorflow_gave():
    with np.load(GOLDEN / "sampled_softmax.npz") as given:
        h, w, b, y, ids = (given[name] for name in ("h", "W", "b", "y", "ids"))
        of_targets, of_sample, costs_given = (given[name] for name in ("te", "se", "l"))
    sample = Sample(ids, of_sample.astype(np.float64), of_targets[:, 0].astype(np.float64))
    y = y[:, 0]
    tensor = torch.from_numpy
    found = sampled_losses(
        tensor(h), tensor(w[y]), tensor(b[y]), tensor(w[ids]), tensor(b[ids]), y, sample
    )
    assert np.abs(found.numpy() - costs_given).max() <= 1e-5
    share = np.log((ids[0] + 2) / (ids[0] + 1)) / np.log(len(w) + 1)
    tries = round(float(np.log1p(-of_sample[0]) / np.log1p(-share)))
    assert expected_counts(ids, tries, len(w)) == pytest.approx(of_sample, rel=1e-5)
    assert expected_counts(y, tries, len(w)) == pytest.approx(of_targets[:, 0], rel=1e-5)


@pytest.mark.parametrize("direction", [0, 1])
def test_a_layer_and_its_slopes_are_those_of_the_model_that_embeds(model, direction):
    """Beside plain autograd through ElmoModel's own layer, from a state that is not zero."""
    source, values, _ = opened(model[0])
    cell = language_model(source, values).network.cells[direction][1]
    chance = torch.Generator().manual_seed(0)
    size, hidden = source.config.projection_size, source.config.cell_size
    given = [
        torch.randn(shape, generator=chance, dtype=torch.float64)
        for shape in ((3, 5, size), (3, size), (3, hidden), (3, 5, size))
    ]
    found = []
    for ours in (True, False):
        cell.zero_grad()
        x, h, c, wish = (value.clone() for value in given)
        x.requires_grad_()
        if ours:
            y, last = run_cell(cell, x.transpose(0, 1), h, c)
            y = y.transpose(0, 1)
        else:
            y, last = cell(x, torch.full((3,), 5), (h, c))
        (y * wish).sum().backward()
        slopes = [parameter.grad.clone() for parameter in cell.parameters()]
        found.append([y.detach(), *(part.detach() for part in last), x.grad, *slopes])
    assert len(found[0]) == 7
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-11) and theirs.abs().max() > 1e-3
