"""Damage is noticed by whoever reads a file next: one bit is flipped at a time, by fixed seeds."""

import re
import shutil
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_models import tiny_bert

import kgtextvec
from kgtextvec.__main__ import main
from kgtextvec.digests import checked_text_keys
from kgtextvec.errors import InputError
from kgtextvec.files import sha256_of
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


def flipped(path: Path, seed: int) -> Iterator[Path]:
    """Yield the file FLIPS times, each time with another bit flipped; then as it was."""
    sound = path.read_bytes()
    random = np.random.default_rng(seed)
    try:
        for place in random.integers(0, len(sound) * 8, FLIPS).tolist():
            damaged = bytearray(sound)
            damaged[place // 8] ^= 1 << place % 8
            path.write_bytes(damaged)
            yield path
    finally:
        path.write_bytes(sound)


@pytest.fixture(scope="module")
def made(model, tmp_path_factory) -> Path:
    """A table's texts, its shard's vectors, `full`, and a basis of two components."""
    home = tmp_path_factory.mktemp("made")
    shutil.copytree(model, home / "model")
    lines = [f"A:{i}\tGene\tname {i}\tthe text {i // 2}" for i in range(60)]
    (home / "table.tsv").write_text("\n".join(["id\tlabel\tname\tdescription", *lines]) + "\n")
    texts, shard = home / "texts/t", home / "shards/000-of-001.npy"
    pca = home / "pca2.npz"
    for words in (
        ["read-texts", home / "table.tsv", "--table=t", "--kind=entities", "--out-dir", texts],
        embed(texts / "shards/000-of-001.parquet", model, home / "store", shard),
        ["gather-shards", shard, "--texts", texts, "--out-dir", home / "full"],
        ["fit-pca", home / "full/embeddings.npy", "--space", "pca2", "--out", pca],
    ):
        assert main([str(word) for word in words]) == 0
    return home


def export(home: Path, form: str, out: Path) -> list[object]:
    if form in ("npy", "tsv", "parquet"):
        return ["export-table", home / "full", "--format", form, "--out", out]
    return ["export-bundle", home / "full", "--form", form, "--out-dir", out]


def apply(home: Path, out: Path) -> list[object]:
    words = ["apply-pca", home / "full", "--pca", home / "pca2.npz", "--space", "pca2"]
    return [*words, "--out-dir", out]


def gather(home: Path, out: Path) -> list[object]:
    shard = home / "shards/000-of-001.npy"
    return ["gather-shards", shard, "--texts", home / "texts/t", "--out-dir", out]


def embed_again(home: Path, out: Path) -> list[object]:
    """With an empty store of its own."""
    shard, store = home / "texts/t/shards/000-of-001.parquet", out.with_suffix(".store")
    shutil.rmtree(store, ignore_errors=True)
    return embed(shard, home / "model", store, out / "shard.npy")


def evaluate(home: Path, out: Path) -> list[object]:
    words = ["evaluate-space", home / "full", "--texts", home / "texts/t/shards", "--out", out]
    return [*words, "--scores", '["geometry", "labels"]']


READERS = {
    "texts/t/shards/000-of-001.parquet": [embed_again, evaluate],
    "texts/t/rows.parquet": [gather],
    "shards/000-of-001.npy": [gather],
    "shards/000-of-001.parquet": [gather],
    "full/embeddings.npy": [
        apply,
        evaluate,
        *(partial(export, form=form) for form in ("npy", "tsv", "parquet", "dglke", "pgvector")),
    ],
    "full/index.parquet": [
        apply,
        evaluate,
        *(partial(export, form=form) for form in ("npy", "tsv", "parquet", "dglke", "pgvector")),
    ],
    "pca2.npz": [apply],
    "full/manifest.json": [apply, evaluate],
    "texts/t/manifest.json": [gather],
    "shards/000-of-001.json": [gather],
}


# Compared by their content: blanks, or the name of a digest, may change.
BITS_WITHOUT_MEANING = {
    "full/manifest.json",
    "texts/t/manifest.json",
    "shards/000-of-001.json",
    "texts/t/shards/000-of-001.parquet",
    "pca2.npz",
}


@pytest.mark.parametrize("damaged", READERS)
def test_a_flipped_bit_is_refused_by_whoever_reads_the_file_next(made, tmp_path, capsys, damaged):
    """Where a bit means nothing (a name of a program, padding), the results are the same."""
    for number, reader in enumerate(READERS[damaged]):
        sound, out = tmp_path / f"sound-{number}", tmp_path / f"out-{number}"
        assert ended(capsys, *reader(made, out=sound)) == (0, [])
        for _ in flipped(made / damaged, seed=number):
            code, lines = ended(capsys, *reader(made, out=out))
            if code == 0:
                assert damaged in BITS_WITHOUT_MEANING
                assert contents(out) == contents(sound)
                remove(out)
            else:
                assert (code, len(lines)) == (2, 1), lines
                assert not contents(out), "nothing is left of what was made from it"
        assert ended(capsys, *reader(made, out=out)) == (0, [])


def contents(out: Path) -> dict[str, str]:
    """The digests of result files; manifests and records also say how long they took."""
    files = [out] if out.is_file() else sorted(out.rglob("*"))
    return {
        str(path.relative_to(out)): sha256_of(path)
        for path in files
        if path.is_file() and path.name not in ("manifest.json", "shard.json")
    }


def remove(out: Path) -> None:
    if out.is_file():
        out.unlink()
    else:
        shutil.rmtree(out)


@pytest.mark.parametrize("size", [0, 1, 100, -1])
def test_a_cut_index_is_refused(made, tmp_path, capsys, size):
    index = made / "full/index.parquet"
    sound = index.read_bytes()
    try:
        index.write_bytes(sound[:size])
        for reader in READERS["full/index.parquet"]:
            code, (line,) = ended(capsys, *reader(made, out=tmp_path / "out"))
            assert code == 2 and str(index) in line
            assert not contents(tmp_path / "out")
        with pytest.raises(InputError, match=re.escape(str(index))):
            kgtextvec.open(made / "full")
    finally:
        index.write_bytes(sound)


@pytest.mark.parametrize("name", ["embeddings.npy", "index.parquet"])
def test_open_compares_every_byte_if_asked(made, name):
    assert len(kgtextvec.open(made / "full", verify=True)) == 60
    for _ in flipped(made / "full" / name, seed=1):
        with pytest.raises(InputError):
            kgtextvec.open(made / "full", verify=True)


def test_an_index_of_other_rows_is_refused(made, tmp_path, capsys):
    """As large and as valid as the right one."""
    index = made / "full/index.parquet"
    sound = index.read_bytes()
    table = pq.read_table(index)
    try:
        pq.write_table(table.take(pa.array(range(59, -1, -1))), index)
        code, (line,) = ended(capsys, *apply(made, tmp_path / "out"))
        assert code == 2 and "damaged or replaced" in line
    finally:
        index.write_bytes(sound)


@pytest.fixture(scope="module")
def results(made, tmp_path_factory) -> Path:
    """A results folder: texts, `full` with exports, `pca2`, a basis, a bundle."""
    root = tmp_path_factory.mktemp("verify") / "results"
    shutil.copytree(made / "texts", root / "texts")
    shutil.copytree(made / "full", root / "tiny/t/full")
    shutil.copytree(made / "store", root.parent / "store")
    shutil.copy(made / "pca2.npz", root / "tiny/pca2.npz")
    for words in (
        apply(made, root / "tiny/t/pca2"),
        export(made, "parquet", root / "tiny/t/full/embeddings.parquet"),
        export(made, "dglke", root / "exports/dglke/tiny/full"),
    ):
        assert main([str(word) for word in words]) == 0
    return root


VERIFIED = {
    "texts/t/rows.parquet": "read_texts",
    "texts/t/shards/000-of-001.parquet": "read_texts",
    "texts/t/manifest.json": "read_texts",
    "tiny/t/full/embeddings.npy": "gather_shards",
    "tiny/t/full/index.parquet": "gather_shards",
    "tiny/t/full/embeddings.parquet": "export_table",
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
