"""Spreadsheets: the first sheet of an .xlsx, read by calamine; rows have the sheet's numbers."""

import datetime
import io
import zipfile
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from kgtextvec.texts.blocks import Batch
from kgtextvec.texts.containers import UNJUDGED
from kgtextvec.texts.findings import LINES_SKIPPED, TableError, plain
from kgtextvec.texts.formats import OpenFile, TableFormat
from kgtextvec.texts.header import Header

SHEET_ROWS = 20_000
ZIP_ERRORS = (zipfile.BadZipFile, OSError, ValueError)
DATES = (datetime.date, datetime.time, datetime.timedelta)


def is_spreadsheet(file: OpenFile) -> bool:
    """Tell whether the file is a zip archive that begins like an Office document."""
    return file.head.startswith(b"PK\x03\x04") and (
        b"[Content_Types].xml" in file.head or b"xl/" in file.head
    )


class Spreadsheet:
    """One pass over a sheet: open, take, batches. An empty cell is an empty field."""

    unit = "row"

    def __init__(self, file: OpenFile) -> None:
        """Take the open file."""
        self.file, self.findings = file, file.findings
        self.at = file.before + 1

    def open(self) -> Header:
        """Return the columns: those named elsewhere, or the first row that isn't empty."""
        import python_calamine

        try:
            data = io.BytesIO(b"".join(self.file.blocks))
            self.check_ratio(data)
            book = python_calamine.CalamineWorkbook.from_filelike(data)
            sheet = book.get_sheet_by_index(0)
            self.cells = iter(sheet.iter_rows())
        except (*ZIP_ERRORS, python_calamine.CalamineError, IndexError) as error:
            why = plain(str(error).strip().partition("\n")[0], 200)
            raise TableError(
                "damaged", f"the spreadsheet can't be read ({why}): save it again, or as TSV."
            ) from None
        if len(book.sheet_names) > 1:
            names = ", ".join(plain(name, 40) for name in book.sheet_names)
            self.findings.add(
                "sheets",
                None,
                f"only the first of {len(book.sheet_names)} sheets was read ({names}); to read"
                " another one, save it as a file of its own",
            )
        self.names = [*self.file.names]
        while not self.names:
            row = next(self.cells, None)
            if row is None:
                raise TableError("empty_file", "the first sheet is empty. Put the table there.")
            self.at += 1
            if any(str(cell).strip() for cell in row):
                self.names = [str(cell).strip() for cell in row]
        return Header(self.names)

    def check_ratio(self, data: io.BytesIO) -> None:
        """Raise TableError for a file that unpacks to more than max_ratio times its size."""
        with zipfile.ZipFile(data) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > max(UNJUDGED, self.file.how.max_ratio * len(data.getbuffer())):
            raise TableError(
                "ratio",
                f"the spreadsheet unpacks to more than {self.file.how.max_ratio} times its size. If"
                " you trust it, raise max_ratio.",
            )
        data.seek(0)

    def take(self, columns: dict[str, int], keys: Sequence[int]) -> None:
        """Choose the columns; `keys` play no part, since no row can swallow another."""
        self.columns = columns

    def batches(self) -> Iterator[Batch]:
        """Yield the rows; those with a date or an error value in a column become findings."""
        while block := list(islice(self.cells, SHEET_ROWS)):
            rows: list[list[str]] = []
            numbers: list[int] = []
            for number, cells in enumerate(block, self.at):
                fields = [self.field(cells, place) for place in self.columns.values()]
                bad = next((n for n, one in enumerate(fields) if one is None), None)
                if bad is not None:
                    self.date(number, list(self.columns.values())[bad])
                elif any(str(cell).strip() for cell in cells):
                    rows.append([one or "" for one in fields])
                    numbers.append(number)
                else:
                    self.findings.add(
                        "blank_lines", number, f"row {number}", title="empty row skipped"
                    )
            self.at += len(block)
            if rows:
                columns = dict(zip(self.columns, map(list, zip(*rows, strict=True)), strict=True))
                odd = any(not one.isprintable() for row in rows for one in row)
                yield Batch(np.array(numbers, dtype=np.int64), columns, odd)

    def field(self, cells: Sequence[Any], place: int) -> str | None:
        """Return a cell's text, whole numbers without a point; None for a date."""
        cell = cells[place] if place < len(cells) else ""
        if isinstance(cell, DATES):
            return None
        if isinstance(cell, bool):
            return "true" if cell else "false"
        if isinstance(cell, float) and cell.is_integer():
            return str(int(cell))
        return str(cell)

    def date(self, number: int, place: int) -> None:
        """Record a row with a date: an error, or left out if bad_lines says so."""
        skip = self.file.how.bad_lines == "skip"
        hint = (
            "Spreadsheets turn names such as MARCH1 into dates: correct the cell, and format its"
            " column as text"
        )
        what = f"row {number} has a date in {plain(self.names[place])}"
        left = LINES_SKIPPED
        self.findings.add("date", number, what, error=not skip, hint=left if skip else hint)


FORMAT = TableFormat(
    "an Excel spreadsheet (.xlsx), its first sheet", 2, is_spreadsheet, Spreadsheet
)
