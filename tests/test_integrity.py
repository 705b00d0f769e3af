"""Damage is noticed by whoever reads a file next: one bit is flipped at a time, by fixed seeds."""

from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_models import tiny_bert

from kgtextvec.__main__ import main
from kgtextvec.digests import checked_text_keys
from kgtextvec.errors import InputError
from kgtextvec.parquet_files import read_parquet

FLIPS = 20


def write_shard(path: Path, texts: list[str], keys_of: list[str] | None = None) -> Path:
    """A shard of texts; their keys are those of `keys_of`, if given."""
    keys = [sha256(text.encode()).hexdigest() for text in keys_of or texts]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text_sha256": keys, "text": texts}), path)
    return path


def ascending(texts: list[str]) -> list[str]:
    return sorted(texts, key=lambda text: sha256(text.encode()).digest())


def ended(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, list[str]]:
    """Run a verb in this process; return its exit code and the lines of its error, if any."""
    capsys.readouterr()
    code = main([str(word) for word in words])
    lines = capsys.readouterr().err.splitlines()
    return code, [line for line in lines if line.startswith("ERROR: ")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("model")
    raw = tiny_bert(home / "raw")
    entry = f'{{"source": "path:{raw}"}}'
    words = ["convert-model", raw, "--model", "tiny", "--entry", entry, "--out", home / "model"]
    assert main([str(word) for word in words]) == 0
    return home / "model"


def test_a_text_with_a_flipped_bit_is_refused_before_anything_is_stored(model, tmp_path, capsys):
    texts = ascending([f"gene number {i}" for i in range(20)])
    flipped = [*texts[:7], texts[7].replace("gene", "gdne"), *texts[8:]]
    shard = write_shard(tmp_path / "000-of-001.parquet", flipped, keys_of=texts)
    store, out = tmp_path / "store", tmp_path / "out.npy"
    words = ["embed-shard", shard, "--model", model, "--store", store, "--out", out]
    code, (line,) = ended(capsys, *words)
    assert code == 2
    assert f"{shard}: row 7" in line and "rerun read-texts" in line
    assert not store.exists() and not out.exists()
    write_shard(shard, texts)
    assert ended(capsys, *words) == (0, [])


@pytest.mark.parametrize("key", ["", "xyz", None, "ä" * 64])
def test_a_key_of_another_form_is_refused(tmp_path, key):
    path = tmp_path / "shard.parquet"
    columns = {"text_sha256": pa.array([key], pa.string()), "text": ["a"]}
    pq.write_table(pa.table(columns), path)
    with pytest.raises(InputError, match=r"row 0 .* rerun read-texts"):
        checked_text_keys(path, read_parquet(path))


@pytest.mark.parametrize("columns", [{"text": ["a"]}, {"text_sha256": ["a"], "text": [None]}])
def test_a_shard_without_keys_or_texts_is_refused(tmp_path, columns):
    with pytest.raises(InputError, match="rerun read-texts"):
        checked_text_keys(tmp_path / "shard.parquet", pa.table(columns))
