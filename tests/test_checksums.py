"""The digest of vectors: recorded by those who write, compared by those who read."""

import shutil
from hashlib import sha256
from pathlib import Path

import damage
import numpy as np
import pyarrow.parquet as pq
import pytest
import xxhash

from kgtextvec.checksums import (
    CHUNK_BYTES,
    VECTOR_KEYS,
    VectorsCheck,
    vector_digests,
    vectors_id,
    xxh3_of,
)
from kgtextvec.embed import gather
from kgtextvec.errors import InputError
from kgtextvec.matrices import MatrixWriter, blocks, open_matrix
from kgtextvec.records import read_unedited, write_record


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return damage.make(tmp_path_factory.mktemp("made"))


def of_earlier_version(folder: Path, has_both: bool) -> str:
    """Write the manifest as earlier versions did: with the sha256, and at last with both digests.

    Returns the sha256.
    """
    manifest = read_unedited(folder / "manifest.json")
    digest = sha256((folder / "embeddings.npy").read_bytes()).hexdigest()
    if not has_both:
        del manifest["vectors_xxh3"]
    write_record(folder / "manifest.json", manifest | {"vectors_digest": digest})
    return digest


RECORDED = {"this version": None, "both": True, "sha256 alone": False}


def test_a_published_vector_of_xxh3():
    """The reference implementation's own: of nothing, with the seed 0."""
    assert xxhash.xxh3_128(b"").hexdigest() == "99aa06d3014798d86001c324468d497f"


def test_gather_and_apply_record_the_digest_by_which_vectors_are_known(made, tmp_path):
    assert damage.quiet(damage.apply(made, tmp_path)) == (0, [])
    for folder in (made / "full", tmp_path):
        data = (folder / "embeddings.npy").read_bytes()
        manifest = read_unedited(folder / "manifest.json")
        assert vectors_id(manifest) == xxhash.xxh3_128(data).hexdigest()
        assert vector_digests(manifest) == {"vectors_xxh3": vectors_id(manifest)}
    about = read_unedited(tmp_path / "manifest.json")["pca"]
    full = xxhash.xxh3_128((made / "full/embeddings.npy").read_bytes()).hexdigest()
    assert about["full_digest"] == about["fit_on_digest"] == full


def test_gather_in_many_small_blocks_writes_and_records_the_same(made, tmp_path, monkeypatch):
    """Blocks share two buffers, which are hashed while the next one is filled."""
    monkeypatch.setattr(gather, "ROWS", 7)
    assert damage.quiet(damage.gather(made, tmp_path)) == (0, [])
    data = (tmp_path / "embeddings.npy").read_bytes()
    assert data == (made / "full/embeddings.npy").read_bytes()
    manifest = read_unedited(tmp_path / "manifest.json")
    assert manifest["rows"] > 3 * gather.ROWS
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
    assert writer.xxh3 == xxh3_of(path) == xxhash.xxh3_128(data).hexdigest()
    np.testing.assert_array_equal(np.load(path), vectors)
    check = VectorsCheck(path, {"vectors_xxh3": writer.xxh3})
    for _ in blocks(open_matrix(path), 999, check):
        pass
    assert check.compare() == writer.xxh3


def test_a_writer_may_be_given_a_buffer_that_is_used_again(tmp_path):
    """What is hashed is what was written, in pieces smaller and larger than those of the hash."""
    path, buffer = tmp_path / "embeddings.npy", np.zeros((CHUNK_BYTES // 12, 3), np.float32)
    with path.open("wb") as file:
        writer = MatrixWriter(file, 2 * len(buffer) + 5, 3)
        for value, rows in ((1, len(buffer)), (2, 5), (3, len(buffer))):
            buffer[:] = value
            writer.add(buffer[:rows])
            buffer[:] = -1
    expected = np.repeat(np.float32([1, 2, 3]), [len(buffer), 5, len(buffer)])
    assert (np.load(path) == expected[:, None]).all()
    assert writer.xxh3 == xxhash.xxh3_128(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("recorded", RECORDED)
def test_readers_refuse_damage_by_either_digest(made, tmp_path, recorded):
    home = tmp_path / "home"
    shutil.copytree(made, home)
    path = home / "full/embeddings.npy"
    if recorded != "this version":
        of_earlier_version(home / "full", RECORDED[recorded])
    for number, reader in enumerate(damage.READERS["full/embeddings.npy"]):
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
    check = VectorsCheck(path, {})
    check.read_file()
    assert vectors_id({}) is None and not check.is_recorded
    assert check.compare() == xxhash.xxh3_128(b"abc").hexdigest()
    with pytest.raises(InputError, match="expected xxh3_128 00, got "):
        VectorsCheck(path, {"vectors_xxh3": "00"}).compare()


@pytest.mark.parametrize("has_both", [True, False])
def test_what_is_made_of_a_space_of_an_earlier_version_names_it_by_its_sha256(
    made, tmp_path, has_both
):
    """As that version did, so that old and new results of one space agree."""
    home, new = tmp_path / "home", tmp_path / "new"
    shutil.copytree(made, home)
    old = of_earlier_version(home / "full", has_both)
    assert damage.quiet(damage.fit(home, new)) == (0, [])
    shutil.copy(new / "pca2.npz", home)
    assert damage.quiet(damage.apply(home, new)) == (0, [])
    manifest = read_unedited(new / "manifest.json")
    assert manifest["pca"]["full_digest"] == manifest["pca"]["fit_on_digest"] == old
    assert vector_digests(manifest) == {"vectors_xxh3": xxh3_of(new / "embeddings.npy")}
    assert damage.quiet(damage.evaluate(home, new)) == (0, [])
    assert damage.quiet(damage.export(home, new, "dglke")) == (0, [])
    for record in (new / "scores.json", new / "dglke/manifest.json"):
        about = read_unedited(record)
        found = vector_digests(about.get("entities", about))
        assert found == vector_digests(read_unedited(home / "full/manifest.json"))
    entry = read_unedited(new / "dglke/manifest.json")["entities"]
    assert entry["xxh3_128"] == xxh3_of(new / "dglke" / entry["file"])


@pytest.mark.parametrize("has_both", [True, False])
def test_verify_compares_results_of_an_earlier_version(made, tmp_path, capsys, has_both):
    """Whose bundles record the sha256 of each file, twice for vectors."""
    shutil.copytree(made, tmp_path / "home")
    results = tmp_path / "home/results"
    full, bundle = results / "tiny/t/full", results / "exports/dglke/tiny/full"
    about = read_unedited(bundle / "manifest.json")
    entry = about["entities"]
    del entry["xxh3_128"], entry["vectors_xxh3"]
    matrix = bundle / entry["file"]
    entry["sha256"] = about["files"][matrix.name] = sha256(matrix.read_bytes()).hexdigest()
    entry["vectors_digest"] = of_earlier_version(full, has_both)
    write_record(bundle / "manifest.json", about)
    for digest in ("vectors_digest", "vectors_xxh3"):  # of scores made before, or since
        scores = read_unedited(full / "scores.json")
        kept = {key: value for key, value in scores.items() if key not in VECTOR_KEYS}
        known = {"vectors_digest": sha256, "vectors_xxh3": xxhash.xxh3_128}[digest]
        right = known((full / "embeddings.npy").read_bytes()).hexdigest()
        write_record(full / "scores.json", kept | {digest: right})
        assert damage.quiet(["verify", results]) == (0, []), capsys.readouterr().err
        write_record(full / "scores.json", kept | {digest: right[::-1]})
        assert damage.quiet(["verify", results])[0] == 2
        write_record(full / "scores.json", kept | {digest: right})
    for path in (matrix, full / "embeddings.npy"):
        for _ in damage.flipped(path, 3, seed=2):
            code, (line,) = damage.quiet(["verify", results])
            assert code == 2 and "1 damaged" in line and str(path) in line


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
