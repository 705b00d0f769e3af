"""Tables that cost too much, hide damage or are in no text encoding."""

import bz2
import gzip
import lzma
import sys

import pytest
import zstandard
from table_builders import COLUMNS, EYE, PLAIN, table
from test_texts_reader import checked

from kgtextvec.__main__ import main
from kgtextvec.errors import InputError
from kgtextvec.texts.findings import Findings
from kgtextvec.texts.header import Header, match_columns
from kgtextvec.triples import read_columns


class CountedName(str):
    """A column's name that counts how often one is compared."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        CountedName.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def comparisons_with(columns: int) -> int:
    """How often names are compared to match the columns of a header with this many more."""
    names = [CountedName(name) for name in (*COLUMNS, *(f"c{n}" for n in range(columns)))]
    CountedName.compared = 0
    places = match_columns(Header(names), ("id", "label"), ("name",), Findings(), 1)
    assert places == {name: COLUMNS.index(name) for name in ("id", "label", "name")}
    return CountedName.compared


def calls_with(columns: int) -> int:
    """How many functions are called to check a table of one row and this many columns more."""
    data = table([(*EYE[0], *["v"] * columns)], (*COLUMNS, *(f"c{n}" for n in range(columns))))
    calls = 0

    def count(frame: object, event: str, function: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        found = checked(data)
    finally:
        sys.setprofile(None)
    assert found["outcome"] == "ok"
    return calls


@pytest.mark.parametrize("count", [comparisons_with, calls_with])
def test_work_grows_with_the_number_of_columns_and_not_its_square(count):
    """Eight times the columns: nine times the work at most; their square would be 64 times."""
    count(10)  # what is done once
    assert 0 < count(8_000) <= 9 * count(1_000)


@pytest.mark.parametrize("encoding", ["idna", "punycode", "undefined", "base64", "rot13", "a\0b"])
def test_what_is_no_text_encoding_is_refused_in_one_line(tmp_path, capsys, encoding):
    (tmp_path / "t.tsv").write_bytes(PLAIN)
    assert (
        main(["lint", str(tmp_path / "t.tsv"), "--kind", "entities", "--encoding", encoding]) == 2
    )
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "is not a text encoding that Python knows" in told


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_bytes_without_the_mark_that_their_encoding_needs_are_refused(encoding):
    found = checked(PLAIN, encoding=encoding)
    assert f"the file is not {encoding}" in found["findings"][0]["message"]


def zstd(data: bytes, checksum: bool) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=checksum).compress(data)


@pytest.mark.parametrize("sums", [(True, False), (False, True), (False, False)])
def test_a_zstd_file_without_checksum_is_warned_of(tmp_path, capsys, sums):
    path = tmp_path / "t.tsv.zst"
    path.write_bytes(zstd(PLAIN[:100], sums[0]) + zstd(PLAIN[100:], sums[1]))
    assert main(["lint", str(path), "--kind", "entities"]) == 0
    told = capsys.readouterr().err
    assert told.count("the zstd file has no checksum, so damage to it can go unnoticed") == 1
    assert ": ok, 5 rows" in told


def test_a_zstd_file_with_checksums_is_not_warned_of():
    found = checked(zstd(PLAIN, True), "t.tsv.zst")
    assert not found["table"].findings.warnings()


def test_a_table_that_unpacks_without_limit_is_refused_unless_a_setting_allows_it():
    packed = zstd(table([("X:1", "a", "Gene", "b" * (66 << 10), "") for _ in range(1000)]), True)
    found = checked(packed, "t.tsv.zst", duplicates="ok")
    (message,) = (one["message"] for one in found["findings"] if one["level"] == "error")
    assert "the file unpacks to more than 200 times its size" in message
    assert "raise max_ratio" in message
    found = checked(packed, "t.tsv.zst", max_ratio=100_000, duplicates="ok")
    assert (found["outcome"], found["rows"]) == ("ok", 1000)


def test_a_row_without_a_label_is_an_error(tmp_path):
    report = checked(table([("X:1", "one", " ", "made up", "text")]))
    assert report["outcome"] == "error"
    assert any("has no label" in finding["message"] for finding in report["findings"])


ROW = b"Gene::A:1\ttreats\tGene::B:2\n"


@pytest.mark.parametrize("ending", ["gz", "xz", "bz2", "zst"])
def test_packed_triples_are_read_but_no_bomb(tmp_path, ending):
    packers = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress,
               "zst": zstandard.compress}  # fmt: skip
    path = tmp_path / f"triples.tsv.{ending}"
    path.write_bytes(packers[ending](ROW * 1000))
    assert read_columns([path]).num_rows == 1000
    if ending == "zst":  # the others need ten seconds and more to pack as much
        path.write_bytes(packers[ending](ROW * 3_000_000))
        with pytest.raises(InputError, match=f"^{path}: unpacks to more than 200 times its size"):
            read_columns([path])


def test_headers_of_other_case_or_with_blanks_are_read_with_a_warning():
    names = (" ID", "name", "Label", "Description ", "note")
    found = checked(table(EYE, names))
    assert (found["outcome"], found["rows"]) == ("warn", len(EYE))
    (warning,) = found["table"].findings.warnings()
    assert "Label" in warning and "Description" in warning
    twice = checked(table([(*EYE[0], "x")], (" ID", *names[1:], "Id")))
    assert twice["outcome"] == "error"
