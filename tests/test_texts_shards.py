import json
import os
import resource
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from table_builders import EYE, PLAIN, table

from kgtextvec.__main__ import main
from kgtextvec.text_shards import shards_of_texts
from kgtextvec.texts.shards import shard_name
from kgtextvec.texts.shards import shard_of as shard_numbers

SOURCE = str(Path(__file__).resolve().parents[1] / "src")
SHARDS = 8


def rows_of(count):
    return [(f"X:{n}", f"name {n}", "Gene", f"text number {n}", "") for n in range(count)]


def shard_of(text, shards=SHARDS):
    """Say in plain integers what the contract says: hash ranges of equal size."""
    return int(sha256(text.encode()).hexdigest()[:16], 16) * shards >> 64


def read(tmp_path, rows, name="one", shards=SHARDS, **flags):
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    (folder / "table.tsv").write_bytes(table(rows))
    typed = ["read-texts", str(folder / "table.tsv"), "--table", "t", "--kind", "entities"]
    typed += ["--shards", str(shards), "--out-dir", str(folder / "out")]
    for flag, value in flags.items():
        typed += [f"--{flag.replace('_', '-')}", str(value)]
    assert main(typed) == 0
    return folder / "out", json.loads((folder / "out" / "manifest.json").read_text("utf-8"))


def digests(manifest):
    return {name: shard["digest"] for name, shard in manifest["shards"].items()}


@pytest.mark.parametrize("shards", [1, 3, 7, 100])
def test_every_distinct_text_is_in_the_shard_of_its_hash(tmp_path, shards):
    rows = rows_of(500)
    out, manifest = read(
        tmp_path, rows + [(f"Y:{n}", *rows[n][1:]) for n in range(50)], "a", shards
    )
    found = {}
    for number in range(shards):
        name = f"{number:03d}-of-{shards:03d}"
        shard = pq.read_table(out / "shards" / f"{name}.parquet").to_pydict()
        assert list(shard) == ["text_sha256", "text"]
        assert shard["text_sha256"] == sorted(shard["text_sha256"])
        assert [shard_of(text, shards) for text in shard["text"]] == [number] * len(shard["text"])
        joined = b"".join(bytes.fromhex(one) for one in shard["text_sha256"])
        assert manifest["shards"][name] == {
            "texts": len(shard["text"]),
            "digest": sha256(joined).hexdigest(),
        }
        found |= dict(zip(shard["text_sha256"], shard["text"], strict=True))
    assert found == {sha256(row[3].encode()).hexdigest(): row[3] for row in rows}
    assert (manifest["rows"], manifest["texts"]) == (550, 500)
    kept = pq.read_table(out / "rows.parquet").to_pydict()
    in_order = sorted(found)
    assert [in_order[index] for index in kept["text_index"]] == kept["text_sha256"]
    assert kept["line"] == list(range(2, 552))


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 1000, 99_999])
def test_shards_are_cut_exactly_at_their_bounds(shards):
    bounds = [-(-number * 2**64 // shards) for number in range(shards + 1)]
    firsts = [value for bound in bounds for value in (bound, bound - 1) if 0 <= value < 2**64]
    digests = np.frombuffer(
        b"".join(value.to_bytes(8, "big") + b"\xff" * 24 for value in firsts), np.uint8
    ).reshape(-1, 32)
    assert shard_numbers(digests, shards).tolist() == [value * shards >> 64 for value in firsts]


def test_texts_are_found_in_the_folder_of_a_table_and_in_its_shards(tmp_path):
    (tmp_path / "t.tsv").write_text("id\tlabel\tname\n1\tGene\tone\n2\tGene\ttwo\n")
    words = ["read-texts", tmp_path / "t.tsv", "--kind", "entities", "--text", "name"]
    words += ["--table", "t", "--shards", "2", "--out-dir", tmp_path / "t"]
    assert main([str(word) for word in words]) == 0
    for folder in (tmp_path / "t", tmp_path / "t/shards"):
        found = [text for shard in shards_of_texts(folder) for text in shard["text"].to_pylist()]
        assert sorted(found) == ["one", "two"]


def test_the_same_table_gives_the_same_bytes(tmp_path):
    one, first = read(tmp_path, rows_of(300), "one")
    two, second = read(tmp_path, rows_of(300), "two")
    files = sorted(path.relative_to(one) for path in one.rglob("*.parquet"))
    assert len(files) == SHARDS + 1
    for file in files:
        assert (one / file).read_bytes() == (two / file).read_bytes()
    assert first["digest"] == second["digest"]


def test_an_edited_row_touches_its_shards_only(tmp_path):
    rows = rows_of(300)
    before, first = read(tmp_path, rows, "one")
    rows[17] = (*rows[17][:3], "another text", "")
    after, second = read(tmp_path, rows, "two")
    touched = {shard_of("text number 17"), shard_of("another text")}
    for number, name in enumerate(first["shards"]):
        same = digests(first)[name] == digests(second)[name]
        assert same == (number not in touched)
        file = f"shards/{name}.parquet"
        assert ((before / file).read_bytes() == (after / file).read_bytes()) == same
    assert first["digest"] != second["digest"]


def test_the_order_of_rows_and_edits_beside_the_text_change_no_shard(tmp_path):
    rows = rows_of(300)
    _, first = read(tmp_path, rows, "one")
    _, second = read(tmp_path, rows[::-1], "two")
    _, third = read(tmp_path, [(f"Z{row[0]}", "other", "Drug", *row[3:]) for row in rows], "three")
    assert first["shards"] == second["shards"] == third["shards"]
    assert len({first["digest"], second["digest"], third["digest"]}) == 3


def test_a_packed_copy_has_the_same_digest(tmp_path):
    import gzip

    _, first = read(tmp_path, rows_of(20_000), "one")
    out = tmp_path / "packed"
    path = tmp_path / "table.tsv.gz"
    path.write_bytes(gzip.compress(table(rows_of(20_000))))
    words = ["--table", "t", "--kind", "entities", "--shards", str(SHARDS), "--out-dir", str(out)]
    assert main(["read-texts", str(path), *words]) == 0
    packed = json.loads((out / "manifest.json").read_text("utf-8"))
    assert (packed["digest"], packed["shards"]) == (first["digest"], first["shards"])


def test_a_failed_run_leaves_what_was_there(tmp_path):
    out, _ = read(tmp_path, rows_of(30))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    bad = tmp_path / "bad.tsv"
    bad.write_bytes(PLAIN + b"short\n")
    words = ["--table", "t", "--kind", "entities", "--out-dir", str(out)]
    assert main(["read-texts", str(bad), *words]) == 2
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_second_run_replaces_shards_of_another_number(tmp_path):
    read(tmp_path, rows_of(30), shards=5)
    out, manifest = read(tmp_path, rows_of(30), shards=2)
    assert sorted(path.stem for path in (out / "shards").iterdir()) == sorted(manifest["shards"])
    assert sorted(path.name for path in out.iterdir()) == [
        "findings.json",
        "manifest.json",
        "rows.parquet",
        "shards",
    ]


def test_relation_types_know_their_labels_from_columns_or_name(tmp_path):
    path = tmp_path / "relations.tsv"
    path.write_text(
        "relation_type\tdescription\tresource\tsource_type\ttarget_type\n"
        "R::a::Drug:Gene\tone\t\t\t\n"
        "R::b::Drug:Gene\ttwo\tOther\tCompound\tProtein\n"
        "loose\tthree\t\t\t\n",
        "utf-8",
    )
    words = ["--table", "t", "--kind", "relation_types", "--out-dir", str(tmp_path / "out")]
    assert main(["read-texts", str(path), *words]) == 0
    rows = pq.read_table(tmp_path / "out" / "rows.parquet").to_pydict()
    assert rows["id"] == rows["relation_type"] == rows["name"]
    assert rows["label"] == ["Drug:Gene", "Compound:Protein", "RelationType"]
    assert rows["resource"] == ["R", "Other", ""]
    assert rows["source_type"] == ["Drug", "Compound", ""]
    assert rows["formatted_relation_type"] == ["R::a::Drug:Gene", "R::b::Drug:Gene", "loose"]


TRIPLES = (
    "Disease::DOID:83\tA::t\tNCBI:1410\n"
    "NCBI:1410\tB::u\tGene::UNKNOWN:1\n"
    "CHEBI:1\tA::t\tDisease::NCBI:1410\n"
)


@pytest.mark.parametrize("header", ["", "head\trelation\ttail\n", "h\tr\tt\n"])
def test_used_by_keeps_the_rows_that_triples_name(tmp_path, header, capsys):
    (tmp_path / "triples.tsv").write_text(header + TRIPLES, "utf-8")
    out, _ = read(tmp_path, EYE, used_by=tmp_path / "triples.tsv")
    rows = pq.read_table(out / "rows.parquet").to_pydict()
    assert rows["id"] == ["DOID:83", "NCBI:1410", "CHEBI:1"]
    assert rows["line"] == [2, 3, 4]
    found = json.loads((out / "findings.json").read_text("utf-8"))
    assert found["used_by"] == {
        "file": "triples.tsv",
        "triples": 3,
        "ids": 5,
        "rows_used": 3,
        "rows_unused": 2,
        "ids_without_row": 2,
        "first_ids_without_row": ["Disease::NCBI:1410", "Gene::UNKNOWN:1"],
    }
    assert "id in the triples without a row in the table x2" in capsys.readouterr().err


def test_used_by_doesnt_mind_rows_without_text_that_no_triple_names(tmp_path):
    (tmp_path / "triples.tsv").write_text(TRIPLES, "utf-8")
    rows = [*EYE, ("X:1", "", "Gene", "", "")]
    _, manifest = read(tmp_path, rows, used_by=tmp_path / "triples.tsv")
    assert manifest["rows"] == 3


def test_used_by_takes_relations_for_relation_types(tmp_path, capsys):
    (tmp_path / "triples.tsv").write_text(TRIPLES, "utf-8")
    path = tmp_path / "relations.tsv"
    path.write_text("relation_type\tdescription\nB::u\tone\nC::v\ttwo\n", "utf-8")
    words = ["--kind", "relation_types", "--used-by", str(tmp_path / "triples.tsv"), "--json"]
    assert main(["lint", str(path), *words]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["ids"], report["used_by"]["ids_without_row"]) == (["B::u"], 1)


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "not there"), ("a\tb\n", "2 columns"), ("a\tb\tc\nd\te\n", "line 2 has 2 fields")],
)
def test_triples_that_cant_be_read_are_told(tmp_path, capsys, content, why):
    triples = tmp_path / "triples.tsv"
    if content:
        triples.write_text(content, "utf-8")
    (tmp_path / "table.tsv").write_bytes(PLAIN)
    words = [str(tmp_path / "table.tsv"), "--kind", "entities", "--used-by", str(triples)]
    assert main(["lint", *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("ERROR: ") and err.count("\n") == 1
    assert "used_by: " in err and why in err


def run(words, folder, limit=None, program=("-m", "kgtextvec"), **environment):
    return subprocess.run(
        [sys.executable, *program, *words],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": SOURCE, **environment},
        capture_output=True,
        text=True,
        preexec_fn=limit,
    )


ODD = ["two words.tsv", 'it\'s "odd".tsv', "größe-数.tsv", "-dash.tsv", "$HOME;ls.tsv", "new\nline"]
# One process for all names: reads each table, then checks the same with a fault in it.
READ_ALL = """
import contextlib, io, json, sys
from kgtextvec.__main__ import main
found = []
for name in sys.argv[1:]:
    words = ["--kind", "entities", "--table", "t", "--out-dir", f"out of {name}", "--", name]
    read = main(["read-texts", *words])
    with open(name, "ab") as file:
        file.write(b"short\\n")
    with contextlib.redirect_stderr(io.StringIO()) as error:
        checked = main(["lint", "--kind", "entities", "--", name])
    sys.stderr.write(error.getvalue())
    found.append([read, checked, error.getvalue()])
print(json.dumps(found))
"""


@pytest.fixture(scope="module", params=["C", "C.UTF-8"])
def read_in_a_locale(request, tmp_path_factory):
    """A folder with tables of odd names, and what a process in that locale said of each."""
    folder = tmp_path_factory.mktemp("odd")
    for name in ODD:
        (folder / name).write_bytes(PLAIN)
    done = run(ODD, folder, program=("-c", READ_ALL), LC_ALL=request.param)
    assert done.returncode == 0, done.stderr
    return folder, dict(zip(ODD, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("name", ODD)
def test_odd_paths_work_in_every_locale(read_in_a_locale, name):
    folder, found = read_in_a_locale
    read, checked, error = found[name]
    assert read == 0
    manifest = folder / f"out of {name}" / "manifest.json"
    assert json.loads(manifest.read_text("utf-8"))["rows"] == 5
    assert checked == 2
    assert error.startswith("ERROR: ") and error.count("\n") == 1


def test_a_path_that_isnt_utf8_works(tmp_path):
    name = os.fsdecode(b"caf\xe9.tsv")
    (tmp_path / name).write_bytes(PLAIN)
    words = ["--kind", "entities", "--table", "t", "--out-dir", "out", name]
    done = run(["read-texts", *words], tmp_path)
    assert done.returncode == 0, done.stderr


def test_json_is_all_there_is_on_standard_output(tmp_path):
    (tmp_path / "t.tsv").write_bytes(table([("ü:1", "", "Gene", "Ménière \u202e", "")]))
    done = run(["lint", "t.tsv", "--kind", "entities", "--json"], tmp_path, LC_ALL="C")
    assert json.loads(done.stdout)["texts"] == ["Ménière \u202e"]
    assert run(["lint", "t.tsv", "--kind", "entities"], tmp_path).stdout == ""


def test_a_read_only_input_folder_is_fine(tmp_path):
    folder = tmp_path / "input"
    folder.mkdir()
    (folder / "t.tsv").write_bytes(PLAIN)
    (folder / "t.tsv").chmod(0o444)
    folder.chmod(0o555)
    words = ["--kind", "entities", "--table", "t", "--out-dir", "../out", "t.tsv"]
    done = run(["read-texts", *words], folder)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in folder.iterdir()] == ["t.tsv"]


def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(tmp_path):
    (tmp_path / "t.tsv").write_bytes(table(rows_of(20_000)))
    words = ["--kind", "entities", "--table", "t", "--out-dir", "a/b", "t.tsv"]

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = run(["read-texts", *words], tmp_path, small_files)
    assert done.returncode == 2, done.stderr
    assert "File too large" in done.stderr and done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["t.tsv"]


@pytest.mark.slow
def test_huge_rows_need_less_than_1500_mb(tmp_path):
    words = ["kinase", "receptor", "acute", "chronic", "pathway", "beta", "binding", "cell"]
    with (tmp_path / "t.tsv").open("w", encoding="utf-8") as file:
        file.write("id\tname\tlabel\tdescription\n")
        for start in range(0, 2_000_000, 10_000):
            file.writelines(
                f"X:{n}\tname {n}\tGene\t{n} {' '.join(words[n % 7 :] * (n % 5 + 1))}\n"
                for n in range(start, start + 10_000)
            )
    code = (
        "import sys; from kgtextvec.__main__ import main; code = main(sys.argv[1:]);"
        "(peak,) = [x for x in open('/proc/self/status') if x.startswith('VmHWM')];"
        "print(code, int(peak.split()[1]) // 1024)"  # ru_maxrss starts from the parent's peak
    )
    typed = ["read-texts", "t.tsv", "--kind", "entities", "--table", "t", "--shards", "16"]
    done = subprocess.run(
        [sys.executable, "-c", code, *typed, "--out-dir", "out"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
    )
    code, megabytes = map(int, done.stdout.split())
    assert code == 0, done.stderr
    assert json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))["texts"] == 2_000_000
    assert megabytes < 1500


@pytest.mark.parametrize("shards", [1, 32, 999, 1000, 1001, 12000])
def test_names_of_shards_sort_as_their_numbers_do(shards):
    """gather_shards puts shards together in the order of their names."""
    names = [shard_name(number, shards) for number in range(shards)]
    assert names == sorted(names)
    assert len({len(name) for name in names}) == 1
