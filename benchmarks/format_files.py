"""One table written in each format that the texts step reads, and packed."""

import csv
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path

import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import zstandard

# A sheet of Excel's holds so many rows, its header included.
SHEET_LIMIT = 1_048_576
NAMESPACE = "http://schemas.openxmlformats.org"
PARTS = {
    "[Content_Types].xml": "<Types/>",
    "_rels/.rels": (
        f'<Relationships xmlns="{NAMESPACE}/package/2006/relationships"><Relationship Id="r1"'
        f' Type="{NAMESPACE}/officeDocument/2006/relationships/officeDocument"'
        ' Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{NAMESPACE}/spreadsheetml/2006/main"'
        f' xmlns:r="{NAMESPACE}/officeDocument/2006/relationships"><sheets>'
        '<sheet name="nodes" sheetId="1" r:id="r1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{NAMESPACE}/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{NAMESPACE}/officeDocument/2006/relationships/worksheet"'
        ' Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="r2" Type="{NAMESPACE}/officeDocument/2006/relationships/sharedStrings"'
        ' Target="sharedStrings.xml"/></Relationships>'
    ),
}


def write_csv(source: Path, path: Path) -> None:
    """Write a table as comma-separated text, with quotes where they are needed."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows_of(source))


def write_quoted_csv(source: Path, path: Path) -> None:
    """Write a table as comma-separated text, every field in quotes."""
    with arrow_csv.CSVWriter(path, opened(source).schema) as writer:
        for batch in opened(source):
            writer.write_batch(batch)


def write_parquet(source: Path, path: Path) -> None:
    """Write a table as Parquet, in row groups of the size that pandas gives them."""
    table = opened(source).read_all()
    pq.write_table(table, path)


def write_json_lines(source: Path, path: Path) -> None:
    """Write a table as JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        for batch in opened(source):
            file.writelines(f"{json.dumps(row)}\n" for row in batch.to_pylist())


def write_sheet(source: Path, path: Path) -> None:
    """Write the rows that a sheet holds as .xlsx, strings shared as Excel has them."""
    shared: dict[str, int] = {}
    main = f'xmlns="{NAMESPACE}/spreadsheetml/2006/main"'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as book:
        for name, text in PARTS.items():
            book.writestr(name, text)
        with book.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            sheet.write(f"<worksheet {main}><sheetData>".encode())
            for number, row in enumerate(rows_of(source), 1):
                if number > SHEET_LIMIT:
                    break
                places = [shared.setdefault(one, len(shared)) for one in row]
                cells = "".join(
                    f'<c r="{chr(65 + column)}{number}" t="s"><v>{place}</v></c>'
                    for column, place in enumerate(places)
                )
                sheet.write(f'<row r="{number}">{cells}</row>'.encode())
            sheet.write(b"</sheetData></worksheet>")
        with book.open("xl/sharedStrings.xml", "w", force_zip64=True) as strings:
            strings.write(f"<sst {main}>".encode())
            for text in shared:
                shown = escape(text, quote=False)
                strings.write(f'<si><t xml:space="preserve">{shown}</t></si>'.encode())
            strings.write(b"</sst>")


def rows_of(source: Path) -> Iterator[list[str]]:
    """Yield the rows of a tab-separated table, its header first."""
    with source.open(newline="", encoding="utf-8") as table:
        yield from csv.reader(table, delimiter="\t")


def opened(source: Path) -> arrow_csv.CSVStreamingReader:
    """Open a tab-separated table, every column as strings."""
    with source.open(encoding="utf-8") as file:
        names = file.readline().rstrip("\n").split("\t")
    return arrow_csv.open_csv(
        source,
        parse_options=arrow_csv.ParseOptions(delimiter="\t"),
        convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, "string")),
    )


WRITERS: dict[str, Callable[[Path, Path], None]] = {
    "csv": write_csv,
    "quoted.csv": write_quoted_csv,
    "parquet": write_parquet,
    "jsonl": write_json_lines,
    "xlsx": write_sheet,
}
PACKINGS = {
    ".gz": lambda: zlib.compressobj(1, wbits=31),
    # With a checksum, as the zstd program gives one.
    ".zst": lambda: zstandard.ZstdCompressor(level=3, write_checksum=True).compressobj(),
    ".xz": lambda: lzma.LZMACompressor(lzma.FORMAT_XZ, preset=0),
}


def pack(path: Path, packing: str) -> Path:
    """Write a file packed, and return its path."""
    packed, packer = path.with_name(path.name + packing), PACKINGS[packing]()
    with path.open("rb") as file, packed.open("wb") as target:
        while block := file.read(1 << 20):
            target.write(packer.compress(block))
        target.write(packer.flush())
    return packed
