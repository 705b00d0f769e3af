"""embed-shard and gather-shards as commands: resumed, stopped, faithful, windowed, damaged."""

import json
import os
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from threading import Barrier

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plain_loop import plain_loop
from safetensors.numpy import load_file
from tiny_models import tiny_bert, tiny_roberta
from warm_python import interpreter

from kgtextvec.embed import shard

ROOT = Path(__file__).resolve().parents[1]
WORDS = ["gene", "protein", "kinase", "receptor", "disease", "cell", "binding", "acute"]


def kgtextvec(*words: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [interpreter(), *command(*words)[1:]], env=environment(), capture_output=True, text=True
    )


def command(*words: object) -> list[str]:
    return [sys.executable, "-P", "-m", "kgtextvec", *map(str, words)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A cased BERT without tokenizer_config.json, as BioBERT lies on the hub, converted."""
    return converted(tiny_bert(tmp_path_factory.mktemp("bert") / "raw"), "biobert")


def converted(raw: Path, name: str) -> Path:
    out = raw.parent / "model"
    entry = json.dumps({"source": f"path:{raw}"})
    done = kgtextvec("convert-model", raw, "--model", name, "--entry", entry, "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def write_shard(path: Path, texts: list[str]) -> list[str]:
    """Write a shard as read-texts does: ascending by digest; returns the texts in that order."""
    ordered = sorted(texts, key=lambda text: sha256(text.encode()).hexdigest())
    keys = [sha256(text.encode()).hexdigest() for text in ordered]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text_sha256": keys, "text": ordered}), path)
    return ordered


def many_texts(n: int) -> list[str]:
    return [f"{WORDS[i % 8]} {WORDS[i // 8 % 8]} " * (1 + i % 9) + str(i) for i in range(n)]


def stored_keys(store: Path) -> list[bytes]:
    return [
        key.tobytes() for path in store.rglob("*.safetensors") for key in load_file(path)["keys"]
    ]


def wait_for(condition, process: subprocess.Popen, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.01)


def test_the_vectors_are_those_of_the_plain_loop(model, tmp_path):
    texts = write_shard(tmp_path / "texts.parquet", many_texts(60))
    out = tmp_path / "000-of-001.npy"
    done = kgtextvec(
        "embed-shard",
        tmp_path / "texts.parquet",
        "--model",
        model,
        "--store",
        tmp_path / "store",
        "--out",
        out,
    )
    assert done.returncode == 0, done.stderr
    assert np.abs(np.load(out) - plain_loop(model, texts, 512)).max() <= 1e-5
    about = json.loads(out.with_suffix(".json").read_text())
    assert (about["texts_embedded"], about["texts_from_store"]) == (60, 0)


@pytest.fixture(scope="module")
def undisturbed(model, tmp_path_factory) -> Path:
    """A shard of 4,000 texts, and next to it the vectors of a job that no one stops."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_shard(folder / "texts.parquet", many_texts(4000))
    done = kgtextvec(
        "embed-shard", folder / "texts.parquet", "--model", model, "--store", folder / "store",
        "--out", folder / "000-of-001.npy", "--batch-tokens", 512,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM])
def test_run_kill9_and_run_sigterm_go_on_where_they_were(model, undisturbed, tmp_path, blow):
    """Parts are written every 0.05 s. SIGKILL may cost the part in hand, SIGTERM costs nothing."""
    texts = many_texts(4000)
    store, out = tmp_path / "store", tmp_path / "000-of-001.npy"
    words = (
        "embed-shard", undisturbed / "texts.parquet", "--model", model, "--store", store, "--out",
        out, "--part-seconds", "0.05", "--batch-tokens", "512",
    )  # fmt: skip
    job = subprocess.Popen(command(*words), env=environment(), stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(list(store.rglob("*.safetensors"))) >= 3, job)
    job.send_signal(blow)
    _, told = job.communicate(timeout=30)
    before = stored_keys(store)
    assert 0 < len(before) < len(texts)
    assert not out.exists()
    assert not list(tmp_path.rglob("*.npy"))
    if blow == signal.SIGTERM:
        assert job.returncode == 143
        assert "resume by rerunning" in told

    done = kgtextvec(*words)
    assert done.returncode == 0, done.stderr
    after = stored_keys(store)
    assert len(after) == len(set(after)) == len(texts), "no text was stored twice"
    about = json.loads(out.with_suffix(".json").read_text())
    assert about["texts_from_store"] == len(before)
    assert about["texts_embedded"] == len(texts) - len(before)
    assert out.read_bytes() == (undisturbed / "000-of-001.npy").read_bytes()
    assert len(texts) == len(np.load(out))


def test_run_corrupt_part_is_computed_again(model, tmp_path):
    write_shard(tmp_path / "texts.parquet", many_texts(20))
    words = [
        "embed-shard", tmp_path / "texts.parquet", "--model", model, "--store", tmp_path / "store",
        "--out", tmp_path / "000-of-001.npy",
    ]  # fmt: skip
    assert kgtextvec(*words).returncode == 0
    first = (tmp_path / "000-of-001.npy").read_bytes()
    (part,) = (tmp_path / "store").rglob("*.safetensors")
    data = bytearray(part.read_bytes())
    data[-3] ^= 4
    part.write_bytes(data)
    done = kgtextvec(*words)
    assert done.returncode == 0
    assert "damaged" in done.stderr and "set aside" in done.stderr
    assert (tmp_path / "000-of-001.npy").read_bytes() == first


def test_a_cased_model_keeps_case_and_faithful_mode_loses_it(model, tmp_path):
    """BioMedGPS's script loads BioBERT as lower-casing; its numbers are those of 'tp53'."""
    from transformers import AutoModel, AutoTokenizer

    texts = write_shard(tmp_path / "texts.parquet", ["TP53", "Gene of TP53 [SEP] x"])
    vectors = {}
    for mode in ("correct", "faithful"):
        out = tmp_path / mode / "000-of-001.npy"
        done = kgtextvec(
            "embed-shard",
            tmp_path / "texts.parquet",
            "--model",
            model,
            "--mode",
            mode,
            "--store",
            tmp_path / "store",
            "--out",
            out,
        )
        assert done.returncode == 0, done.stderr
        vectors[mode] = np.load(out)
    raw = model.parent / "raw"
    tokenizer, bert = AutoTokenizer.from_pretrained(str(raw)), AutoModel.from_pretrained(str(raw))
    upstream = [
        bert(**tokenizer(text, return_tensors="pt", padding=True, truncation=True))
        .last_hidden_state.mean(1)[0]
        .detach()
        .numpy()
        for text in texts
    ]
    assert np.abs(vectors["faithful"] - np.array(upstream)).max() <= 1e-5
    assert np.abs(vectors["correct"] - np.array(upstream)).max() > 1e-3
    assert "TP53" in AutoTokenizer.from_pretrained(str(model)).convert_tokens_to_string(
        AutoTokenizer.from_pretrained(str(model)).tokenize("TP53")
    )


def test_texts_are_read_while_the_files_of_the_model_are_hashed(model, tmp_path, monkeypatch):
    """Each waits until the other one has begun, so one after the other would never end."""
    texts = write_shard(tmp_path / "texts.parquet", ["a gene", "a cell"])
    both = Barrier(2, timeout=60)
    for name in ("read_model_folder", "read_parquet"):
        read = getattr(shard, name)
        monkeypatch.setattr(shard, name, lambda path, read=read: (both.wait(), read(path))[1])
    record, rows, keys = shard.read_checked(model, tmp_path / "texts.parquet")
    assert record["model"] == "biobert" and rows["text"].to_pylist() == texts
    assert keys.tobytes() == b"".join(sha256(text.encode()).digest() for text in texts)


def test_a_flipped_bit_in_the_weights_is_refused(model, tmp_path):
    import shutil

    broken = tmp_path / "model"
    shutil.copytree(model, broken)
    data = bytearray((broken / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (broken / "model.safetensors").write_bytes(data)
    write_shard(tmp_path / "texts.parquet", ["a"])
    done = kgtextvec(
        "embed-shard",
        tmp_path / "texts.parquet",
        "--model",
        broken,
        "--store",
        tmp_path / "store",
        "--out",
        tmp_path / "000-of-001.npy",
    )
    assert done.returncode == 2
    assert done.stderr.startswith("ERROR: ") and "checksum" in done.stderr


def test_too_many_tokens_are_refused_before_the_model_loads(tmp_path):
    model = converted(tiny_roberta(tmp_path / "raw"), "roberta")
    write_shard(tmp_path / "texts.parquet", ["a"])
    done = kgtextvec(
        "embed-shard",
        tmp_path / "texts.parquet",
        "--model",
        model,
        "--max-tokens",
        514,
        "--store",
        tmp_path / "store",
        "--out",
        tmp_path / "000-of-001.npy",
    )
    assert done.returncode == 2
    assert "514 is more than roberta can take (512)" in done.stderr


def test_gather_refuses_shards_of_other_texts(model, tmp_path):
    texts = tmp_path / "texts"
    table = tmp_path / "table.tsv"
    table.write_text("id\tname\tlabel\tdescription\nA:1\tTP53\tGene\ta gene\n")
    done = kgtextvec(
        "read-texts",
        table,
        "--table",
        "t",
        "--kind",
        "entities",
        "--shards",
        1,
        "--out-dir",
        texts,
    )
    assert done.returncode == 0, done.stderr
    write_shard(tmp_path / "other.parquet", ["another text"])
    shard = tmp_path / "shards" / "000-of-001.npy"
    assert (
        kgtextvec(
            "embed-shard",
            tmp_path / "other.parquet",
            "--model",
            model,
            "--store",
            tmp_path / "store",
            "--out",
            shard,
        ).returncode
        == 0
    )
    done = kgtextvec("gather-shards", shard, "--texts", texts, "--out-dir", tmp_path / "full")
    assert done.returncode == 2
    assert "made of other texts" in done.stderr
    assert not (tmp_path / "full" / "embeddings.npy").exists()


def test_a_second_job_on_the_same_texts_waits_for_the_first(model, tmp_path):
    """As after Snakemake was killed: its job goes on, the rerun submits another."""
    texts = many_texts(600)
    write_shard(tmp_path / "texts.parquet", texts)
    store = tmp_path / "store"

    def job(out: Path, python: str) -> subprocess.Popen:
        _, *words = command(
            "embed-shard", tmp_path / "texts.parquet", "--model", model, "--store", store,
            "--out", out, "--part-seconds", "0.1", "--batch-tokens", "512",
        )  # fmt: skip
        out.parent.mkdir()
        with out.with_suffix(".log").open("w") as said:
            return subprocess.Popen([python, *words], env=environment(), stderr=said)

    first = job(tmp_path / "a/000-of-001.npy", sys.executable)
    wait_for(lambda: any(lock.stat().st_size for lock in store.rglob("*.lock")), first)
    first.send_signal(signal.SIGSTOP)
    second, log = job(tmp_path / "b/000-of-001.npy", interpreter()), tmp_path / "b/000-of-001.log"
    wait_for(lambda: "waiting for its end" in log.read_text(), second)
    first.send_signal(signal.SIGCONT)
    assert first.wait(120) == second.wait(120) == 0
    told = log.read_text()
    assert f"process {first.pid} on" in told and "waiting for its end" in told
    stored = stored_keys(store)
    assert len(stored) == len(set(stored)) == len(texts)
    assert (tmp_path / "a/000-of-001.npy").read_bytes() == (
        tmp_path / "b/000-of-001.npy"
    ).read_bytes()
