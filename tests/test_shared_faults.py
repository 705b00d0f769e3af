"""The inputs in ../shared/inputs/faults, which once failed, row by row of the README there."""

import json
import re
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from damage import quiet
from tiny_models import tiny_bert

from kgtextvec.__main__ import main

TESTS = Path(__file__).resolve().parent
FAULTS = TESTS.parents[1] / "shared/inputs/faults"
# Each row's kind is tested on inputs that tests make: the file of the tests, words of their names.
ROWS = {
    "a shard of texts with a flipped bit": "integrity: text_with_a_flipped_bit key_of_another_form",
    "a cut index and other damaged files": "integrity: cut_index fifty_flipped_bits",
    "a pax header of quadratic cost": "unpack: hostile_or_broken_archive",
    "16,000 columns": "texts_faults: work_grows_with_the_number_of_columns",
    "idna, punycode, undefined": "texts_faults: no_text_encoding",
    "a deep config.json": "json_depth: nested_too_deeply deep_config deep_answer",
    "zstd without a checksum": "texts_faults: zstd_file_without_checksum",
    "a full disk": "files: a_file_that_does_not_fit errors_of_the_disk",
    "what killed writers left": "files: what_a_killed_writer_left",
    "the umask": "files: mode_of_the_umask",
    "a folder that can't be made": "files: output_folder_that_cannot_be_made",
    "a server's escapes": "server_words: no_control_character",
    "a bomb of zstd": "texts_faults: unpacks_without_limit",
}


@pytest.mark.parametrize("row", ROWS)
def test_a_rows_kind_has_tests(row):
    file, _, words = ROWS[row].partition(": ")
    text = (TESTS / f"test_{file}.py").read_text()
    for word in words.split():
        assert re.search(rf"^def test_\w*{word}", text, re.MULTILINE), word


def copied(name: str, folder: Path) -> Path:
    if not FAULTS.is_dir():
        pytest.skip("needs ../shared/inputs/faults")
    return Path(shutil.copyfile(FAULTS / name, folder / name))


def test_a_flipped_shard_of_texts_is_refused_and_spoils_no_store(tmp_path):
    raw = tiny_bert(tmp_path / "raw")
    entry = json.dumps({"source": f"path:{raw}"})
    made = ["convert-model", raw, "--model", "m", "--entry", entry, "--out", tmp_path / "m"]
    assert quiet(made) == (0, [])

    def embed(name: str, store: str) -> tuple[int, list[str]]:
        shard, out = copied(name, tmp_path), tmp_path / store / "v.npy"
        return quiet(["embed-shard", shard, "--model", tmp_path / "m", "--store",
                      tmp_path / store / "store", "--out", out, "--threads", "1"])  # fmt: skip

    code, (line,) = embed("shard_one_bit_flipped.parquet", "used")
    assert code == 2 and "shard_one_bit_flipped.parquet" in line
    assert not (tmp_path / "used/store").exists()
    assert embed("shard_sound.parquet", "used") == embed("shard_sound.parquet", "new") == (0, [])
    used, new = (np.load(tmp_path / store / "v.npy") for store in ("used", "new"))
    assert len(used) == 733
    np.testing.assert_array_equal(used, new)
    assert quiet(["store", "verify", tmp_path / "used/store"]) == (0, [])


def test_an_archive_with_a_pax_header_of_quadratic_cost_is_refused_or_read(tmp_path):
    archive = copied("pax_quadratic.tar.gz", tmp_path)
    data = archive.read_bytes()
    one = {"name": archive.name, "path": str(archive), "sha256": sha256(data).hexdigest(),
           "bytes": len(data)}  # fmt: skip
    record = {"model": "m", "source": "https://host/m.tar.gz", "kind": "transformer"}
    (tmp_path / "m.json").write_text(json.dumps(record | {"files": [one]}))
    code, lines = quiet(["unpack-model", tmp_path / "m.json", "--out", tmp_path / "out"])
    assert (code, len(lines)) in ((0, 0), (2, 1))


def test_sixteen_thousand_columns_are_read(tmp_path):
    assert quiet(["lint", copied("columns_16k.tsv", tmp_path), "--kind", "entities"]) == (0, [])


@pytest.mark.parametrize("encoding", ["idna", "punycode", "undefined"])
def test_what_is_no_encoding_of_tables_is_one_line(tmp_path, encoding):
    table = copied("enc.tsv", tmp_path)
    code, (line,) = quiet(["lint", table, "--kind", "entities", "--encoding", encoding])
    assert code == 2 and encoding in line


def test_a_deep_config_is_one_line(tmp_path):
    raw = tiny_bert(tmp_path / "raw")
    copied("config_deep.json", tmp_path).replace(raw / "config.json")
    code, (line,) = quiet(["convert-model", raw, "--model", "m", "--out", tmp_path / "m"])
    assert code == 2 and "config.json: not valid JSON (nested too deeply)" in line
    assert not (tmp_path / "m").exists()


def test_a_zstd_file_whose_damage_cannot_be_noticed_is_warned_of(tmp_path, capsys):
    table = copied("zstd_flipped_no_checksum.zst", tmp_path).rename(tmp_path / "t.tsv.zst")
    main(["lint", str(table), "--kind", "entities"])
    assert capsys.readouterr().err.count("has no checksum, so damage to it can go unnoticed") == 1
