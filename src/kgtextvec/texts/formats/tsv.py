"""Tab-separated text with a header, read strictly."""

from kgtextvec.texts.formats import TableFormat
from kgtextvec.texts.reader import Reader

FORMAT = TableFormat(
    "tab-separated text with a header; plain, .gz, .zst or .xz",
    lambda path, findings, how, seen: Reader(
        path, findings, how.bad_lines, how.quoting, how.encoding, seen, how.max_ratio
    ),
)
