"""Text separated by commas, semicolons or bars, read as strictly as tab-separated text."""

from kgtextvec.texts.formats import OpenFile, TableFormat
from kgtextvec.texts.header import SEPARATORS
from kgtextvec.texts.reader import delimited


def found_delimiter(file: OpenFile) -> str:
    """Return the separator that the first line has most of, "" where it has tabs or none.

    With columns named elsewhere, it must stand between as many fields.
    """
    line = file.first_line()
    if "\t" in line or (line.startswith("#") and not file.names):
        return ""
    quote = file.how.quotechar
    bare = "".join(line.split(quote)[::2]) if file.how.quoting == "minimal" else line
    counts = {mark: bare.count(mark) for mark in SEPARATORS}
    if file.names:
        fitting = [mark for mark, count in counts.items() if count == len(file.names) - 1]
        return fitting[0] if len(file.names) > 1 and fitting else ""
    mark = max(counts, key=lambda mark: counts[mark])
    return mark if counts[mark] else ""


def recognises(file: OpenFile) -> bool:
    """Tell whether the first line is separated by anything else than tabs."""
    if file.how.delimiter:
        return file.how.delimiter != "\t"
    return bool(found_delimiter(file))


FORMAT = TableFormat(
    "text separated by commas, semicolons or bars",
    rank=8,
    recognises=recognises,
    reader=lambda file: delimited(file, file.how.delimiter or found_delimiter(file) or ","),
)
