"""Damage is noticed by whoever reads a file next: one bit is flipped at a time, by fixed seeds."""

import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import damage
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_models import tiny_bert

import kgtextvec
from kgtextvec.__main__ import main
from kgtextvec.digests import checked_text_keys
from kgtextvec.errors import InputError
from kgtextvec.parquet_files import read_parquet

FLIPS = 10


def write_shard(path: Path, texts: list[str], keys_of: list[str] | None = None) -> Path:
    """A shard of texts; their keys are those of `keys_of`, if given."""
    keys = [sha256(text.encode()).hexdigest() for text in keys_of or texts]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text_sha256": keys, "text": texts}), path)
    return path


def ascending(texts: list[str]) -> list[str]:
    return sorted(texts, key=lambda text: sha256(text.encode()).digest())


def embed(shard: Path, model: Path, store: Path, out: Path) -> list[object]:
    return ["embed-shard", shard, "--model", model, "--store", store, "--out", out]


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
    words = embed(shard, model, store, out)
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


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """One of each kind of file that a step leaves for the next."""
    return damage.make(tmp_path_factory.mktemp("made"))


@pytest.mark.parametrize("name", damage.kinds(with_map=False))
def test_a_flipped_bit_is_refused_by_whoever_reads_the_file_next(made, name):
    """Or makes no difference: a name of a program, padding. tests/damage.py flips 300."""
    flips = 2 if name.startswith("results/") else max(FLIPS, len(damage.READERS[name]))
    found = [trial for trial in damage.trials(made, name, flips)]
    assert not [one for one in found if one.outcome not in ("refused", "same")]


@pytest.mark.slow
def test_fifty_flipped_bits_in_each_kind_of_file(tmp_path):
    """Maps and pages included; the program prints a table, with 300 by default."""
    words = [sys.executable, Path(damage.__file__), "--flips", "50"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)


@pytest.mark.parametrize("name", ["texts/t/manifest.json", "full/manifest.json", "downloaded.json"])
def test_a_flipped_name_of_a_digest_is_refused(made, name):
    """Else the record would pass for one of a version that wrote none."""
    path = made / name
    sound = path.read_bytes()
    place = sound.index(b"record_digest")
    (reader, *_) = damage.READERS[name]
    try:
        for bit in range(7):
            damaged = bytearray(sound)
            damaged[place + bit] ^= 1 << (bit % 5)
            path.write_bytes(damaged)
            code, (line,) = damage.quiet(reader(made, made / "unused"))
            assert code == 2 and str(path) in line
    finally:
        path.write_bytes(sound)


def test_a_damaged_manifest_stops_the_planning_in_one_line(made, tmp_path):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))
    from lib.content import read_manifest
    from snakemake.exceptions import WorkflowError

    path = tmp_path / "manifest.json"
    sound = (made / "full/manifest.json").read_text()
    path.write_text(sound)
    assert read_manifest(path)["rows"] == 60
    path.write_text(sound.replace('"rows": 60', '"rows": 61'))
    os.utime(path, (0, 0))
    with pytest.raises(WorkflowError, match=f"^ERROR: {path}: damaged or edited"):
        read_manifest(path)


@pytest.mark.parametrize("size", [0, 1, 100, -1])
def test_a_cut_index_is_refused(made, tmp_path, capsys, size):
    index = made / "full/index.parquet"
    sound = index.read_bytes()
    try:
        index.write_bytes(sound[:size])
        for reader in damage.READERS["full/index.parquet"]:
            code, (line,) = damage.quiet(reader(made, tmp_path / "out"))
            assert code == 2 and str(index) in line
            assert not damage.contents(tmp_path / "out")
        with pytest.raises(InputError, match=re.escape(str(index))):
            kgtextvec.open(made / "full")
    finally:
        index.write_bytes(sound)


@pytest.mark.parametrize("name", ["embeddings.npy", "index.parquet"])
def test_open_compares_every_byte_unless_told_not_to(made, name):
    assert len(kgtextvec.open(made / "full")) == 60
    for _ in damage.flipped(made / "full" / name, FLIPS, seed=1):
        with pytest.raises(InputError):
            kgtextvec.open(made / "full")
    data = (made / "full/embeddings.npy").read_bytes()
    try:
        (made / "full/embeddings.npy").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert len(kgtextvec.open(made / "full", verify=False)) == 60
    finally:
        (made / "full/embeddings.npy").write_bytes(data)


def test_an_index_of_other_rows_is_refused(made, tmp_path, capsys):
    """As large and as valid as the right one."""
    index = made / "full/index.parquet"
    sound = index.read_bytes()
    table = pq.read_table(index)
    try:
        pq.write_table(table.take(pa.array(range(59, -1, -1))), index)
        code, (line,) = damage.quiet(damage.apply(made, tmp_path / "out"))
        assert code == 2 and "damaged or replaced" in line
    finally:
        index.write_bytes(sound)


@pytest.fixture(scope="module")
def results(made) -> Path:
    """A results folder: texts, `full` with exports and a map, `pca2`, a basis, a bundle."""
    root = made / "results"
    shutil.copy(made / "pca2.npz", root / "tiny/pca2.npz")
    assert main([str(word) for word in damage.apply(made, root / "tiny/t/pca2")]) == 0
    return root


VERIFIED = {
    "texts/t/rows.parquet": "read_texts",
    "texts/t/shards/000-of-001.parquet": "read_texts",
    "texts/t/manifest.json": "read_texts",
    "tiny/t/full/embeddings.npy": "gather_shards",
    "tiny/t/full/index.parquet": "gather_shards",
    "tiny/t/full/embeddings.parquet": "export_table",
    "tiny/t/full/embeddings.tsv": "export_table",
    "tiny/t/full/scores.json": "evaluate_space",
    "tiny/t/full/scores_by_row.parquet": "evaluate_space",
    "texts/t/findings.json": "read_texts",
    "texts/t/quality.html": "draw_quality",
    "texts/t/quality.json": "draw_quality",
    "tiny/t/full/manifest.json": "gather_shards",
    "tiny/t/pca2/embeddings.npy": "apply_pca",
    "tiny/t/pca2/index.parquet": "apply_pca",
    "tiny/pca2.npz": "fit_pca",
    "exports/dglke/tiny/full/tiny_entity.npy": "export_bundle",
    "exports/dglke/tiny/full/entities.tsv": "export_bundle",
    "exports/dglke/tiny/full/manifest.json": "export_bundle",
}


def verified(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    capsys.readouterr()
    return main([str(word) for word in ("verify", *words)]), capsys.readouterr().err


@pytest.mark.parametrize("damage", ["cut", "flipped"])
@pytest.mark.parametrize("name", VERIFIED)
def test_verify_names_what_is_damaged_and_its_rule(results, capsys, name, damage):
    path = results / name
    sound = path.read_bytes()
    middle = len(sound) // 2
    if damage == "flipped":
        spoilt = sound[:middle] + bytes([sound[middle] ^ 0x80]) + sound[middle + 1 :]
    else:
        spoilt = sound[:middle]
    try:
        path.write_bytes(spoilt)
        code, shown = verified(capsys, results)
    finally:
        path.write_bytes(sound)
    assert code == 2
    (line,) = (line for line in shown.splitlines() if line.startswith("DAMAGED: "))
    assert str(path) in line or str(path.parent) in line
    assert f"Rule: {VERIFIED[name]}." in line
    assert shown.splitlines()[-1].startswith(f"ERROR: {results}: 1 damaged")


def test_verify_knows_that_masked_texts_have_no_findings_of_their_own(results, capsys):
    masked = shutil.copytree(results / "texts/t", results / "texts/t-masked")
    (masked / "findings.json").unlink()
    try:
        assert verified(capsys, results)[0] == 0
        (masked / "rows.parquet").write_bytes(b"")
        code, shown = verified(capsys, results)
    finally:
        shutil.rmtree(masked)
    assert code == 2 and "Rule: mask_texts." in shown


def test_verify_names_a_space_that_is_a_copy_of_another(results, capsys):
    copy = results / "tiny/t/pca4"
    shutil.copytree(results / "tiny/t/pca2", copy)
    try:
        code, shown = verified(capsys, results)
    finally:
        shutil.rmtree(copy)
    assert code == 2
    assert f"{copy}/manifest.json: describes tiny/t/pca2" in shown


def test_verify_names_vectors_without_a_record(results, capsys):
    manifest = results / "tiny/t/pca2/manifest.json"
    sound = manifest.read_bytes()
    manifest.unlink()
    try:
        code, shown = verified(capsys, results)
    finally:
        manifest.write_bytes(sound)
    assert code == 2 and f"DAMAGED: {manifest}: not there." in shown


def test_verify_reads_the_store_too(results, capsys):
    store = results.parent / "store"
    assert verified(capsys, results, "--store", store)[0] == 0
    (part,) = store.glob("*/*.safetensors")
    spoilt = bytearray(part.read_bytes())
    spoilt[-1] ^= 1
    part.write_bytes(spoilt)
    code, shown = verified(capsys, results, "--store", store)
    assert code == 2
    assert "Rule: embed_shard." in shown and str(store) in shown.splitlines()[-1]


def test_verify_says_when_there_is_nothing_to_check(tmp_path, capsys):
    code, shown = verified(capsys, tmp_path)
    assert code == 2 and "no results" in shown
