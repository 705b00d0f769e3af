"""Batches side by side on a CPU: the same bytes for any number of threads."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from plain_loop import plain_loop
from tiny_decoders import byte_tokenizer, decoder_size, tiny_bigbird, tiny_t5
from tiny_models import as_converted, save, tiny_bert, tiny_mpnet

from kgtextvec.encoders import EncoderSettings, ResumeContext
from kgtextvec.encoders.transformer.encoder import TransformerEncoder
from kgtextvec.encoders.transformer.trial import changes_itself, trial_lengths
from kgtextvec.errors import InputError

TEXTS = [f"{word} {'protein kinase ' * n} {n}" for n in range(20) for word in ("gene", "disease")]
TOLERANCE = 1e-5


@pytest.fixture(scope="module", params=[tiny_bert, tiny_mpnet], ids=["packed", "padded"])
def folder(request, tmp_path_factory) -> Path:
    """A tiny model as convert-model saves it."""
    return as_converted(request.param(tmp_path_factory.mktemp("model") / "raw"))


@pytest.fixture
def threads():
    """Set how many threads torch has; the number of before comes back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def make(folder: Path, **settings) -> TransformerEncoder:
    return TransformerEncoder(
        folder, EncoderSettings(**{"max_tokens": 64, "batch_tokens": 64} | settings)
    )


def encoded(encoder: TransformerEncoder, texts: list[str], *resume) -> np.ndarray:
    vectors = np.full((len(texts), encoder.dims), np.nan, np.float32)
    for part in encoder.encode(texts, *resume):
        assert np.isnan(vectors[part.rows]).all(), "a text came twice"
        vectors[part.rows] = part.vectors
    return vectors


def test_vectors_are_the_same_bytes_for_any_number_of_threads(folder, threads):
    found = []
    for count in (1, 2, 5):
        threads(count)
        found.append(encoded(make(folder), TEXTS))
        assert torch.get_num_threads() == count
    assert np.abs(found[0] - plain_loop(folder, TEXTS, 64)).max() <= TOLERANCE
    assert {vectors.tobytes() for vectors in found} == {found[0].tobytes()}


def test_a_resumed_job_may_have_other_threads(folder, threads):
    """The first half by one thread, the rest by three: the bytes of a run in one go."""
    encoder = make(folder)
    threads(1)
    whole = encoded(encoder, TEXTS)
    parts = list(encoder.encode(TEXTS))[: len(TEXTS) // 8]
    done = np.concatenate([part.rows for part in parts])
    lengths = np.zeros(len(TEXTS), np.int32)
    lengths[done] = np.concatenate([part.n_tokens for part in parts])
    rest = np.setdiff1d(np.arange(len(TEXTS)), done)
    threads(3)
    resumed = encoded(encoder, [TEXTS[row] for row in rest], ResumeContext(rest, lengths))
    assert 0 < len(done) < len(TEXTS)
    assert resumed.tobytes() == whole[rest].tobytes()


class Seen:
    """A run that calls `look` with each batch before it is computed."""

    def __init__(self, run, look) -> None:
        self.run, self.look = run, look

    def __getattr__(self, name):
        return getattr(self.run, name)

    def __call__(self, pieces, batch):
        self.look(pieces, batch)
        return self.run(pieces, batch)


def test_two_batches_are_computed_at_once(folder, threads):
    """Each batch waits until another one is there: with one thread this would never end."""
    threads(2)
    encoder = make(folder)
    plan = encoder.run.plan(np.full(len(TEXTS), 30), 64)
    assert len(plan) % 2 == 0
    both = threading.Barrier(2)
    encoder.run = Seen(encoder.run, lambda pieces, batch: both.wait(60))
    encoder.run.plan = lambda lengths, budget: plan
    assert np.abs(encoded(encoder, TEXTS) - plain_loop(folder, TEXTS, 64)).max() <= TOLERANCE


def test_a_stream_computes_on_one_core_and_a_long_text_on_all(folder, threads):
    threads(3)
    seen = set()

    def look(pieces, batch):
        name = threading.current_thread().name.partition("_")[0]
        seen.add((int(pieces.lengths[batch].max()) > 40, name, torch.get_num_threads()))

    encoder = make(folder)
    encoder.batch_tokens = 40
    encoder.run = Seen(encoder.run, look)
    vectors = encoded(encoder, TEXTS)
    assert np.abs(vectors - plain_loop(folder, TEXTS, 64)).max() <= TOLERANCE
    assert seen == {(True, "MainThread", 3), (False, "stream", 1)}


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("no room"), MemoryError()], ids=repr)
def test_a_stream_that_lacks_memory_halves_its_batch(folder, threads, capfd, error):
    threads(3)
    encoder = make(folder, batch_tokens=200)

    def look(pieces, batch):
        if encoder.run.cost(pieces.lengths[batch]) > 80:
            raise error

    encoder.run = Seen(encoder.run, look)
    assert np.abs(encoded(encoder, TEXTS) - plain_loop(folder, TEXTS, 64)).max() <= TOLERANCE
    assert "batch halved" in capfd.readouterr().err


def test_a_text_that_does_not_fit_into_a_stream_is_named(folder, threads):
    threads(3)

    def look(pieces, batch):
        if pieces.lengths[batch].max() > 30:
            raise MemoryError

    encoder = make(folder)
    encoder.run = Seen(encoder.run, look)
    with pytest.raises(InputError, match=r"one text of \d+ tokens does not fit into memory"):
        encoded(encoder, TEXTS)
    assert torch.get_num_threads() == 3


def test_what_fails_in_a_stream_fails_here(folder, threads):
    threads(2)

    def look(pieces, batch):
        raise RuntimeError("something else")

    encoder = make(folder)
    encoder.run = Seen(encoder.run, look)
    with pytest.raises(RuntimeError, match="something else"):
        encoded(encoder, TEXTS)
    assert torch.get_num_threads() == 2


def test_who_stops_early_leaves_no_thread(folder, threads):
    threads(2)
    finished = make(folder).encode(TEXTS)
    next(finished)
    finished.close()
    assert not [one for one in threading.enumerate() if one.name.startswith("stream")]
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("count", [1, 3])
def test_overflows_are_noted_for_their_own_batch(tmp_path, threads, count, capfd):
    """A float16 T5 whose every second batch overflows: those alone are computed in float32."""
    threads(count)
    encoder = make(tiny_t5(tmp_path / "t5"), precision="float16")
    assert encoder.run.in_streams
    assert encoder.run.watch.watches
    lock, started = threading.Lock(), []

    def look(pieces, batch):
        with lock:
            started.append(len(batch))
            odd = len(started) % 2
        if odd:
            encoder.run.watch.over.fill_(True)

    encoder.run = Seen(encoder.run, look)
    vectors = encoded(encoder, TEXTS)
    lines = [line for line in capfd.readouterr().err.splitlines() if "in float32" in line]
    assert sorted(int(line.split()[0]) for line in lines) == sorted(started[::2])
    exact = encoded(make(tmp_path / "t5"), TEXTS)
    assert np.abs(vectors - exact).max() <= 5e-3 * np.abs(exact).max()


def rope_model(folder: Path, rope: dict[str, object]) -> Path:
    """Write a Llama whose rotary embedding is of that kind."""
    from transformers import LlamaConfig, LlamaModel

    size = byte_tokenizer(folder)
    config = LlamaConfig(
        vocab_size=size, max_position_embeddings=32, rope_parameters=rope, **decoder_size(2)
    )
    return save(folder, LlamaModel, config, 0, "safetensors", 0.3)


DYNAMIC = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0}
PLAIN = {"rope_type": "default", "rope_theta": 10_000.0}


@pytest.mark.parametrize(("rope", "alone"), [(DYNAMIC, True), (PLAIN, False)])
def test_a_model_that_texts_change_computes_one_batch_at_a_time(tmp_path, rope, alone, threads):
    threads(2)
    encoder = make(rope_model(tmp_path / "llama", rope))
    assert encoder.run.in_streams is not alone
    names = set()
    encoder.run = Seen(encoder.run, lambda *_: names.add(threading.current_thread().name))
    encoded(encoder, TEXTS)
    assert (names == {"MainThread"}) is alone


def test_a_big_bird_computes_one_batch_at_a_time(tmp_path):
    assert not make(tiny_bigbird(tmp_path / "bigbird")).run.in_streams


class Remembers(torch.nn.Module):
    """Keeps a table for the length of the last text, as some rotary embeddings do."""

    def __init__(self) -> None:
        super().__init__()
        self.config = type("Config", (), {"vocab_size": 100})
        self.config.get_text_config = lambda: self.config
        self.table: torch.Tensor | None = None

    def forward(self, ids: np.ndarray) -> torch.Tensor:
        if self.table is None or len(self.table) != len(ids):
            self.table = torch.arange(len(ids))
        return self.table


def test_a_table_of_the_last_text_is_a_change_and_one_made_once_is_not():
    model = Remembers()
    assert changes_itself(model, model)
    assert model.table is None, "the trial leaves no trace"
    model.table = torch.arange(4)
    assert not changes_itself(model, lambda ids: model(np.zeros(4)))


@pytest.mark.parametrize(
    ("device", "max_tokens", "long"),
    [("cpu", 512, []), ("cuda", 512, [300, 150]), ("cuda", 256, [150]), ("cuda", None, [])],
)
def test_a_gpu_is_tried_with_long_texts_too_if_the_model_takes_them(
    folder, device, max_tokens, long
):
    model = make(folder).run.model
    assert list(trial_lengths(model, max_tokens, torch.device(device))) == [*long, 9, 7, 7, 4, 3]
