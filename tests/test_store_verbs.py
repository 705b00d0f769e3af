"""`kgtextvec store stats|verify|prune` on a store that a real workflow filled."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from tiny_models import tiny_bert
from warm_python import interpreter
from workflow_run import ROOT, Project, entities

from kgtextvec.embed.store import Part, Store
from kgtextvec.files import read_json
from kgtextvec.kept_results import KeptResult, KeptResults


def store(*words: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [interpreter(), "-P", "-m", "kgtextvec", "store", *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )


def config(store_at: Path) -> dict:
    return {
        "tables": {"entities": {"file": "entities.tsv", "kind": "entities", "shards": 2}},
        "models": ["one", "two"],
        "spaces": ["full"],
        "exports": ["npy"],
        "catalogue": {name: {"source": f"path:raw/{name}"} for name in ("one", "two")},
        "evaluate": {"scores": []},
        "report": {"maps": False, "notebooks": False},
        "store": str(store_at),
    }


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Two working directories on one store: both models on 30 texts, one model on 20 others."""
    root = tmp_path_factory.mktemp("runs")
    first = Project(root / "first", config(root / "store"))
    second = Project(root / "second", config(root / "store") | {"models": ["one"]})
    for project, rows in ((first, entities(30)), (second, entities(50)[30:])):
        for seed, name in enumerate(("one", "two")):
            tiny_bert(project.folder / "raw" / name, seed=seed)
        project.write_entities(rows)
        project.run()
    return root


@pytest.fixture
def root(filled, tmp_path):
    """A copy to spoil."""
    return Path(shutil.copytree(filled, tmp_path / "runs"))


def shelves(root: Path) -> dict[str, Store]:
    """The store's folders by the name of the model that the first directory used them for."""
    found = {}
    for name in ("one", "two"):
        about = read_json(root / f"first/results/{name}/entities/full/manifest.json")
        folder = root / "store" / about["fingerprint"]
        found[name] = Store(root / "store", read_json(folder / "about.json"))
        assert found[name].folder == folder
    return found


def texts_in(shelf: Store) -> int:
    parts = [shelf.read(path) for path in shelf.parts()]
    assert all(part is not None for part in parts)
    return sum(len(part.keys) for part in parts)


def test_stats_tell_models_texts_and_size(root):
    told = store("stats", root / "store", "--used-in", root / "first")
    assert told.returncode == 0, told.stderr
    one, two = shelves(root).values()
    (line,) = [line for line in told.stderr.splitlines() if line.startswith(one.folder.name)]
    assert "one mean float32" in line
    assert "50 texts" in line
    (line,) = [line for line in told.stderr.splitlines() if line.startswith(two.folder.name)]
    assert "30 texts" in line
    size = sum(path.stat().st_size for path in (root / "store").rglob("*.safetensors"))
    assert f"2 models and settings, {size / 1e6:,.1f} MB" in told.stderr


def test_verify_finds_every_damaged_part_and_the_next_run_computes_it_again(root):
    assert "all intact" in store("verify", root / "store").stderr
    vectors = root / "first/results/two/entities/full/embeddings.npy"
    before = vectors.read_bytes()
    shelf = shelves(root)["two"]
    damaged = shelf.parts()[0]
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    n_texts = texts_in(shelves(root)["one"])
    told = store("verify", root / "store")
    assert told.returncode == 2
    assert f"{damaged}: damaged" in told.stderr
    assert "1 of " in told.stderr.splitlines()[-1]
    assert not damaged.exists()
    assert texts_in(shelves(root)["one"]) == n_texts

    project = Project(root / "first", config(root / "store"))
    vectors.unlink()
    project.run()
    assert vectors.read_bytes() == before
    assert texts_in(shelf) == 30
    assert store("verify", root / "store").returncode == 0


def test_verify_notices_numbers_that_were_written_wrong(root):
    shelf = shelves(root)["one"]
    part = shelf.read(shelf.parts()[0])
    spoilt = part.vectors.copy()
    spoilt[0, 0] = np.nan
    written = shelf.write(Part(part.keys, spoilt, part.n_tokens, part.truncated, part.n_unknown))
    told = store("verify", root / "store")
    assert told.returncode == 2
    assert f"{written}: damaged (its vectors hold NaN or Inf)" in told.stderr


def test_prune_without_yes_drops_nothing(root):
    before = {path: path.read_bytes() for path in (root / "store").rglob("*") if path.is_file()}
    told = store("prune", root / "store", "--used-in", root / "second")
    assert told.returncode == 0, told.stderr
    assert "--yes" in told.stderr
    after = {path: path.read_bytes() for path in (root / "store").rglob("*") if path.is_file()}
    assert after == before


def test_prune_keeps_what_the_named_directories_use_and_no_more(root):
    one, two = shelves(root).values()
    told = store("prune", root / "store", "--used-in", root / "second", "--yes")
    assert told.returncode == 0, told.stderr
    assert texts_in(one) == 20
    assert not two.folder.exists(), "nothing uses the second model"
    # the second directory's results come back from the store alone
    project = Project(root / "second", config(root / "store") | {"models": ["one"]})
    vectors = root / "second/results/one/entities/full/embeddings.npy"
    before = vectors.read_bytes()
    vectors.unlink()
    project.run()
    assert vectors.read_bytes() == before
    assert project.manifest("one/entities/full")["counts"]["texts_embedded"] == 0


def test_prune_with_all_directories_drops_nothing(root):
    told = store(
        "prune", root / "store", "--used-in", root / "first", root / "second/results", "--yes"
    )
    assert told.returncode == 0, told.stderr
    assert "0.0 MB freed" in told.stderr
    assert [texts_in(shelf) for shelf in shelves(root).values()] == [50, 30]


def test_prune_clears_what_killed_jobs_left_but_not_what_is_being_written(root):
    folder = shelves(root)["one"].folder
    old, new = folder / ".a.safetensors.1-aa.part", folder / ".b.safetensors.2-bb.part"
    for path in (old, new):
        path.write_bytes(b"half")
    two_days_ago = time.time() - 2 * 86400
    os.utime(old, (two_days_ago, two_days_ago))
    store("prune", root / "store", "--used-in", root / "first", root / "second", "--yes")
    assert not old.exists()
    assert new.exists()


def test_prune_refuses_what_could_lose_vectors(root):
    nowhere = store("prune", root / "store", "--yes")
    assert nowhere.returncode == 2
    assert "--used-in" in nowhere.stderr
    (root / "empty").mkdir()
    empty = store("prune", root / "store", "--used-in", root / "first", root / "empty", "--yes")
    assert empty.returncode == 2
    assert "no results in it" in empty.stderr
    (root / "first/.snakemake/locks").mkdir(exist_ok=True)
    (root / "first/.snakemake/locks/0.input.lock").touch()
    locked = store("prune", root / "store", "--used-in", root / "first", "--yes")
    assert locked.returncode == 2
    assert "a run is going on there" in locked.stderr
    missing = store("stats", root / "none")
    assert missing.returncode == 2
    assert [texts_in(shelf) for shelf in shelves(root).values()] == [50, 30]


def test_results_of_baselines_are_counted_verified_and_pruned(root):
    kept = KeptResults(root / "store/baselines")
    for place, name in enumerate(("new", "old", "damaged")):
        kept.write(name, KeptResult({"x": np.arange(9.0) + place}, []))
    long_ago = time.time() - 31 * 24 * 3600
    os.utime(kept.path_of("old"), (long_ago, long_ago))
    assert "baselines: 3 results, 0.0 MB" in store("stats", root / "store").stderr
    assert store("verify", root / "store").returncode == 0
    data = bytearray(kept.path_of("damaged").read_bytes())
    data[100] ^= 1
    kept.path_of("damaged").write_bytes(data)
    found = store("verify", root / "store")
    assert found.returncode == 2
    assert "1 of 3 results of baselines were damaged and are deleted" in found.stderr
    assert str(kept.path_of("damaged")) in found.stderr
    words = ("prune", root / "store", "--used-in", root / "first", root / "second")
    assert "baselines: 1 file that no job has used for 30 days" in store(*words).stderr
    assert [path.stem for path in kept.paths()] == ["new", "old"]
    assert store(*words, "--yes").returncode == 0
    assert [path.stem for path in kept.paths()] == ["new"]
