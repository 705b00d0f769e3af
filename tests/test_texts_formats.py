"""Formats: the same rows whatever they are written in, found by content, damage reported."""

import contextlib
import csv
import gzip
import io
import json
import lzma
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st
from spreadsheets import spreadsheet_of

from kgtextvec.settings.tables import Reading
from kgtextvec.texts import reader
from kgtextvec.texts.check import check_table
from kgtextvec.texts.findings import Findings, TableError
from kgtextvec.texts.reader import Reader
from kgtextvec.texts.table import CheckedTable

COLUMNS = ("id", "label", "name", "description")
ROWS = [
    ("X:1", "Gene", "alpha, beta", 'says "hi"; or\nnot'),
    ("NA", "Disease", "nan", ""),
    ("X:3|4", "Gene", "gämma; δ", "tab\there"),
    ("00123", "Gene", "true", "1.0"),
]
PACK = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


def delimited_by(mark, **how):
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=mark, **how).writerows([COLUMNS, *ROWS])
    return out.getvalue().encode()


def parquet_of(columns):
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


WRITTEN = {
    "t.xlsx": spreadsheet_of([COLUMNS, *ROWS]),
    "t.tsv": delimited_by("\t"),
    "t.csv": delimited_by(","),
    "semicolons.txt": delimited_by(";", quoting=csv.QUOTE_ALL),
    "bars.txt": delimited_by("|"),
    "t.jsonl": b"".join(
        json.dumps(dict(zip(COLUMNS, row, strict=True))).encode() + b"\n" for row in ROWS
    ),
    "t.parquet": parquet_of({name: [row[n] for row in ROWS] for n, name in enumerate(COLUMNS)}),
}


def checked_file(path, data, **how):
    path.write_bytes(data)
    return check_table(CheckedTable(path, Reading(kind="entities", **how)))


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("name", WRITTEN)
def test_every_format_and_packing_gives_the_same_rows(tmp_path, name, packing):
    found = checked_file(tmp_path / (name + packing), PACK[packing](WRITTEN[name]))
    assert found["ids"] == [row[0] for row in ROWS], found["findings"]
    assert found["texts"] == ['says "hi"; or not', "nan", "tab here", "1.0"]
    assert found["labels"] == {"Gene": 3, "Disease": 1}


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet", "t.xlsx"])
def test_a_file_named_tsv_is_read_as_something_else_only_if_format_says_so(tmp_path, name):
    path = tmp_path / "table.tsv"
    found = checked_file(path, WRITTEN[name])
    assert found["outcome"] == "error"
    format_of = name.rpartition(".")[2]
    assert f"set format: {format_of}" in found["findings"][0]["message"]
    found = checked_file(path, WRITTEN[name], format=format_of)
    assert (found["outcome"] == "error", found["rows"]) == (False, 4)


LEAST = reader.LEAST_FOR_PYARROW
cells = st.text(st.sampled_from('"", ;\tab\n\ré'), max_size=5)
lines = st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=5)
raw = st.text(st.sampled_from('"",,\n\n\rab '), max_size=20)


def read_both_ways(data, mark):
    """Rows and findings of the reader as it is, and when it reads every block line by line."""
    found = []
    for least in (0, 1 << 60):
        reader.LEAST_FOR_PYARROW = least
        findings = Findings()
        one = Reader("x", findings, delimiter=mark, unpacked=iter([data]))
        width = len(one.open().names)
        one.take({str(n): n for n in range(width)}, [0, 1][:width])
        rows = [
            (line, *row)
            for batch in one.batches()
            for line, *row in zip(batch.lines.tolist(), *batch.columns.values(), strict=True)
        ]
        found.append((rows, findings.as_json()))
    reader.LEAST_FOR_PYARROW = LEAST
    return found


@given(lines, st.sampled_from(",;\t"), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
def test_blocks_with_quotes_are_read_as_their_lines_are(rows, mark, quoting):
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=mark, quoting=quoting).writerows([["i", "l"], *rows])
    at_once, by_line = read_both_ways(out.getvalue().encode(), mark)
    assert at_once == by_line
    kept = [row for row in rows if any(row) and row != ["i", "l"]]
    if '"i' not in str(at_once[1]):
        assert [list(row[1:]) for row in at_once[0]] == kept or at_once[1]


@given(raw, st.sampled_from(",;\t"))
def test_blocks_with_faulty_quotes_are_read_as_their_lines_are(text, mark):
    at_once, by_line = read_both_ways(("i,l\n" + text).replace(",", mark).encode(), mark)
    assert at_once == by_line


def test_parquet_lists_numbers_and_nulls(tmp_path):
    columns = {
        "id": pa.array([5250, 7]),
        "category": pa.array([["biolink:Thing", "biolink:Gene"], ["biolink:Gene"]]),
        "name": pa.array(["a", "b"]).dictionary_encode(),
        "synonyms": pa.array([["x", None, "y\x1fz", "w"], None]),
        "description": pa.array([None, "text"]),
    }
    found = checked_file(
        tmp_path / "t.parquet",
        parquet_of(columns),
        columns={"label": "category"},
        label_of="last",
        label_prefixes=("biolink:",),
        text="{name}: {synonyms:2} {description}",
    )
    assert found["ids"] == ["5250", "7"]
    assert found["labels"] == {"Gene": 2}
    assert found["texts"] == ["a: x, y z", "b: text"]


def test_json_lines_with_lists_and_faulty_lines(tmp_path):
    lines = [
        '{"id": 5, "label": ["Gene", "Thing"], "name": "a", "synonyms": ["x", "y", 3]}',
        "",
        '{"id": "6", "label": "Gene", "name": "b", "other": {"x": 1}, "synonyms": null}',
        '{"id": "7", "label": "Gene", "name": {"en": "c"}}',
        '["8"]',
        '{"id": "9", "label": "Gene", "name": "b"',
    ]
    data = "\n".join(lines).encode()
    how = {"text": "{name} ({synonyms:2})"}
    found = checked_file(tmp_path / "t.jsonl", data, **how)
    told = " ".join(one["message"] for one in found["findings"] if one["level"] == "error")
    assert re.search("line 4 holds an object.* in name", told)
    assert "line 5 is not a JSON object" in told
    assert "line 6 is not a JSON object" in told
    found = checked_file(tmp_path / "t.jsonl", data, bad_lines="skip", **how)
    assert (found["ids"], found["texts"]) == (["5", "6"], ["a (x, y)", "b"])


pieces = st.sampled_from(
    ['{"id": "a"}', '{"id": "b", "l": "}{"}', '{"id":', '"c"}', "[1]", "", " ", "{", '{"id": [{}']
)


@example(['{"id": "a"}', '{"id":', '"c"}', '{"id": "a"} {"id": "b"}'])
@given(st.lists(st.lists(pieces, max_size=3).map("".join), min_size=1, max_size=5))
def test_json_lines_are_rows_where_pythons_json_finds_an_object_in_a_line(tmp_path_factory, lines):
    """And nothing else is: no object over two lines, no two objects in one."""
    want = []
    for number, line in enumerate(lines, 1):
        with contextlib.suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict) and isinstance(found["id"], str):
                want.append((number, found["id"]))
    path = tmp_path_factory.mktemp("j") / "t.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    table = CheckedTable(path, Reading(kind="entities", format="jsonl", label="Gene", text="id"))
    blocks = table.blocks(table.findings)
    try:
        rows = [
            (line, one)
            for batch in blocks
            for line, one in zip(batch.lines.tolist(), batch.columns["id"], strict=True)
        ]
    except TableError:
        rows = []
    assert rows == want


def test_control_characters_that_json_escapes_are_found(tmp_path):
    texts = ["a\tb", "a\x0bb", "a\x85b", "a\x7fb", "\ufeffa b", "a\nb", "a b"]
    for number, text in enumerate(texts):
        line = {"id": "1", "label": "G", "name": "n", "description": text}
        found = checked_file(tmp_path / "t.jsonl", json.dumps(line).encode())
        assert found["texts"] == ["a b"], texts[number]


def test_a_byte_that_is_no_text_is_found_in_a_column_that_is_not_used():
    data = b'i,l,m\n"1","a","x"\n"2","b","\xff"\n'
    found = []
    for least in (0, 1 << 60):
        reader.LEAST_FOR_PYARROW = least
        one = Reader("x", Findings(), delimiter=",", unpacked=iter([data]))
        one.open()
        one.take({"i": 0}, [0, 1])
        ids = [value for batch in one.batches() for value in batch.columns["i"]]
        found.append((ids, [finding["message"] for finding in one.findings.as_json()]))
    reader.LEAST_FOR_PYARROW = LEAST
    assert found[0] == found[1] and found[0][0] == ["1"] and "line 3" in found[0][1][0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (WRITTEN["t.parquet"][:-40], "the Parquet file is damaged or cut short"),
        (
            parquet_of({"id": [1.5], "label": ["x"], "name": ["x"], "description": ["x"]}),
            "column id holds double, not text or whole numbers",
        ),
        (parquet_of({key: ["x"] for key in COLUMNS} | {"id": [""]}), "row 1 has no id"),
        (b'{\n "graphs": [ { "nodes": [] } ]\n}\n', "ontology in OBO Graphs JSON.*kgtextvec init"),
        (b'{"graphs": [{"nodes": []}]}', "ontology in OBO Graphs JSON"),
        (b"format-version: 1.2\nontology: ex\n", "an ontology in OBO format"),
        (b'<?xml version="1.0"?>\n<rdf:RDF xmlns:owl="x">', "an ontology in OWL or RDF"),
        (b"@prefix owl: <http://www.w3.org/2002/07/owl#> .\n", "RDF in Turtle"),
        (b'<?xml version="1.0"?>\n<note/>', "web page .or XML"),
        (b'[{"id": "x"}]', "the file is JSON"),
    ],
)
def test_what_is_no_table_or_a_damaged_one_is_named(tmp_path, data, message):
    found = checked_file(tmp_path / "file", data)
    assert found["outcome"] == "error"
    assert re.search(message, found["findings"][0]["message"]), found["findings"]


def test_a_spreadsheet_has_numbers_dates_and_several_sheets(tmp_path):
    rows = [
        ["", "", ""],
        ["id", "label", "name", "description"],
        [5250, "Gene", "SLC25A3", 1.5],
        [7, "Gene", (44256,), "a day that was MARCH1"],
        ["X:8", "Gene", "short"],
    ]
    data = spreadsheet_of(rows, [["other"]])
    found = checked_file(tmp_path / "t.xlsx", data, text="{name}: {description}")
    told = " ".join(one["message"] for one in found["findings"])
    assert "row 4 has a date in name" in told
    assert "only the first of 2 sheets was read (S1, S2)" in told
    found = checked_file(tmp_path / "t.xlsx", data, bad_lines="skip")
    assert (found["ids"], found["texts"]) == (["5250", "X:8"], ["1.5", "short"])
    assert checked_file(tmp_path / "t.xlsx", data[:-60])["outcome"] == "error"
