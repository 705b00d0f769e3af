"""An endpoint as an encoder: right vectors or a clear error, whatever the server does."""

import threading
import time

import numpy as np
import pytest
from embedding_server import EmbeddingServer, vector_of
from hypothesis import given
from hypothesis.strategies import integers, lists

from kgtextvec.encoders import EncoderSettings
from kgtextvec.encoders.endpoint.encoder import TRIAL_TEXTS, EndpointEncoder
from kgtextvec.encoders.endpoint.pace import Pacer
from kgtextvec.encoders.endpoint.requesting import estimate_tokens, plan_requests
from kgtextvec.errors import InputError
from kgtextvec.server_address import Endpoint
from kgtextvec.settings.models import Access, Requests

TEXTS = [f"gene {i}" + " of the mitochondrion" * (i % 7) for i in range(50)]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KGTEXTVEC_OFFLINE", raising=False)
    monkeypatch.setenv("KGTEXTVEC_PATIENCE", "first_wait=0.01,longest_wait=0.02,tries=3")


def encoder_of(server: EmbeddingServer, dims=8, key=None, most=None, **limits) -> EndpointEncoder:
    access = Access(api_key_env=key, requests=Requests(**({"texts": 8} | limits)))
    settings = EncoderSettings(access=access, max_characters=most)
    return EndpointEncoder(Endpoint(server.url, "m"), settings, dims)


def encoded(encoder: EndpointEncoder, texts=TEXTS) -> np.ndarray:
    vectors = np.full((len(texts), encoder.dims), np.nan, np.float32)
    for one in encoder.encode(texts):
        assert np.isnan(vectors[one.rows]).all(), "each text comes once"
        vectors[one.rows] = one.vectors
    return vectors


def right(texts=TEXTS) -> np.ndarray:
    return np.array([vector_of(text) for text in texts])


@pytest.mark.parametrize("parallel", [1, 4])
def test_each_text_gets_the_servers_vector(parallel):
    with EmbeddingServer(["slow=0.2"] * 4) as server:
        assert np.array_equal(encoded(encoder_of(server, parallel=parallel)), right())
    assert sorted(server.texts) == sorted(TEXTS)
    assert all(len(one.texts) <= 8 for one in server.asked)
    assert server.most_at_once <= parallel
    assert (server.most_at_once > 1) == (parallel > 1)


# What a server may do, and how the error says it once it happens too often.
FAULTS = {
    "429=0": "429 .*busy",
    "500": "500 .*busy",
    "503=0": "503 .*busy",
    "cut": "the answer was cut",
    "chunkcut": "the answer was cut",
    "count": "7 vectors for 8 texts",
    "index": "its indexes are not those of the texts",
    "noindex": "its indexes are not those of the texts",
    "lackindex": "its indexes are not those of the texts",
    "nan": "a vector holds NaN or Infinity",
    "null": "a vector holds NaN or Infinity",
    "huge": "a vector is out of float32's range",
    "zeros": "a vector is all zeros",
    "page": "not what /embeddings gives",
    "slow=3": "no answer within 1 s",
    "drip=0.05": "no complete answer within 1 s",
    "endless": "the answer is longer than 67,",
}


def timeout_for(fault: str) -> float:
    """Return seconds that these faults exceed, and that no other answer needs on a busy machine."""
    return 1 if fault in ("slow=3", "drip=0.05") else 60


@pytest.mark.parametrize("fault", [*FAULTS, "reordered", "chunked"])
def test_a_fault_that_passes_changes_no_vector(fault):
    with EmbeddingServer([fault, "ok", fault]) as server:
        assert np.array_equal(encoded(encoder_of(server, timeout=timeout_for(fault))), right())
    again = 2 if fault in FAULTS else 0
    assert len(server.asked) == 7 + again


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_stays_is_an_error_and_what_came_before_is_kept(monkeypatch, fault):
    tries = 1 if timeout_for(fault) == 1 else 3  # each of these takes that second
    monkeypatch.setenv("KGTEXTVEC_PATIENCE", f"first_wait=0.01,longest_wait=0.02,tries={tries}")
    came = []
    message = f"gave up after {tries + 1} failures in a row, the last: .*{FAULTS[fault]}.*run again"
    with (
        EmbeddingServer(["ok"] * 3, always=fault) as server,
        pytest.raises(InputError, match=message),
    ):
        for one in encoder_of(server, parallel=1, timeout=timeout_for(fault)).encode(TEXTS):
            came += one.rows.tolist()
    assert len(came) == 24


def test_a_busy_server_that_answers_some_requests_is_not_given_up(monkeypatch):
    """Of four requests three are turned away: some thread's are, many times in a row."""
    monkeypatch.setenv("KGTEXTVEC_PATIENCE", "first_wait=0.01,longest_wait=0.02,tries=6")
    with EmbeddingServer((["429=0"] * 3 + ["ok"]) * 60) as server:
        found = encoded(encoder_of(server, parallel=4, texts=1))
    assert np.array_equal(found, right())
    assert len(server.asked) == 4 * len(TEXTS)


@pytest.mark.parametrize("fault", ["429=1", "500=1", "500"])
def test_the_next_try_waits_as_long_as_the_server_asks(monkeypatch, fault):
    """Or as long as our own patience, 0.5 s and more, where the server doesn't say."""
    monkeypatch.setenv("KGTEXTVEC_PATIENCE", "first_wait=0.5,longest_wait=0.5,tries=3")
    with EmbeddingServer([fault]) as server:
        start = time.monotonic()
        assert np.array_equal(encoded(encoder_of(server, parallel=1)), right())
    assert time.monotonic() - start >= (1 if "=" in fault else 0.25)


@pytest.mark.parametrize("limit", [{"per_minute": 600}, {"tokens_per_minute": 30_000}])
def test_requests_keep_to_the_rate_that_the_entry_allows(limit):
    """A text a request: 0.1 s from one to the next, or 2 ms for each token of the one before."""
    texts = TEXTS[:10]
    tokens = estimate_tokens(texts)
    seconds = 9 * 0.1 if "per_minute" in limit else (tokens.sum() - tokens.max()) / 500
    with EmbeddingServer() as server:
        start = time.monotonic()
        assert np.array_equal(encoded(encoder_of(server, texts=1, **limit), texts), right(texts))
    assert time.monotonic() - start >= seconds


def test_other_dims_are_refused_at_once():
    with (
        EmbeddingServer(["ok", "dims"]) as server,
        pytest.raises(InputError, match="7 dims, not 8"),
    ):
        encoded(encoder_of(server, parallel=1))
    assert len(server.asked) == 2


def test_an_answer_with_the_vectors_of_another_batch_is_not_taken():
    with EmbeddingServer(["ok", "other"]) as server:
        assert np.array_equal(encoded(encoder_of(server, parallel=1)), right())
    assert len(server.asked) == 7 + 1 + 1, "one text alone to be sure, then the batch again"


def test_an_answer_with_one_vector_for_all_texts_is_not_taken():
    with EmbeddingServer(["same"]) as server:
        assert np.array_equal(encoded(encoder_of(server, parallel=1)), right())


def test_a_wrong_vector_that_shows_later_stops_the_run():
    with EmbeddingServer() as server:
        wrong = {TEXTS[6]: TEXTS[1]}  # the longest goes first
        server.vector = lambda text: vector_of(wrong.pop(text, text))
        with pytest.raises(InputError, match=r"mixes up its answers.*another identity"):
            encoded(encoder_of(server, parallel=1))


def test_a_model_may_give_two_texts_one_vector():
    with EmbeddingServer() as server:
        server.vector = lambda text: vector_of(text.lower()[:4])
        texts = ["TP53", "tp53", "tp53 gene", "tp53 protein", "BRCA1"]
        expected = np.array([server.vector(text) for text in texts])
        assert np.array_equal(encoded(encoder_of(server), texts), expected)


def test_a_server_that_takes_fewer_texts_gets_fewer(capsys):
    with EmbeddingServer(most_texts=2) as server:
        assert np.array_equal(encoded(encoder_of(server, parallel=1)), right())
    refused = [one for one in server.asked if len(one.texts) > 2]
    assert [len(one.texts) for one in refused] == [8, 4, 4]
    assert "at most 2 from now on" in capsys.readouterr().err


def test_a_text_that_is_too_long_for_the_server_is_named():
    texts = [*TEXTS, "very long " * 50]
    with EmbeddingServer(most_characters=400) as server:
        with pytest.raises(
            InputError, match=r"a text of 500 characters \('very long.*413.*512 tok"
        ):
            encoded(encoder_of(server), texts)
        cut = encoder_of(server, most=400)
        found = {
            int(row): (vector, bool(was_cut))
            for one in cut.encode(texts)
            for row, vector, was_cut in zip(one.rows, one.vectors, one.truncated, strict=True)
        }
    assert [row for row, (_, was_cut) in found.items() if was_cut] == [50]
    assert np.array_equal(found[50][0], vector_of(texts[50][:400]))


def test_the_key_is_sent_and_shown_nowhere(monkeypatch, capsys):
    monkeypatch.setenv("MY_KEY", "sk-secret-1")
    with EmbeddingServer(["500"], key="sk-secret-1") as server:
        encoder = encoder_of(server, key="MY_KEY")
        assert np.array_equal(encoded(encoder), right())
        assert "secret" not in repr(encoder.key)
        monkeypatch.setenv("MY_KEY", "sk-secret-2")
        with pytest.raises(InputError, match=r"refuses the key.*api_key_env") as caught:
            encoded(encoder_of(server, key="MY_KEY"))
    assert "secret" not in str(caught.value) + capsys.readouterr().err


def test_a_password_of_netrc_is_not_sent(monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with EmbeddingServer() as server:
        encoded(encoder_of(server))
    assert not any("Authorization" in one.headers for one in server.asked)


@pytest.mark.parametrize(
    ("key", "url", "message"),
    [
        ("", "https://example.org/v1", "MY_KEY is not set"),
        ("two words", "https://example.org/v1", "what is in MY_KEY can't be a key"),
        ("sk-secret", "http://example.org/v1", "sent to example.org unencrypted. Use https"),
    ],
)
def test_a_key_that_can_not_be_used_is_refused_before_a_request(monkeypatch, key, url, message):
    monkeypatch.setenv("MY_KEY", key)
    settings = EncoderSettings(access=Access(api_key_env="MY_KEY"))
    with pytest.raises(InputError, match=message) as caught:
        EndpointEncoder(Endpoint(url, "m"), settings, 8)
    assert "secret" not in str(caught.value) and "two words" not in str(caught.value)


def test_offline_only_this_machine_is_asked(monkeypatch):
    monkeypatch.setenv("KGTEXTVEC_OFFLINE", "1")
    with pytest.raises(InputError, match="KGTEXTVEC_OFFLINE forbids"):
        EndpointEncoder(Endpoint("https://example.org/v1", "m"), EncoderSettings(), 8)
    with EmbeddingServer() as server:
        assert np.array_equal(encoded(encoder_of(server)), right())


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("404", "answers 404 .*Check source and model"),
        ("429=insufficient_quota", "quota is used up"),
        ("429=4000", "asks to wait 4,000 s"),
    ],
)
def test_what_no_further_request_can_help_is_an_error_at_once(fault, message):
    with EmbeddingServer(always=fault) as server, pytest.raises(InputError, match=message):
        encoded(encoder_of(server, parallel=1))
    assert len(server.asked) == 1


def test_an_answer_that_leads_elsewhere_is_not_followed():
    with (
        EmbeddingServer() as other,
        EmbeddingServer(always=f"307={other.url}/embeddings") as server,
        pytest.raises(InputError, match=f"answers 307 .*leads to '{other.url}/embeddings'"),
    ):
        encoded(encoder_of(server, parallel=1))
    assert len(server.asked) == 1 and not other.asked


def test_a_server_that_is_not_there_is_named():
    with EmbeddingServer() as server:
        pass
    with pytest.raises(InputError, match=f"{server.url}: gave up .*connection refused"):
        encoded(encoder_of(server))


def test_the_trial_knows_another_model():
    with EmbeddingServer() as server:
        encoder = encoder_of(server)
        before = encoder.trial()
        assert np.array_equal(before, right(TRIAL_TEXTS))
        encoder.check_trial(before + 1e-4, before)
        with pytest.raises(InputError, match=r"other vectors than in earlier runs \(cosine"):
            encoder.check_trial(before[::-1], before)
        server.vector = lambda text: vector_of("")
        with pytest.raises(InputError, match="two different texts get one vector"):
            encoder.trial()


def test_nothing_is_sent_once_nobody_waits():
    with EmbeddingServer(always="slow=0.05") as server:
        answers = encoder_of(server, parallel=2, texts=1).encode(TEXTS)
        next(answers)
        answers.close()
        while any("work" in thread.name for thread in threading.enumerate()):
            pass
    assert len(server.asked) < len(TEXTS)


@given(lists(integers(1, 900)), integers(1, 40), integers(8, 2000))
def test_every_text_is_in_one_request_within_both_limits(tokens, most_texts, most_tokens):
    tokens = np.array(tokens, dtype=np.int64)
    requests = plan_requests(tokens, most_texts, most_tokens)
    assert sorted(row for rows in requests for row in rows.tolist()) == list(range(len(tokens)))
    assert all(len(rows) <= most_texts for rows in requests)
    assert all(len(rows) == 1 or tokens[rows].sum() <= most_tokens for rows in requests)


def test_tokens_are_estimated_from_bytes():
    assert estimate_tokens(["", "TP53", "é" * 7]).tolist() == [2, 4, 6]


def test_requests_are_spaced_by_both_limits_and_pauses_hold_for_all():
    now = [100.0]
    pacer = Pacer(60, 6000, lambda: now[0])
    assert [pacer.reserve(tokens) for tokens in (10, 1000, 10)] == [100, 101, 111]
    now[0] = 200.0
    assert pacer.reserve(10) == 200
    assert Pacer(now=lambda: 5.0).reserve(10**9) == 5
    pacer.pause(30)
    assert pacer.paused_until == 230
