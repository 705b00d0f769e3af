"""Embedding through kill -9, full disks and company: nothing lost, nothing half, the same bits."""

import json
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from plain_loop import plain_loop
from safetensors.numpy import load_file
from test_embed import command, environment, kgtextvec, stored_keys, wait_for, write_shard
from tiny_models import tiny_bert
from workflow_run import Project, entities

from kgtextvec.checksums import xxh3_of
from kgtextvec.files import sha256_of

pytestmark = pytest.mark.slow
WORDS = ["gene", "protein", "kinase", "receptor", "disease", "cell", "binding", "acute"]
N = 4000


def long_texts(n: int, start: int = 0) -> list[str]:
    return [
        f"{WORDS[i % 8]} {WORDS[i // 8 % 8]} " * (10 + i % 50) + str(i)
        for i in range(start, start + n)
    ]


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> Path:
    """A folder with a model that takes its time, a shard of texts, and its undisturbed vectors."""
    root = tmp_path_factory.mktemp("faults")
    tiny_bert(root / "raw", hidden=192, layers=6, scale=0.06)
    entry = json.dumps({"source": f"path:{root / 'raw'}"})
    made = kgtextvec(
        "convert-model", root / "raw", "--model", "m", "--entry", entry, "--out", root / "model"
    )
    assert made.returncode == 0, made.stderr
    write_shard(root / "texts.parquet", long_texts(N))
    done = subprocess.run(embed(root, root / "undisturbed"), env=environment(), check=False)
    assert done.returncode == 0
    return root


def embed(ready: Path, home: Path) -> list[str]:
    """The command that embeds the shard, with store and vectors in `home`."""
    return command(
        "embed-shard", ready / "texts.parquet", "--model", ready / "model", "--store",
        home / "store", "--out", home / "000-of-001.npy", "--part-seconds", "0.05", "--threads",
        "1", "--batch-tokens", "1024",
    )  # fmt: skip


def undisturbed(ready: Path) -> str:
    return sha256_of(ready / "undisturbed/000-of-001.npy")


def assert_nothing_half(home: Path) -> None:
    """Every file under a final name is whole: its name, or the file beside it, has its digest."""
    for part in (home / "store").rglob("*.safetensors"):
        assert sha256_of(part) == part.stem
    vectors = home / "000-of-001.npy"
    about = vectors.with_suffix(".json")
    if about.exists():
        assert json.loads(about.read_text())["vectors_xxh3"] == xxh3_of(vectors)
    if vectors.exists():
        assert np.isfinite(np.load(vectors)).all()


def test_thirty_kills_at_random_moments_lose_nothing(ready, tmp_path):
    seed = time.time_ns() % 10**6
    moments = np.random.default_rng(seed)
    print(f"seed {seed}")
    turn, kills, whole, in_hand = 0, 0, 0, []
    home = tmp_path / "0"
    while kills < 30:
        job = subprocess.Popen(embed(ready, home), env=environment(), stderr=subprocess.DEVNULL)
        before = set(home.rglob("*.safetensors"))
        embeds = kills % 3 > 0  # the others may well be killed before they embed
        while embeds and job.poll() is None and before == set(home.rglob("*.safetensors")):
            time.sleep(0.01)
        try:
            job.wait(moments.uniform(0, 1.2 if embeds else 4))
        except subprocess.TimeoutExpired:
            job.send_signal(signal.SIGKILL)
            killed = time.time()
            job.wait()
            kills += 1
            new = [path.stat().st_mtime for path in set(home.rglob("*.safetensors")) - before]
            if new:
                in_hand.append(killed - max(new))
            assert_nothing_half(home)
            continue
        assert job.returncode == 0
        whole += 1
        assert sha256_of(home / "000-of-001.npy") == undisturbed(ready)
        turn += 1
        home = tmp_path / str(turn)
    done = subprocess.run(embed(ready, home), env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_nothing_half(home)
    assert sha256_of(home / "000-of-001.npy") == undisturbed(ready)
    for each in range(turn + 1):
        keys = stored_keys(tmp_path / str(each) / "store")
        assert len(keys) == len(set(keys)) == N, "no text was stored twice"
    print(
        f"{kills} kills, {len(in_hand)} of them while embedding, {whole} jobs ended before theirs;"
        f" work in hand at a kill: {np.median(in_hand):.2f} s (median), {max(in_hand):.2f} s (most)"
    )


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 16 MB: a tmpfs, which only root may mount."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"can't mount a tmpfs: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def fill(disk: Path) -> Path:
    """Take all the room there is."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    return ballast


def test_run_disk_full_stops_the_job_and_costs_nothing(ready, small_disk):
    words = embed(ready, small_disk)
    job = subprocess.Popen(words, env=environment(), stderr=subprocess.PIPE, text=True)
    store = small_disk / "store"
    wait_for(lambda: len(list(store.rglob("*.safetensors"))) >= 3, job)
    ballast = fill(small_disk)
    _, told = job.communicate(timeout=60)
    assert job.returncode == 2, told
    assert told.splitlines()[-1].startswith("ERROR: ")
    assert "No space left on device; free some space, then run the same command again" in told
    assert "Traceback" not in told
    assert_nothing_half(small_disk)
    assert not (small_disk / "000-of-001.npy").exists()
    assert not list(small_disk.rglob("*.part"))
    kept = len(stored_keys(store))
    assert 0 < kept < N

    ballast.unlink()
    done = subprocess.run(words, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{kept:,} from the store" in done.stderr
    assert sha256_of(small_disk / "000-of-001.npy") == undisturbed(ready)


def test_a_disk_that_is_too_small_is_told_before_the_model_loads(ready, small_disk):
    fill(small_disk)
    started = time.monotonic()
    done = subprocess.run(
        embed(ready, small_disk), env=environment(), capture_output=True, text=True
    )
    took = time.monotonic() - started
    assert done.returncode == 2
    assert "GB of disk" in done.stderr.splitlines()[-1]
    assert "free some space" in done.stderr
    assert not list(small_disk.rglob("*.safetensors"))
    print(f"told after {took:.1f} s")


def test_a_file_size_limit_stops_the_job_and_costs_nothing(ready, tmp_path):
    """The same without root: from a moment on, the running job can't write a part any more."""
    words = embed(ready, tmp_path)
    job = subprocess.Popen(words, env=environment(), stderr=subprocess.PIPE, text=True)
    store = tmp_path / "store"
    wait_for(lambda: len(list(store.rglob("*.safetensors"))) >= 3, job)
    resource.prlimit(job.pid, resource.RLIMIT_FSIZE, (2000, 2000))
    _, told = job.communicate(timeout=60)
    assert job.returncode == 2, told
    assert "File too large; raise the file-size limit" in told.splitlines()[-1]
    assert_nothing_half(tmp_path)
    assert not (tmp_path / "000-of-001.npy").exists()
    done = subprocess.run(words, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sha256_of(tmp_path / "000-of-001.npy") == undisturbed(ready)


def config(store: Path, shards: int) -> dict:
    return {
        "tables": {"entities": {"file": "entities.tsv", "kind": "entities", "shards": shards}},
        "models": ["cased"],
        "spaces": ["full"],
        "exports": ["npy"],
        "catalogue": {"cased": {"source": "path:raw/cased"}},
        "embed": {"part_seconds": 0.1},
        "evaluate": {"scores": []},
        "report": {"maps": False, "notebooks": False},
        "store": str(store),
    }


def test_two_runs_at_once_share_one_store(tmp_path):
    """Two working directories, half of the texts in common, other shards: both are right."""
    runs = []
    for name, shards, start in (("one", 2, 0), ("two", 3, 400)):
        project = Project(tmp_path / name, config(tmp_path / "store", shards))
        tiny_bert(project.folder / "raw/cased", hidden=128, layers=4, scale=0.06)
        rows = entities(800)
        for row, text in zip(rows, long_texts(800, start), strict=True):
            row["description"] = text
        project.write_entities(rows)
        runs.append((project, [row["description"] for row in rows]))
    jobs = [
        subprocess.Popen(
            project.command(),
            cwd=project.folder,
            env=project.env(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for project, _ in runs
    ]
    assert [job.wait(240) for job in jobs] == [0, 0]
    for project, texts in runs:
        found = np.load(project.folder / "results/cased/entities/full/embeddings.npy")
        expected = plain_loop(project.folder / "resources/models/cased", texts, 512)
        assert np.abs(found - expected).max() <= 1e-5
    keys = stored_keys(tmp_path / "store")
    assert len(set(keys)) == 1200
    print(f"{len(keys) - 1200} of 400 texts in common embedded by both")
    for path in (tmp_path / "store").rglob("*.safetensors"):
        assert sha256_of(path) == path.stem
        assert len(load_file(path)["keys"])


@pytest.mark.timeout(240)
def test_a_thousand_shards_times_four_models_are_planned_soon(tmp_path):
    """Only a hang fails: how soon, and in how much memory, is printed."""
    project = Project(tmp_path / "many", config(tmp_path / "store", 1000))
    project.config["models"] = list("abcd")
    project.config["catalogue"] = {name: {"source": f"path:raw/{name}"} for name in "abcd"}
    for name in "abcd":  # planning asks only whether a model's folder is there
        (project.folder / "raw" / name).mkdir(parents=True)
    project.write_entities(entities(5000))
    project.run("--", "results/texts/entities/manifest.json")
    # a child of its own looks at what planning takes: this process has torch in its memory
    watched = (
        "import resource, subprocess, sys, time; started = time.monotonic();"
        "code = subprocess.call(sys.argv[1:]); took = time.monotonic() - started;"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(f'planned in {took:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of them computing,"
        " {used.ru_maxrss / 1024:.0f} MB'); sys.exit(code)"
    )
    planned = subprocess.run(
        [sys.executable, "-c", watched, *project.command("--dry-run")],
        cwd=project.folder,
        env=project.env(),
        capture_output=True,
        text=True,
    )
    assert planned.returncode == 0, planned.stderr[-2000:]
    assert re.search(r"^embed_shard +4000$", planned.stdout, re.MULTILINE)
    print(planned.stdout.splitlines()[-1])
