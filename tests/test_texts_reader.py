import csv
import gzip
import io
import lzma
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_builders import COLUMNS, PLAIN, table

from kgtextvec.errors import InputError
from kgtextvec.settings.tables import Reading
from kgtextvec.texts.check import check_table
from kgtextvec.texts.containers import open_blocks
from kgtextvec.texts.findings import Findings
from kgtextvec.texts.rules import around, parse_rule, standard
from kgtextvec.texts.table import CheckedTable

any_text = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.text(st.sampled_from('"\t\n\r a\x85\u2028'), max_size=9),
)
a_key = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x24F, categories=["L", "N", "P", "S"]),
    min_size=1,
    max_size=6,
)
a_row = st.tuples(a_key, any_text, a_key, any_text.map(lambda text: text + "!"), any_text)


def checked(data, name="table.tsv", **policies):
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        found = CheckedTable(path, Reading(kind=policies.pop("kind", "entities"), **policies))
        return check_table(found) | {"table": found}


def written(rows, quoting=csv.QUOTE_MINIMAL):
    """Write rows by Python's csv module: an author of tables who knows nothing of our reader."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter="\t", lineterminator="\r\n", quoting=quoting)
    writer.writerows([COLUMNS, *rows])
    return out.getvalue()


@settings(max_examples=120, deadline=None)
@given(st.lists(a_row, min_size=1, max_size=6), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_what_a_correct_writer_wrote_comes_back_exactly(rows, quoting):
    data = written(rows, quoting).encode()
    found = checked(data, text_clean="none", duplicates="ok")
    assert found["ids"] == [row[0] for row in rows], found["findings"]
    assert found["texts"] == [row[3] for row in rows]
    assert found["labels"] == {one: sum(row[2] == one for row in rows) for _, _, one, *_ in rows}


@settings(max_examples=50, deadline=None)
@given(
    st.lists(a_row, min_size=1, max_size=4),
    st.sampled_from(["utf-16", "utf-32", "utf-8-sig", "gb18030", "utf-16-be", "utf-7"]),
)
def test_other_encodings_give_the_same_texts(rows, encoding):
    found = checked(
        written(rows).encode(encoding), text_clean="none", duplicates="ok", encoding=encoding
    )
    assert found["texts"] == [row[3] for row in rows], found["findings"]


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", PLAIN[:60], PLAIN]))
def test_no_bytes_make_a_traceback(noise, start):
    found = checked(start + noise)
    assert found["outcome"] in {"ok", "warn", "error"}
    assert all(finding["message"].isprintable() for finding in found["findings"])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_where_blocks_are_cut_changes_nothing(data):
    descriptions = ["plain", 'a "quoted" word', "over\ntwo lines", "a\ttab", "é" * 9, "\r\n", '"']
    rows = [(f"X:{n}", "name", "Gene", f"{n} {descriptions[n % 7]}" * 6, "") for n in range(2500)]
    whole = written(rows).encode()
    assert len(whole) > 150_000
    # A gzip file of many members is unpacked member by member: each makes a block of its own.
    cuts = data.draw(st.lists(st.integers(66_000, len(whole)), max_size=40).map(sorted))
    packed = b"".join(
        gzip.compress(whole[one:two], 1)
        for one, two in zip([0, *cuts], [*cuts, len(whole)], strict=True)
    )
    found = checked(packed, "t.tsv.gz", text_clean="none")
    assert found["outcome"] == "ok", found["findings"]
    assert found["texts"] == [row[3] for row in rows]


def test_cr_line_ends_may_be_cut_between_blocks():
    rows = [(f"X:{n}", "", "Gene", f"text {n}", "") for n in range(9000)]
    whole = table(rows, end="\r\n").replace(b"\r\n", b"\r", 1)
    parts = [whole[start : start + 1009] for start in range(0, len(whole), 1009)]
    found = checked(b"".join(gzip.compress(part, 1) for part in parts), "t.tsv.gz")
    assert found["texts"] == [f"text {n}" for n in range(9000)]
    assert [one["kind"] for one in found["findings"]] == ["line_ends"]


def test_a_quote_opened_early_in_a_large_table_costs_one_line():
    rows = [f"X:{n}\t\tGene\ttext number {n} of many\t" for n in range(400_000)]
    rows[1] = 'X:1\t\tGene\t"never closed\t'
    data = "\n".join(["\t".join(COLUMNS), *rows]).encode()
    found = checked(data, bad_lines="skip")
    assert found["rows"] == 399_999
    assert [(one["kind"], one["line"]) for one in found["findings"]] == [("quotes", 3)]


def test_a_line_without_end_is_refused_within_bounds():
    data = b"\t".join(name.encode() for name in COLUMNS) + b"\nX:1\tx\tGene\t" + b"a" * (40 << 20)
    found = checked(gzip.compress(data, 1), "t.tsv.gz")
    assert found["outcome"] == "error"
    assert "longer than 32 MiB" in found["findings"][0]["message"]


@pytest.mark.parametrize("name", ["t.tsv.gz", "t.tsv.xz", "t.tsv.zst"])
def test_every_cut_of_a_packed_file_is_found(name):
    import zstandard

    pack = {
        "gz": gzip.compress,
        "xz": lzma.compress,
        "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    }[name.rpartition(".")[2]]
    packed = pack(table([(f"X:{n}", "", "Gene", f"text {n * n}", "") for n in range(200)]))
    for size in range(1, len(packed), 7):
        assert checked(packed[:size], name)["outcome"] == "error", size


@pytest.mark.parametrize("name", ["t.tsv.gz", "t.tsv.xz"])
def test_blocks_stay_small_whatever_is_packed(name, tmp_path):
    pack = {"gz": gzip.compress, "xz": lzma.compress}[name.rpartition(".")[2]]
    path = tmp_path / name
    path.write_bytes(pack(b"\0" * (64 << 20)))
    sizes = [len(block) for block in open_blocks(path, Findings())]
    assert sum(sizes) == 64 << 20
    assert max(sizes) <= 8 << 20


def test_twenty_findings_are_told_and_the_rest_counted():
    data = PLAIN + b"short\n" * 7 + b"\tno id\tGene\tx\t\n" * 20
    found = checked(data)
    message = found["table"].findings.error_message()
    assert message.count("has 1 field") == 7
    assert message.count("has no id") == 13
    assert "and 7 more" in message
    assert {one["kind"]: one["count"] for one in found["findings"]} == {
        "too_few_fields": 7,
        "id_missing": 20,
    }


def test_a_folder_a_missing_file_and_a_device_are_told(tmp_path):
    for path, why in ((tmp_path, "a folder"), (tmp_path / "no", "not there"), ("/dev/zero", "dev")):
        found = check_table(CheckedTable(Path(path), Reading(kind="entities")))
        assert found["outcome"] == "error"
        assert why in found["findings"][0]["message"]


@pytest.mark.parametrize(
    ("rule", "row", "text"),
    [
        ("{name}. {description}", {"name": "A", "description": "b"}, "A. b"),
        ("{name}. {description}", {"name": "A", "description": ""}, "A."),
        ("{name}. {description}", {"name": "", "description": "b"}, "b"),
        ("{label}: {name}. {description}", {"label": "G", "description": "b"}, "G: b"),
        ("{label}: {name}", {"label": "G"}, ""),
        ("{label}", {"label": "G"}, "G"),
        ("{name} ({note}): {description}", {"name": "A", "description": "b"}, "A: b"),
        ("{name} ({note})", {"name": "A"}, "A"),
        ("{name}, {note}, {description}", {"name": "A", "description": "b"}, "A, b"),
        ("{name} - {note}", {"name": "A"}, "A"),
        ("The {name} is {note}.", {"name": "A", "note": "b"}, "The A is b."),
        ("{{{name}}}", {"name": "A"}, "{A}"),
        ("{name}; {note}", {"name": "a, b;", "note": ""}, "a, b;"),
        ("{name}{note}", {}, ""),
    ],
)
def test_a_template_leaves_empty_columns_out(rule, row, text):
    parsed = parse_rule(rule)
    columns = {name: [row.get(name, "")] for name in parsed.columns}
    assert parsed.texts(columns, lambda texts, odd: standard(texts), ("id", "label"), True)[0] == [
        text
    ]


@given(st.lists(st.booleans(), min_size=1, max_size=5))
def test_a_template_has_a_literal_around_every_column_whatever_is_empty(shape):
    literals = ["<", *[", "] * (len(shape) - 1), ">"]
    kept = around(literals, shape)
    assert len(kept) == len(literals)
    assert kept == literals or not all(shape)


@pytest.mark.parametrize("rule", ["", "a,,b", "a,a", "{a", "a}", "{}", "{a}{b", "{{a}}", ","])
def test_a_rule_that_is_none_is_refused(rule):
    with pytest.raises(InputError, match="text: "):
        parse_rule(rule)


def test_lengths_and_odd_characters_are_counted():
    rows = [
        ("X:1", "", "Gene", "one two three", ""),
        ("X:2", "", "Gene", "w " * 511, ""),
        ("X:3", "", "Drug", "soft\u00adhyphen \u200bzero \ufffd", ""),
    ]
    found = checked(table(rows))
    assert found["labels"] == {"Gene": 2, "Drug": 1}
    assert found["lengths"]["words"]["p100"] == 511
    assert found["lengths"]["characters"]["p0"] == len("one two three")
    assert found["long_texts"] == {"words": 510, "rows": 1}
    assert found["odd_characters"] == {"soft_hyphen": 1, "zero_width": 1, "replacement": 1}
    assert found["text_from"] == {"description": 3}


def test_a_bit_flip_in_gzip_never_gives_other_texts():
    packed = gzip.compress(PLAIN)
    right = checked(packed, "t.tsv.gz")["texts"]
    for place in range(10, len(packed), 3):
        broken = bytearray(packed)
        broken[place] ^= 4
        found = checked(bytes(broken), "t.tsv.gz")
        assert found["outcome"] == "error" or found["texts"] == right
