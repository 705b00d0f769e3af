"""Exports, read back by those who read them: the csv module, pandas, pyarrow, numpy."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kgtextvec.checksums import xxh3_of
from kgtextvec.errors import InputError
from kgtextvec.export import tsv
from kgtextvec.export.floats import LONGEST, spell_rows
from kgtextvec.export.table import export_table

ROOT = Path(__file__).resolve().parents[1]
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux's /proc")
HOSTILE_NAMES = [
    "plain",
    "",
    "a\ttab",
    'a "quote"',
    '"',
    '5" nucleotidase',
    "two\nlines",
    "carriage\rreturn",
    "both\r\n",
    "α-synuclein 蛋白 🧬",
    "  spaces  ",
    "semi;colon, comma",
    "'single'",
    "back\\slash",
    "NA",
    "#hash",
]


def space(folder, vectors, names=None, kind="entities", row_group_size=None, **more):
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "embeddings.npy", vectors)
    n = len(vectors)
    names = names or [f"name {i}" for i in range(n)]
    index = {"row": np.arange(n), "id": pa.array([f"MESH:D{i}" for i in range(n)], pa.string())}
    if kind == "entities":
        index["label"] = pa.array(["Gene" if i % 2 else "Disease" for i in range(n)], pa.string())
        index["name"] = pa.array(names, pa.string())
        index["node_id"] = pa.array(
            [f"{label.as_py()}::MESH:D{i}" for i, label in enumerate(index["label"])], pa.string()
        )
    else:
        index["relation_type"] = pa.array(names, pa.string())
        index["formatted_relation_type"] = pa.array([f"f_{name}" for name in names], pa.string())
    pq.write_table(pa.table(index), folder / "index.parquet", row_group_size=row_group_size)
    manifest = {
        "model": {"name": "tiny"},
        "table": "t",
        "kind": kind,
        "space": "full",
        "rows": n,
        "dims": vectors.shape[1],
        "vectors_xxh3": xxh3_of(folder / "embeddings.npy"),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest | more))
    return folder


def random_vectors(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def text_of(numbers):
    """The kernel's text of float32 numbers, one string each."""
    numbers = np.ascontiguousarray(numbers, np.float32).reshape(1, -1)
    out = np.empty((numbers.size + 1) * LONGEST, np.uint8)
    n = spell_rows(numbers.view(np.uint32), np.empty(0, np.uint8), np.zeros(2, np.int32), out)
    line = out[:n].tobytes().decode("ascii")
    assert line.endswith("\n")
    return line[:-1].split("|")


def parsed(cell):
    return np.array([np.float32(text) for text in cell.split("|")])


def bits(numbers):
    return np.ascontiguousarray(numbers, np.float32).view(np.uint32)


def hostile_numbers():
    random = np.random.default_rng(7)
    any_bits = random.integers(0, 2**32, 200_000, dtype=np.uint32)
    exponents = np.arange(255, dtype=np.uint32) << 23
    edges = np.concatenate([exponents, exponents + 1, exponents[1:] - 1, exponents | (1 << 31)])
    denormals = np.arange(4000, dtype=np.uint32)
    numbers = np.concatenate([any_bits, edges, denormals]).view(np.float32)
    tens = np.array([f"{sign}1e{k}" for sign in ("", "-") for k in range(-45, 39)], np.float32)
    more = np.array([0.0, -0.0, 1e-38, 3.4e38, 1.1754944e-38, 3.4028235e38, 1e-45], np.float32)
    steps = (np.arange(50_000) / 1000).astype(np.float32)
    everything = np.concatenate([numbers, tens, more, steps, np.arange(3000, dtype=np.float32)])
    return everything[np.isfinite(everything)]


def test_every_number_parses_back_to_its_bits_and_is_the_shortest_one():
    numbers = hostile_numbers()
    texts = text_of(numbers)
    assert len(texts) == len(numbers)
    np.testing.assert_array_equal(bits([np.float32(text) for text in texts]), bits(numbers))
    # numpy's own shortest digits (Dragon4), another algorithm; its notation differs at times.
    for text, number in zip(texts, numbers, strict=True):
        want = np.format_float_scientific(number, unique=True)
        assert float(text) == float(want), (text, want)
        assert len(text.lstrip("-")) <= 20


@pytest.mark.slow
def test_a_million_more_numbers_of_every_size_parse_back_to_their_bits():
    for seed in range(20):
        any_bits = np.random.default_rng(seed).integers(0, 2**32, 500_000, dtype=np.uint32)
        numbers = any_bits.view(np.float32)[np.isfinite(any_bits.view(np.float32))]
        texts = text_of(numbers)
        # strtof on decimal text, rounded once; numpy's cast from str goes by way of float64.
        np.testing.assert_array_equal(bits(np.array(texts, "S").astype(np.float32)), bits(numbers))
        np.testing.assert_array_equal(bits(pa.array(texts).cast(pa.float32())), bits(numbers))


def test_numbers_as_vectors_hold_them_look_as_upstreams_script_writes_them():
    numbers = random_vectors(1, 20_000)[0] * np.float32(0.3)
    numbers = numbers[np.abs(numbers) > 1e-4]
    assert text_of(numbers) == [str(number) for number in numbers]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_any_list_of_numbers_comes_back(numbers):
    np.testing.assert_array_equal(bits([np.float32(t) for t in text_of(numbers)]), bits(numbers))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**31 - 1).map(lambda n: 2 * n + 1))
def test_any_bits_give_numpys_digits_in_pythons_notation(first, step):
    some = ((first + step * np.arange(2000)) % 2**32).astype(np.uint32).view(np.float32)
    numbers = some[np.isfinite(some)]
    assume(len(numbers))  # some steps meet nothing but NaN
    # numpy's str has the shortest digits (Dragon4, another algorithm); Python's repr spells them.
    assert text_of(numbers) == [repr(float(str(number))) for number in numbers]


def test_a_row_without_numbers_is_an_empty_line():
    assert text_of(np.empty(0)) == [""]


@pytest.mark.parametrize("width", [1, 3, 7, 8, 9, 17, 64, 1023])
def test_rows_of_any_width_hold_common_and_rare_numbers(width):
    pool = np.array([0, -0.0, 0.5, -1.25, 9.999999, 10, 1e-4, 9.999e-5, 1e16, 1e-45, -3e38, 0.1])
    numbers = np.random.default_rng(width).choice(pool.astype(np.float32), width)
    assert text_of(numbers) == [repr(float(str(number))) for number in numbers]


@pytest.mark.parametrize(
    "number,text",
    [
        (1, "1.0"),
        (-1, "-1.0"),
        (0, "0.0"),
        (-0.0, "-0.0"),
        (0.5, "0.5"),
        (123.25, "123.25"),
        (0.0001, "0.0001"),
        (1.5e-7, "1.5e-07"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e+16"),
        (1e-45, "1e-45"),
        (3.4028235e38, "3.4028235e+38"),
    ],
)
def test_notation(number, text):
    assert text_of([number]) == [text]


def read_csv_module(path):
    csv.field_size_limit(10**9)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", strict=True))


def read_pandas(path):
    return pd.read_csv(path, sep="\t", keep_default_na=False, dtype=str)


@pytest.mark.parametrize("rows", [1, 2, 5, 8192])
def test_entities_come_back_from_csv_and_pandas_whatever_their_names(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(tsv, "INDEX_ROWS", rows)
    monkeypatch.setattr(tsv, "NUMBERS_AT_ONCE", 3 * 7)
    vectors = random_vectors(len(HOSTILE_NAMES), 7)
    folder = space(tmp_path, vectors, HOSTILE_NAMES)
    out = tmp_path / "embeddings.tsv"
    export_table(folder, format="tsv", out=out, threads=3)
    found = read_csv_module(out)
    columns = ["embedding_id", "id", "entity_id", "entity_name", "entity_type", "embedding"]
    assert list(found[0]) == columns and len(found) == len(vectors)
    frame = read_pandas(out)
    assert list(frame.columns) == columns
    for i, (row, name) in enumerate(zip(found, HOSTILE_NAMES, strict=True)):
        label = "Gene" if i % 2 else "Disease"
        want = [str(i + 1), f"{label}::MESH:D{i}", f"MESH:D{i}", name, label]
        assert list(row.values())[:5] == want
        assert frame.iloc[i].tolist()[:5] == want
        np.testing.assert_array_equal(bits(parsed(row["embedding"])), bits(vectors[i]))
        np.testing.assert_array_equal(bits(parsed(frame.embedding[i])), bits(vectors[i]))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1))
def test_any_name_comes_back(tmp_path_factory, names):
    folder = space(tmp_path_factory.mktemp("any"), random_vectors(len(names), 2), names)
    export_table(folder, format="tsv", out=folder / "embeddings.tsv", threads=1)
    found = read_csv_module(folder / "embeddings.tsv")
    assert [row["entity_name"] for row in found] == names


def test_only_fields_that_need_quotes_have_them(tmp_path):
    folder = space(tmp_path, random_vectors(3, 2), ["it's, fine; |", 'the "x"', "b"])
    export_table(folder, format="tsv", out=tmp_path / "t.tsv")
    lines = (tmp_path / "t.tsv").read_bytes().decode().split("\n")
    assert [line.count('"') for line in lines] == [0, 0, 6, 0, 0]


def test_relation_types_are_in_the_union_of_both_forms(tmp_path):
    names = ["DRUGBANK::target::Compound:Gene", "GNBR::E::Compound:Gene", "x"]
    vectors = random_vectors(3, 5)
    folder = space(tmp_path, vectors, names, kind="relation_types")
    export_table(folder, format="tsv", out=tmp_path / "t.tsv")
    frame = read_pandas(tmp_path / "t.tsv")
    columns = ["embedding_id", "id", "relation_type", "formatted_relation_type", "embedding"]
    assert list(frame.columns) == columns
    assert frame["id"].tolist() == frame["relation_type"].tolist() == names
    assert frame["formatted_relation_type"].tolist() == [f"f_{name}" for name in names]
    # Upstream's scripts pick columns by name and parse the vectors as float64 or float32.
    upstream = frame[["embedding_id", "relation_type", "embedding"]]
    back = np.array([cell.split("|") for cell in upstream["embedding"]]).astype(np.float32)
    np.testing.assert_array_equal(bits(back), bits(vectors))


def test_a_relation_type_without_a_formatted_one_stands_for_it(tmp_path):
    folder = space(tmp_path, random_vectors(3, 2), ["A::b", "C::d", "E::f"], kind="relation_types")
    index = pq.read_table(folder / "index.parquet").drop_columns("formatted_relation_type")
    gaps = pa.array(["x", "", None], pa.string())
    pq.write_table(index.append_column("formatted_relation_type", gaps), folder / "index.parquet")
    export_table(folder, format="tsv", out=tmp_path / "t.tsv")
    frame = read_pandas(tmp_path / "t.tsv")
    assert frame["formatted_relation_type"].tolist() == ["x", "C::d", "E::f"]


def test_hostile_numbers_survive_the_file(tmp_path):
    numbers = hostile_numbers()
    vectors = numbers[: len(numbers) // 64 * 64].reshape(-1, 64)
    folder = space(tmp_path, vectors)
    export_table(folder, format="tsv", out=tmp_path / "t.tsv", threads=2)
    frame = read_pandas(tmp_path / "t.tsv")
    back = np.array([cell.split("|") for cell in frame["embedding"]]).astype(np.float32)
    np.testing.assert_array_equal(bits(back), bits(vectors))


def test_the_file_does_not_depend_on_threads_or_chunks(tmp_path, monkeypatch):
    folder = space(tmp_path, random_vectors(500, 33), row_group_size=70)
    export_table(folder, format="tsv", out=tmp_path / "a.tsv", threads=1)
    monkeypatch.setattr(tsv, "INDEX_ROWS", 64)
    monkeypatch.setattr(tsv, "NUMBERS_AT_ONCE", 500)
    export_table(folder, format="tsv", out=tmp_path / "b.tsv", threads=5)
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()


@pytest.mark.parametrize("kind", ["entities", "relation_types"])
def test_no_rows_give_a_header_only(tmp_path, kind):
    folder = space(tmp_path, np.empty((0, 4), np.float32), kind=kind)
    for form in ("tsv", "parquet"):
        export_table(folder, format=form, out=tmp_path / f"t.{form}")
    assert read_csv_module(tmp_path / "t.tsv") == []
    assert (tmp_path / "t.tsv").read_text().count("\n") == 1
    assert pq.read_table(tmp_path / "t.parquet").num_rows == 0


@pytest.mark.parametrize("row_group_size", [None, 7])
def test_parquet_holds_index_vectors_and_manifest(tmp_path, monkeypatch, row_group_size):
    monkeypatch.setattr("kgtextvec.export.forms.parquet.NUMBERS_IN_GROUP", 6 * 10)
    names = HOSTILE_NAMES * 3
    vectors = random_vectors(len(names), 6)
    folder = space(tmp_path, vectors, names, row_group_size=row_group_size)
    export_table(folder, format="parquet", out=tmp_path / "t.parquet")
    table = pq.read_table(tmp_path / "t.parquet")
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 6)
    assert table.drop_columns("embedding").equals(pq.read_table(folder / "index.parquet"))
    back = table["embedding"].combine_chunks().flatten().to_numpy().reshape(-1, 6)
    np.testing.assert_array_equal(bits(back), bits(vectors))
    kept = json.loads(table.schema.metadata[b"kgtextvec"])
    assert kept == json.loads((folder / "manifest.json").read_text())
    assert pq.ParquetFile(tmp_path / "t.parquet").num_row_groups >= 5
    in_pandas = pd.read_parquet(tmp_path / "t.parquet")
    np.testing.assert_array_equal(np.stack(in_pandas["embedding"]), vectors)


def test_npy_is_checked_and_linked(tmp_path):
    folder = space(tmp_path / "space", random_vectors(5, 3))
    export_table(folder, format="npy", out=folder / "embeddings.npy")
    export_table(folder, format="npy", out=tmp_path / "out/x.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "out/x.npy"), random_vectors(5, 3))
    other = random_vectors(5, 3, seed=1)
    np.save(folder / "embeddings.npy", other)
    with pytest.raises(InputError, match="expected xxh3_128"):
        export_table(folder, format="npy", out=tmp_path / "out/y.npy")
    assert not (tmp_path / "out/y.npy").exists()


@pytest.mark.parametrize("form", ["npy", "tsv", "parquet"])
def test_files_that_disagree_are_refused(tmp_path, form):
    out = tmp_path / f"out.{form}"
    folder = space(tmp_path / "a", random_vectors(5, 3), rows=6)
    with pytest.raises(InputError, match=r"has 5 rows, manifest\.json has 6"):
        export_table(folder, format=form, out=out)
    folder = space(tmp_path / "b", random_vectors(5, 3), dims=4)
    with pytest.raises(InputError, match=r"has 3 dims, manifest\.json has 4"):
        export_table(folder, format=form, out=out)
    folder = space(tmp_path / "c", random_vectors(5, 3))
    pq.write_table(pq.read_table(folder / "index.parquet").slice(1), folder / "index.parquet")
    with pytest.raises(InputError, match=r"has 5 rows, index\.parquet has 4"):
        export_table(folder, format=form, out=out)
    (folder / "index.parquet").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a Parquet file"):
        export_table(folder, format=form, out=out)
    (folder / "index.parquet").unlink()
    with pytest.raises(InputError, match="not there"):
        export_table(folder, format=form, out=out)
    assert not out.exists()


@pytest.mark.parametrize("form", ["tsv", "parquet"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_are_refused_and_leave_no_file(tmp_path, form, value):
    vectors = random_vectors(300, 4)
    vectors[211, 2] = value
    folder = space(tmp_path, vectors)
    with pytest.raises(InputError, match="first at row 211"):
        export_table(folder, format=form, out=tmp_path / f"x.{form}")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "embeddings.npy",
        "index.parquet",
        "manifest.json",
    ]


@pytest.mark.parametrize("threads", [1, 3])
def test_a_block_that_fails_stops_all_threads(tmp_path, monkeypatch, threads):
    monkeypatch.setattr(tsv, "NUMBERS_AT_ONCE", 8)
    vectors = random_vectors(300, 4)
    vectors[101] = np.inf
    folder = space(tmp_path, vectors)
    with pytest.raises(InputError, match="first at row 101"):
        export_table(folder, format="tsv", out=tmp_path / "x.tsv", threads=threads)
    assert not (tmp_path / "x.tsv").exists()


# VmHWM, not ru_maxrss: the latter starts at the size of the process that forked this one.
MEMORY = """
import sys
from pathlib import Path
def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])
import kgtextvec.export.floats, kgtextvec.export.forms.parquet, kgtextvec.export.tsv
from kgtextvec.export.table import export_table
small, large, form = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
export_table(small, format=form, out=small / "warm", threads=2)
before = peak()
export_table(large, format=form, out=large / "out", threads=2)
print((peak() - before) / 1024)
"""


@needs_proc
@pytest.mark.parametrize("form,limit", [("tsv", 100), ("parquet", 250)])
def test_memory_does_not_grow_with_rows(tmp_path, form, limit):
    small = space(tmp_path / "small", random_vectors(300, 1024))  # too many for the plain way
    large = space(tmp_path / "large", np.tile(random_vectors(1000, 1024), (100, 1)))
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(small), str(large), form],
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) < limit  # the matrix alone has 410 MB, its text 1.1 GB
