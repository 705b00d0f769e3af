"""The quick checksum of vectors: recorded by those who write, compared by those who read."""

import shutil
from hashlib import sha256
from pathlib import Path
from threading import Event

import damage
import numpy as np
import pyarrow.parquet as pq
import pytest
import xxhash

from kgtextvec.checksums import VectorsCheck, xxh3_of
from kgtextvec.embed import gather
from kgtextvec.errors import InputError
from kgtextvec.matrices import MatrixWriter, blocks, open_matrix
from kgtextvec.records import read_unedited, write_record


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return damage.make(tmp_path_factory.mktemp("made"))


def copied(made: Path, home: Path, *without: str) -> Path:
    """A copy of the steps' files; the manifest of `full` lacks these keys."""
    shutil.copytree(made, home)
    manifest = home / "full/manifest.json"
    kept = {k: v for k, v in read_unedited(manifest).items() if k not in without}
    write_record(manifest, kept)
    return home


def test_a_published_vector_of_xxh3():
    """The reference implementation's own: of nothing, with the seed 0."""
    assert xxhash.xxh3_128(b"").hexdigest() == "99aa06d3014798d86001c324468d497f"


def test_gather_and_apply_record_both_digests(made, tmp_path):
    assert damage.quiet(damage.apply(made, tmp_path)) == (0, [])
    for folder in (made / "full", tmp_path):
        data = (folder / "embeddings.npy").read_bytes()
        manifest = read_unedited(folder / "manifest.json")
        assert manifest["vectors_digest"] == sha256(data).hexdigest()
        assert manifest["vectors_xxh3"] == xxhash.xxh3_128(data).hexdigest()
    about = read_unedited(tmp_path / "manifest.json")["pca"]
    full = sha256((made / "full/embeddings.npy").read_bytes()).hexdigest()
    assert about["full_digest"] == about["fit_on_digest"] == full


def test_gather_in_many_small_blocks_writes_and_records_the_same(made, tmp_path, monkeypatch):
    """Blocks share two buffers, which are hashed while the next one is filled."""
    monkeypatch.setattr(gather, "ROWS", 7)
    assert damage.quiet(damage.gather(made, tmp_path)) == (0, [])
    data = (tmp_path / "embeddings.npy").read_bytes()
    assert data == (made / "full/embeddings.npy").read_bytes()
    manifest = read_unedited(tmp_path / "manifest.json")
    assert manifest["rows"] > 3 * gather.ROWS
    assert manifest["vectors_digest"] == sha256(data).hexdigest()
    assert manifest["vectors_xxh3"] == xxhash.xxh3_128(data).hexdigest()


@pytest.mark.parametrize("rows", [0, 1, 70_000])
def test_a_writer_hashes_what_it_writes(tmp_path, rows):
    path = tmp_path / "embeddings.npy"
    vectors = np.random.default_rng(0).standard_normal((rows, 9), np.float32)
    with path.open("wb") as file:
        writer = MatrixWriter(file, rows, 9)
        for start in range(0, rows, 30_000):
            writer.add(vectors[start : start + 30_000])
    data = path.read_bytes()
    assert writer.digests == {
        "vectors_digest": sha256(data).hexdigest(),
        "vectors_xxh3": xxhash.xxh3_128(data).hexdigest(),
    }
    np.testing.assert_array_equal(np.load(path), vectors)
    assert xxh3_of(path) == writer.digests["vectors_xxh3"]
    check = VectorsCheck(path, writer.digests["vectors_digest"], writer.digests["vectors_xxh3"])
    for _ in blocks(open_matrix(path), 999, check):
        pass
    assert check.compare() == sha256(data).hexdigest()


def test_a_writer_may_be_given_a_buffer_that_is_used_again(tmp_path):
    """Blocks of a matrix that is read share two buffers; what is hashed is what was written."""
    path, buffer, late = tmp_path / "embeddings.npy", np.zeros((5, 3), np.float32), Event()
    with path.open("wb") as file:
        writer = MatrixWriter(file, 10, 3)
        writer.add(buffer[:])
        writer._thread.submit(late.wait)  # the digests are behind
        writer.add(buffer[:])
        buffer[:] = -1
        late.set()
    assert writer.sha256 == sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("without", [("vectors_xxh3",), ("vectors_digest",), ()])
def test_readers_refuse_damage_by_either_digest(made, tmp_path, without):
    """Manifests of earlier versions have the sha256 alone."""
    home = copied(made, tmp_path / "home", *without)
    path = home / "full/embeddings.npy"
    readers = damage.READERS["full/embeddings.npy"]
    if "vectors_digest" in without:  # a bundle's manifest repeats it
        readers = [damage.apply, damage.fit, damage.evaluate]
    for number, reader in enumerate(readers):
        out = tmp_path / f"out-{number}"
        assert damage.quiet(reader(home, out / "sound")) == (0, [])
        for _ in damage.flipped(path, 3, seed=number):
            code, (line,) = damage.quiet(reader(home, out / "damaged"))
            assert code == 2 and str(path.parent) in line
            assert not damage.contents(out / "damaged")


def test_a_shard_of_an_earlier_version_is_compared_by_its_sha256(made, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(made, home)
    shard, record = home / "shards/000-of-001.npy", home / "shards/000-of-001.json"
    about = read_unedited(record)
    assert about.pop("vectors_xxh3") == xxhash.xxh3_128(shard.read_bytes()).hexdigest()
    write_record(record, about | {"vectors_sha256": sha256(shard.read_bytes()).hexdigest()})
    assert damage.quiet(damage.gather(home, tmp_path / "sound")) == (0, [])
    for _ in damage.flipped(shard, 5, seed=1):
        code, (line,) = damage.quiet(damage.gather(home, tmp_path / "damaged"))
        assert code == 2 and "expected sha256" in line
        assert not damage.contents(tmp_path / "damaged")


def test_without_digests_there_is_nothing_to_compare(tmp_path):
    path = tmp_path / "embeddings.npy"
    path.write_bytes(b"abc")
    check = VectorsCheck(path, None, None)
    check.read_file()
    assert not check.is_recorded and check.compare() == sha256(b"abc").hexdigest()
    with pytest.raises(InputError, match="expected xxh3_128 00, got "):
        VectorsCheck(path, None, "00").compare()


def test_the_digest_of_an_index_is_over_its_rows(made, tmp_path):
    """Whatever wrote the file: each column's values, of strings the lengths and the bytes apart."""
    assert damage.quiet(damage.gather(made, tmp_path / "again")) == (0, [])
    recorded = read_unedited(made / "full/manifest.json")["index_digest"]
    assert read_unedited(tmp_path / "again/manifest.json")["index_digest"] == recorded
    total = sha256()
    for name, column in pq.read_table(made / "full/index.parquet").to_pydict().items():
        if isinstance(column[0], str):
            texts = [value.encode() for value in column]
            lengths, data = (
                np.array([len(text) for text in texts], "<i4").tobytes(),
                b"".join(texts),
            )
        else:
            kind = {"row": "<i8", "n_tokens": "<i4", "truncated": "?"}[name]
            lengths, data = b"", np.array(column, kind).tobytes()
        total.update(f"{name} {sha256(lengths).hexdigest()} {sha256(data).hexdigest()}\n".encode())
    assert total.hexdigest() == recorded
