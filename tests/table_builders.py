"""Bytes of every case of inputs/cases.yaml: one function a case, of the same name."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Sequence

import zstandard

COLUMNS = ("id", "name", "label", "description", "note")
EYE = (
    ("DOID:83", "Cataract", "Disease", "Clouding of the lens of the eye.", "a"),
    ("NCBI:1410", "CRYAB", "Gene", "Alpha crystallin chain B.", ""),
    ("CHEBI:1", "Atropine", "Drug", "Widens the pupil.", "b"),
    ("MESH:D012295", "Fever, Rift Valley", "Disease", "", ""),
    ("UBERON:965", "choroid", "Tissue", "The fibrous tunic behind it.", "c"),
)
RELATIONS = (
    ("A::treats::Drug:Disease", "The drug treats the disease."),
    ("B::binds::Drug:Gene", "The drug binds the gene's product."),
    ("C::in::Gene:Tissue", "The gene is expressed in the tissue."),
)
TWO = ("relation_type", "description")


def quote(field: str) -> str:
    """Write a field as RFC 4180 says: quoted when it must be."""
    if field[:1] == '"' or any(mark in field for mark in "\t\n\r"):
        return '"' + field.replace('"', '""') + '"'
    return field


def text_of(
    rows: Sequence[Sequence[str]],
    columns: Sequence[str] = COLUMNS,
    end: str = "\n",
    write: Callable[[str], str] = quote,
) -> str:
    """Write a whole table."""
    return "".join("\t".join(map(write, row)) + end for row in [columns, *rows])


def table(
    rows: Sequence[Sequence[str]], columns: Sequence[str] = COLUMNS, end: str = "\n"
) -> bytes:
    return text_of(rows, columns, end).encode()


def raw(*lines: str) -> bytes:
    """Write lines as they are, after the usual header."""
    return "".join(line + "\n" for line in ["\t".join(COLUMNS), *lines]).encode()


def eye(**fields: str) -> tuple[str, ...]:
    """Return one more row, X:1, with the fields given."""
    row = {"id": "X:1", "name": "", "label": "Disease", "description": "Of the eye.", "note": ""}
    return tuple((row | fields).values())


def told(*descriptions: str) -> bytes:
    """Write a table with these descriptions and an unremarkable last row."""
    rows = [eye(id=f"X:{n}", description=one) for n, one in enumerate(descriptions, 1)]
    return table([*rows, EYE[1]])


def lines() -> list[str]:
    """Return the usual table's rows as lines."""
    return ["\t".join(row) for row in EYE]


PLAIN = table(EYE)

SIMPLE: dict[str, bytes] = {
    "ok_small": PLAIN,
    "rel_ok": table(RELATIONS, TWO),
    "one_row": table(EYE[:1]),
    "rel_one_row": table(RELATIONS[:1], TWO),
    "fewer_rows_than_dims": table([eye(id=f"X:{n}", description=f"Eye {n}.") for n in range(7)]),
    "constant_texts": table([eye(id=f"X:{n}") for n in range(60)]),
    "empty_file": b"",
    "blank_file": b"\n\n  \n",
    "header_only": table([]),
    "header_only_allowed": table([]),
    "empty_file_allowed": b"",
    # columns
    "missing_id_column": table([row[1:] for row in EYE], COLUMNS[1:]),
    "missing_label_column": table([row[:2] for row in EYE], COLUMNS[:2]),
    "missing_unused_columns": table([row[:4] for row in EYE], COLUMNS[:4]),
    "missing_description_not_in_rule": table([row[:3] for row in EYE], COLUMNS[:3]),
    "missing_description_in_rule": table([row[:3] for row in EYE], COLUMNS[:3]),
    "rel_missing_description_column": table([row[:1] for row in RELATIONS], TWO[:1]),
    "column_order_changed": table([row[::-1] for row in EYE], COLUMNS[::-1]),
    "extra_columns": table([(*row, "1", "2") for row in EYE], (*COLUMNS, "x", "y")),
    "duplicate_column": table([(*row, "more") for row in EYE], (*COLUMNS, "description")),
    "duplicate_column_unused": table([(*row, "more") for row in EYE], (*COLUMNS, "note")),
    "unnamed_column": table([(str(n), *row) for n, row in enumerate(EYE)], ("", *COLUMNS)),
    "no_header": PLAIN.partition(b"\n")[2],
    "comma_separated": b'"id","name","label","description"\n"X:1","a, b","Gene","c"\n',
    "semicolon_separated": b"id;name;label;description\nX:1;a, b;Gene;c\n",
    "bar_separated": b"id|name|label|description\nX:1|a|Gene|c\n",
    "blank_separated": b"id   name  label description\nX:1  a     Gene  b\n",
    "columns_missing_and_twice": table(
        [(*row[1:], "more") for row in EYE], (*COLUMNS[1:], "description")
    ),
    "comment_lines": b"# made on a Monday\n" + PLAIN,
    "comment_inside": raw(lines()[0], "# half way", *lines()[1:]),
    "upper_case_columns": table(EYE, [name.upper() for name in COLUMNS]),
    "blank_around_column": table(EYE, (" id ", *COLUMNS[1:])),
    "two_columns_alike": table(EYE, ("ID", *COLUMNS[1:4], "Id")),
    "exact_column_wins": table(EYE, (*COLUMNS[:4], "ID")),
    "quoted_header": PLAIN.replace(b"id\tname", b'"id"\t"name"', 1),
    "header_again": PLAIN + table([eye()]),
    "header_after_blank_line": b"\n" + PLAIN,
    # texts
    "empty_name_and_description": table([*EYE, eye(description="")]),
    "empty_text_skip": table([*EYE, eye(description="")]),
    "empty_text_name": PLAIN,
    "empty_text_name_without_name": table([*EYE, eye(description="")]),
    "whitespace_text": table([*EYE, eye(name="\u00a0 \u200b\u2060", description=" \u3000 ")]),
    "na_like_strings": table(
        [
            eye(id="NA", name="NA", description="Salt of the sea"),
            eye(id="N:1", name="nan", description="nan"),
            eye(id="N:2", name="null", description="null"),
            eye(id="N:3", name="None", description="N/A"),
            eye(id="N:4", name="NaN", description=""),
        ]
    ),
    "rel_empty_description": table([*RELATIONS, ("A::b::Gene:Gene", "")], TWO),
    "rel_empty_description_name": table([*RELATIONS, ("A::b::Gene:Gene", "")], TWO),
    "template": PLAIN,
    "template_unknown_column": PLAIN,
    "template_broken": PLAIN,
    "numeric_text": table([eye(id="00123", description="42.0")]),
    # ids
    "empty_id": table([*EYE, eye(id="")]),
    "blank_id": table([*EYE, eye(id=" \u200b")]),
    "empty_label": table([*EYE, eye(label="")]),
    "id_with_newline": table([*EYE, eye(id="X:\n1")]),
    "id_with_escape": table([*EYE, eye(id="X:\x1b[2J1")]),
    "id_with_blank_ends": table([*EYE, eye(id=" X:1")]),
    "id_with_zero_width": table([*EYE, eye(id="X:\u200b1")]),
    "duplicate_rows": table([*EYE, *EYE[:2]]),
    "duplicate_id_different_text": table([*EYE, (*EYE[0][:3], "Seen otherwise.", "")]),
    "duplicates_error": table([*EYE, *EYE[:2]]),
    "duplicates_ok": table([*EYE, *EYE[:2]]),
    "same_id_two_labels": table([eye(label="Disease"), eye(label="Symptom")]),
    "odd_ids": table(
        [
            eye(id=one)
            for one in (
                "two words",
                "p::q",
                "é:7",
                "../../root",
                "=2*3",
                "-v",
                "'); --",
                "x|y",
                "#1",
            )
        ]
    ),
    "rel_duplicate": table([*RELATIONS, RELATIONS[0]], TWO),
    # encodings
    "utf16": PLAIN.decode().encode("utf-16"),
    "utf16_unmarked": PLAIN.decode().encode("utf-16-le"),
    "utf16_be_unmarked": PLAIN.decode().encode("utf-16-be"),
    "utf32": PLAIN.decode().encode("utf-32"),
    "utf32_unmarked": PLAIN.decode().encode("utf-32-le"),
    "utf16_said": PLAIN.decode().encode("utf-16"),
    "utf16_cut": PLAIN.decode().encode("utf-16")[:-1],
    "utf8_mark": PLAIN.decode().encode("utf-8-sig"),
    "latin1": text_of([*EYE, eye(description="Ménière disease")]).encode("latin-1"),
    "latin1_said": text_of([*EYE, eye(description="Ménière disease")]).encode("latin-1"),
    "gb18030_said": text_of([*EYE, eye(description="白内障")]).encode("gb18030"),
    "shift_jis_broken": table([*EYE, eye(description="@")]).replace(b"@", b"\xff"),
    "ascii_said": table([*EYE, eye(description="é")]),
    "unknown_encoding": PLAIN,
    "not_a_text_encoding": PLAIN,
    "invalid_utf8_byte": PLAIN.replace(b"Widens", b"Widen\xff\xfes"),
    "invalid_utf8_skipped": PLAIN.replace(b"Widens", b"Widen\xff\xfes"),
    "surrogate_bytes": PLAIN.replace(b"Widens", b"Widen\xed\xa0\xbds"),
    "overlong_bytes": PLAIN.replace(b"Widens", b"Widen\xc0\xafs"),
    "cut_character": table(EYE[:4]) + "\t".join((*EYE[4][:4], "é")).encode()[:-1],
    "emoji_cjk_rtl": told("心臓 \U0001f468\u200d\U0001f469\u200d\U0001f467 לב \u202etraeh\u202c"),
    "nfc_nfd": table([eye(description="caf\u00e9"), eye(id="X:2", description="cafe\u0301")]),
    "nfc_nfd_composed": table(
        [eye(description="caf\u00e9"), eye(id="X:2", description="cafe\u0301")]
    ),
    "control_characters": told("ring\x07 \x1b[1mbold\x1b[0m rub\x7f"),
    "control_characters_kept": told("ring\x07 \x1b[1mbold\x1b[0m rub\x7f"),
    "embedded_nul": told("left\x00right"),
    "c1_control": told("left\x90right"),
    "line_marks_inside": told("a\x0bb\x0cc\x85d\u2028e\u2029f"),
    "unicode_line_separators": told("a\u2028b\u2029c"),
    "mark_inside": told("start\ufeff of it"),
    # line ends
    "crlf": table(EYE, end="\r\n"),
    "mixed_eol": PLAIN.replace(b"\n", b"\r\n", 3),
    "cr_only": table(EYE, end="\r"),
    "cr_only_gz": gzip.compress(table(EYE, end="\r")),
    "cr_inside": told("@").replace(b"@", b"left\rright"),
    # The label stands last, so that what is left of a line end would make another label.
    "crlf_quoted_break": table(
        [("X:1", "", "up\r\ndown", "Drug"), ("X:2", "", "left", "Gene")],
        ("id", "name", "description", "label"),
        end="\r\n",
    ),
    "crlf_quoted_break_kept": table([eye(description="up\r\ndown"), EYE[0]], end="\r\n"),
    "crlf_without_last_lf": table([row[:4] for row in EYE], COLUMNS[:4], end="\r\n")[:-1],
    "no_final_newline": PLAIN[:-1],
    "blank_lines": raw(lines()[0], "", lines()[1], "", lines()[2], " ", lines()[3], lines()[4]),
    "line_of_tabs": raw(*lines()[:2], "\t\t\t\t", *lines()[2:]),
    # quotes and fields
    "quoted_newline": table([*EYE, eye(description="first part\nsecond part")]),
    "quoted_tab": table([*EYE, eye(description="first part\tsecond part")]),
    "quoted_quotes": raw(*lines(), 'X:1\t\tDrug\t"the ""good"" one"\t'),
    "quoted_quotes_and_newline": table([*EYE, eye(description='a "b"\n"c"\td')]),
    "quoted_everything": text_of(EYE, write=lambda one: f'"{one}"').encode(),
    "inch_marks": raw('X:1\t\tDrug\t3" long\t', lines()[0]),
    "quote_after_blank": raw('X:1\t\tDrug\t "x" y\t', lines()[0]),
    "quote_then_more": raw(*lines(), 'X:1\t\tDrug\t"Old" name of it\t'),
    "quote_then_more_unquoted": raw(*lines(), 'X:1\t\tDrug\t"Old" name of it\t'),
    "quote_never_closed": raw(lines()[0], 'X:1\t\tGene\t"A crystallin.\t', *lines()[2:]),
    "quote_never_closed_skipped": raw(lines()[0], 'X:1\t\tGene\t"A crystallin.\t', *lines()[2:]),
    "quote_never_closed_unquoted": raw(lines()[0], 'X:1\t\tGene\t"A crystallin.\t', *lines()[2:]),
    "rel_quote_swallows_rows": (
        b'relation_type\tdescription\nA::x::G:G\t"open\nB::y::G:G\tclosed"\n'
    ),
    "quoted_table_inside": table(
        [("X:1", "n", "Drug", "see\na\tb\tc\td\ne"), EYE[0][:4]], COLUMNS[:4]
    ),
    "too_few_fields": raw(*lines(), "X:1\tonly"),
    "too_many_fields": raw(*lines(), lines()[0] + "\tx\ty"),
    "ragged_middle": raw(lines()[0], "a\tb\tc", lines()[2], lines()[3] + "\tx", lines()[4]),
    "ragged_skipped": raw(lines()[0], "a\tb\tc", lines()[2], lines()[3] + "\tx", lines()[4]),
    "ragged_evening_out": raw(lines()[0], "a\tb\tc\td", lines()[2] + "\tx", *lines()[3:]),
    "cut_last_line": PLAIN[:-12],
    "cut_in_quotes": PLAIN + b'X:1\t\tDrug\t"Cut in the',
    "many_faults": raw(*["alone"] * 25),
    "mixed_faults": raw(
        lines()[0], "a\tb\tc", "\tn\tGene\tt\t", "X:1\t\tGene\t\t", "X:2\t\tGene\t@\t"
    ).replace(b"@", b"\xe9"),
    # long and odd texts
    "one_token_100k": told("G" * 100_000),
    "field_over_csv_limit": told("dolor sit " * 25_000),
    "exactly_510_511_512_513_tokens": told(*[" ".join("a" * n) for n in (509, 510, 511, 512)]),
    "special_tokens_in_text": table(
        [
            eye(id=f"X:{n}", description=one)
            for n, one in enumerate(
                ("one </s> two", "<s>", "[CLS] x", "<mask>", "[SEP]", "[PAD]", "<pad>", "<unk>")
            )
        ]
    ),
    "markup_and_entities": told("<b>IL-1&beta;</b> &gt; 2 &micro;M"),
    # containers
    "gz": gzip.compress(PLAIN),
    "gz_headers_in_both_members": gzip.compress(PLAIN) + gzip.compress(PLAIN),
    "gz_two_members": gzip.compress(PLAIN[:100]) + gzip.compress(PLAIN[100:]),
    "gz_padded": gzip.compress(PLAIN) + b"\0" * 512,
    "gz_named_tsv": gzip.compress(PLAIN),
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress(PLAIN),
    "zst_two_frames": b"".join(
        zstandard.ZstdCompressor(write_checksum=True).compress(part)
        for part in (PLAIN[:100], PLAIN[100:])
    ),
    "xz": lzma.compress(PLAIN),
    "xz_two_streams": lzma.compress(PLAIN[:100]) + lzma.compress(PLAIN[100:]),
    "xz_named_gz": lzma.compress(PLAIN),
    "plain_named_gz": PLAIN,
    "gz_truncated": gzip.compress(PLAIN)[:-30],
    "gz_then_garbage": gzip.compress(PLAIN) + b"garbage",
    "gz_of_nothing": gzip.compress(b""),
    "gz_twice": gzip.compress(gzip.compress(PLAIN)),
    "zst_truncated": zstandard.ZstdCompressor().compress(PLAIN)[:-5],
    "zst_then_garbage": zstandard.ZstdCompressor().compress(PLAIN) + b"garbage",
    "xz_truncated": lzma.compress(PLAIN)[:-30],
    "bz2": bz2.compress(PLAIN),
    "html_page": b"<!DOCTYPE html>\n<html><body>Sign in</body></html>\n",
    "html_page_gz": gzip.compress(b"\n<html><body>Sign in</body></html>\n"),
    "git_lfs_pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
    "json_lines": b'{"id": "X:1", "label": "Gene"}\n',
    "binary_noise": bytes(range(256)) * 40,
}


def swallowed(columns: int) -> bytes:
    rows = [list(row[:columns]) for row in EYE]
    rows[1][3], rows[3][3] = '"Alpha crystallin', 'ends"'
    return text_of(rows, COLUMNS[:columns], write=str).encode()


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def quote_swallows_rows() -> bytes:
    return swallowed(5)


def quote_swallows_rows_skipped() -> bytes:
    return swallowed(5)


def quote_swallows_rows_last_column() -> bytes:
    return swallowed(4)


def gz_bad_crc() -> bytes:
    data = gzip.compress(PLAIN)
    return flipped(data, len(data) - 7)


def zst_flipped() -> bytes:
    data = zstandard.ZstdCompressor(write_checksum=True).compress(PLAIN)
    return flipped(data, len(data) - 2)


def xz_flipped() -> bytes:
    data = lzma.compress(PLAIN)
    return flipped(data, len(data) // 2)


def zip() -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("table.tsv", PLAIN)
    return whole.getvalue()


def zip_in_gz() -> bytes:
    return gzip.compress(zip())


def tar_gz() -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        member = tarfile.TarInfo("table.tsv")
        member.size = len(PLAIN)
        archive.addfile(member, io.BytesIO(PLAIN))
    return whole.getvalue()


def parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = io.BytesIO()
    pq.write_table(pa.table({"id": ["X:1"]}), whole)
    return whole.getvalue()


def build(case: str) -> bytes:
    """Return the bytes of a case's table."""
    if case in SIMPLE:
        return SIMPLE[case]
    made: bytes = globals()[case]()
    return made
