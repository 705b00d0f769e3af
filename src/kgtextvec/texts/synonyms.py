"""read-synonyms: the other names that a table gives its rows."""

from pathlib import Path
from typing import Annotated

from kgtextvec.settings.tables import Reading
from kgtextvec.texts.verbs import HeaderFile, TableFiles

SYNONYMS_COLUMN = "synonyms"
SYNONYMS_SEPARATOR = "|"  # as BioMedGPS has it, unless the table's list_separator is another one


def read_synonyms(
    files: TableFiles,
    *,
    out: Annotated[Path, "Parquet file to write: id, label, synonym"],
    reading: Reading,
    header_file: HeaderFile = [],  # noqa: B006
) -> None:
    """Write the synonyms in a table's column `synonyms`, one per line; none if it has no such.

    `columns: {synonyms: …}` names another column. read-texts reports the table's faults.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from msgspec.structs import replace

    from kgtextvec.files import whole_file
    from kgtextvec.texts.findings import TableError
    from kgtextvec.texts.table import CheckedTable

    # Read as the one column whose values are never split, so that a synonym may hold a comma.
    columns = dict(reading.columns)
    columns["description"] = columns.pop(SYNONYMS_COLUMN, SYNONYMS_COLUMN)
    how = replace(
        reading, columns=columns, text="{description}", empty_text="skip", allow_empty=True
    )
    table = CheckedTable(files[0], how, more=files[1:], headers=header_file)
    found: list[tuple[str, str, str]] = []
    try:
        for rows in table.rows():
            keys = zip(rows.columns["id"], rows.columns["label"], rows.texts, strict=True)
            for node, label, text in keys:
                listed = text.split(reading.list_separator or SYNONYMS_SEPARATOR)
                found += [(node, label, name.strip()) for name in listed if name.strip()]
    except TableError as error:
        if error.kind != "columns":
            raise
        found = []
    names = ("id", "label", "synonym")
    parts = list(zip(*found, strict=True)) or [()] * len(names)
    made = {name: pa.array(part, pa.string()) for name, part in zip(names, parts, strict=True)}
    with whole_file(out) as part:
        pq.write_table(pa.table(made), part, compression="zstd")
