"""An endpoint as a model like any other: its folder, the store, a run of the workflow."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from embedding_server import EmbeddingServer, vector_of
from workflow_run import Project, entities

from kgtextvec.disk import disk
from kgtextvec.embed.shard import embed_shard
from kgtextvec.encoders.endpoint.encoder import TRIAL_TEXTS
from kgtextvec.errors import InputError
from kgtextvec.models.convert import convert_model
from kgtextvec.settings.models import EncoderOptions

KEY = "sk-secret-key"
TEXTS = [f"disease {i}" for i in range(40)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    monkeypatch.setenv("KGTEXTVEC_PATIENCE", "first_wait=0.01,longest_wait=0.02,tries=3")
    monkeypatch.setenv("MY_KEY", KEY)
    with EmbeddingServer(key=KEY) as running:
        yield running


ACCESS = {"api_key_env": "MY_KEY", "requests": {"texts": 8, "parallel": 2}}


def entry_of(server: EmbeddingServer, **more: object) -> dict:
    return {"kind": "endpoint", "source": server.url, "model": "m", "dims": 8} | more


def converted(folder: Path, entry: dict) -> dict:
    out = folder / "model"
    convert_model(out=out, model="served", entry=json.dumps(entry), access=json.dumps(ACCESS))
    return json.loads((out / "kgtextvec.json").read_text())


def embedded(folder: Path, texts: list[str], **more) -> dict[str, np.ndarray]:
    keys = [sha256(text.encode()).hexdigest() for text in texts]
    order = np.argsort(keys)
    shard = {"text_sha256": [keys[i] for i in order], "text": [texts[i] for i in order]}
    pq.write_table(pa.table(shard), folder / "texts.parquet")
    embed_shard(
        folder / "texts.parquet",
        model=folder / "model",
        store=folder / "store",
        out=folder / "out.npy",
        access=json.dumps(ACCESS),
        **more,
    )
    return dict(zip(shard["text"], np.load(folder / "out.npy"), strict=True))


def files_with(folder: Path, word: str) -> list[Path]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in paths if word.encode() in path.read_bytes()]


def test_a_converted_endpoint_says_what_it_is_and_nothing_of_the_key(server, tmp_path):
    record = converted(tmp_path, entry_of(server, license="theirs"))
    assert (record["kind"], record["dims"], record["source"]) == ("endpoint", 8, server.url)
    assert record["license"] == "theirs"
    assert server.texts == list(TRIAL_TEXTS)
    assert not files_with(tmp_path, KEY)


@pytest.mark.parametrize(
    ("more", "message"),
    [({"dims": 9}, "vectors of 8 dims, not 9"), ({"model": None}, r"served\.model: missing")],
)
def test_an_endpoint_that_is_not_what_the_catalogue_says_is_refused(
    server, tmp_path, more, message
):
    with pytest.raises(InputError, match=message):
        converted(tmp_path, entry_of(server, **more))
    assert not (tmp_path / "model").exists()


def test_what_is_stored_is_not_sent_again(server, tmp_path):
    converted(tmp_path, entry_of(server))
    server.faults = ["ok", "ok", "ok"]  # the trial and two requests; then a failure for good
    server.always = "500"
    with pytest.raises(InputError, match="gave up"):
        embedded(tmp_path, TEXTS)
    server.always = "ok"
    server.asked.clear()
    found = embedded(tmp_path, [*TEXTS, "another"])
    assert all(np.array_equal(found[text], vector_of(text)) for text in found)
    resent = set(server.texts) - set(TRIAL_TEXTS)
    assert len(resent) < len(TEXTS) and "another" in resent
    server.asked.clear()
    assert embedded(tmp_path, TEXTS).keys() == set(TEXTS)
    assert not server.asked
    about = json.loads((tmp_path / "out.json").read_text())
    assert about["model"]["kind"] == "endpoint" and about["device"] == "server"
    assert about["texts_from_store"] == len(TEXTS)
    assert not files_with(tmp_path, KEY)


def test_another_model_behind_the_same_name_is_noticed(server, tmp_path):
    converted(tmp_path, entry_of(server))
    embedded(tmp_path, TEXTS)
    server.vector = lambda text: vector_of(text, model="another")
    with pytest.raises(InputError, match=r"gives other vectors than in earlier runs"):
        embedded(tmp_path, [*TEXTS, "new"])


def test_a_server_that_moves_keeps_its_vectors_by_its_identity(server, tmp_path):
    first = converted(tmp_path / "a", entry_of(server, identity="ours"))
    with EmbeddingServer(key=KEY) as moved:
        second = converted(tmp_path / "b", entry_of(moved, identity="ours"))
        other = converted(tmp_path / "c", entry_of(moved))
    assert first["weights_sha256"] == second["weights_sha256"] != other["weights_sha256"]


def test_a_cut_text_is_counted_and_has_a_key_of_its_own(server, tmp_path):
    converted(tmp_path, entry_of(server))
    embedded(tmp_path, TEXTS)
    found = embedded(tmp_path, TEXTS, options=EncoderOptions(max_characters=9))
    assert np.array_equal(found["disease 12"], vector_of("disease 1"))
    cut = pq.read_table(tmp_path / "out.parquet")["truncated"].to_pylist()
    assert sum(cut) == len([text for text in TEXTS if len(text) > 9])


def test_a_prompt_stands_before_every_text_and_has_a_key_of_its_own(server, tmp_path):
    converted(tmp_path, entry_of(server))
    embedded(tmp_path, TEXTS)
    found = embedded(tmp_path, TEXTS, options=EncoderOptions(prompt="query: "))
    assert all(np.array_equal(found[text], vector_of(f"query: {text}")) for text in TEXTS)
    server.asked.clear()
    embedded(tmp_path, TEXTS)
    assert not server.asked


def test_before_a_run_it_says_how_much_an_endpoint_gets(server, tmp_path, capsys):
    (tmp_path / "t.tsv").write_text("id\tname\n" + "A:1\tone name of ten\n" * 1000)
    models = {"served": {"kind": "endpoint", "dims": 8, "server": server.url}}
    plan = {"tables": {"t": str(tmp_path / "t.tsv")}, "models": models} | {
        "spaces": ["full"],
        "exports": ["npy"],
    }
    disk(json.dumps(plan), store=tmp_path, downloads=tmp_path, resources=tmp_path, results=tmp_path)
    said = capsys.readouterr().err
    tokens = (8 + 20 * 1000) / 3.5 + 2000
    assert f"served: at most 1,000 texts, {tokens / 1e6:.2f} million tokens" in said
    assert server.url in said and not server.asked


def test_a_stopped_job_does_not_wait_for_a_slow_server_and_keeps_what_came(server, tmp_path):
    converted(tmp_path, entry_of(server))
    with pytest.raises(InputError):  # writes the shard, and stores nothing but the trial
        server.faults, server.always = ["ok"], "500"
        embedded(tmp_path, TEXTS)
    server.faults, server.always = ["ok", "ok"], "slow=60"
    server.asked.clear()
    words = ["texts.parquet", "--model", "model", "--store", "store", "--out", "out.npy"]
    job = subprocess.Popen(
        [sys.executable, "-m", "kgtextvec", "embed-shard", *words, "--access", json.dumps(ACCESS)],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while len(server.asked) < 4:  # the trial, an answer, and two that are not coming
        assert job.poll() is None, job.communicate()
        time.sleep(0.02)
    job.terminate()
    _, said = job.communicate(timeout=30)
    assert job.returncode == 143, said
    assert "8 of 40 texts are in the store" in said
    assert not (tmp_path / "out.npy").exists()


@pytest.mark.slow
def test_a_run_with_an_endpoint_sends_each_text_once_and_a_dry_run_nothing(server, tmp_path):
    rows = entities(30)
    config = {
        "tables": {"entities": {"file": "entities.tsv", "kind": "entities", "shards": 2},
                   "relation_types": None},
        "models": ["served"],
        "catalogue": {"served": entry_of(server) | ACCESS},
        "spaces": ["full", "pca4"],
        "exports": ["npy"],
        "report": {"maps": False, "notebooks": False},
        "evaluate": {"scores": []},
    }  # fmt: skip
    project = Project(tmp_path / "work", config)
    project.write_entities(rows)
    assert "at most 30 texts" in project.run("-n").text
    assert not server.asked
    outcome = project.run()
    assert not set(outcome.jobs) & {"download_model", "unpack_model"}
    texts = [row["description"] or row["name"] for row in rows]
    vectors = np.load(project.folder / "results/served/entities/full/embeddings.npy")
    assert np.array_equal(vectors, [vector_of(text) for text in texts])
    sent = [text for text in server.texts if text not in TRIAL_TEXTS]
    assert sorted(sent) == sorted(set(texts))
    model = project.manifest("served", "entities", "full")["model"]
    assert (model["kind"], model["source"]) == ("endpoint", server.url)
    assert not files_with(project.folder, KEY) and KEY not in outcome.text
    server.asked.clear()
    assert not project.run().jobs and not server.asked
    rows[1]["description"] = "something new"
    project.write_entities(rows)
    project.config["catalogue"]["served"]["requests"] = {"texts": 4}
    assert "convert_model" not in project.run().jobs, "how it is asked is no reason to rerun"
    assert [text for text in server.texts if text not in TRIAL_TEXTS] == ["something new"]
