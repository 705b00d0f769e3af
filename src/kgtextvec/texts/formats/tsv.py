"""Tab-separated text, read strictly; also a list of one column."""

from kgtextvec.texts.formats import TableFormat
from kgtextvec.texts.reader import delimited

FORMAT = TableFormat(
    "tab-separated text, or one value a line",
    rank=9,
    recognises=lambda file: True,
    reader=lambda file: delimited(file, file.how.delimiter or "\t"),
)
