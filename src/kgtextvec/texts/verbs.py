"""The verbs of the step: read a table for the workflow, or check it alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from kgtextvec.settings.edges import EdgesFlag, GraphFiles, edges_of_json
from kgtextvec.settings.tables import Reading, Sharding

if TYPE_CHECKING:
    from kgtextvec.texts.table import CheckedTable

TableFiles = Annotated[
    list[Path],
    "the table: delimited text, Parquet, JSON lines or .xlsx, plain or compressed by gzip, zstd or"
    " xz; several files are read as one",
]
HeaderFile = Annotated[
    list[Path], "a file with the header; of several, each table file has the one named alike"
]
NamesOfFacts = Annotated[list[Path], "for facts: folders of texts that name their parts"]
UsedBy = Annotated[list[Path], "a graph's edges: keep only the rows they use"]


def read_texts(
    files: TableFiles,
    *,
    table: Annotated[str, "the table's name in the config"],
    out_dir: Annotated[Path, "folder to write into"],
    reading: Sharding,
    used_by: UsedBy = [],  # noqa: B006
    graph: GraphFiles = [],  # noqa: B006
    edges: EdgesFlag = "",
    names: NamesOfFacts = [],  # noqa: B006
    header_file: HeaderFile = [],  # noqa: B006
) -> None:
    """Read a table strictly and write its rows and its distinct texts in shards.

    Writes rows.parquet, shards/{shard}.parquet, findings.json and manifest.json into the folder,
    all of them or none. Raises InputError with all that is wrong (up to 20 findings), and when a
    file changes meanwhile.
    """
    from kgtextvec.source_files import SourceFiles
    from kgtextvec.texts.write import write_texts

    sources = SourceFiles([*files, *header_file, *used_by, *graph])
    checked = checked_table(files, reading, used_by, graph, edges, names, header_file)
    write_texts(checked, table, reading.shards, out_dir, sources)


def lint(
    files: TableFiles,
    *,
    reading: Reading,
    used_by: UsedBy = [],  # noqa: B006
    graph: GraphFiles = [],  # noqa: B006
    edges: EdgesFlag = "",
    names: NamesOfFacts = [],  # noqa: B006
    header_file: HeaderFile = [],  # noqa: B006
    json: Annotated[bool, "print the report as JSON"] = False,
) -> None:
    """Check a table and list what is wrong with it; writes nothing.

    With --json the report goes to standard output. Raises InputError when the table can't be used
    as it is.
    """
    import sys
    from json import dumps

    from kgtextvec.errors import InputError
    from kgtextvec.progress import plural, say
    from kgtextvec.texts.check import check_table
    from kgtextvec.texts.write import say_node_ids, shown

    checked = checked_table(files, reading, used_by, graph, edges, names, header_file)
    report = check_table(checked, lists=json)
    if json:
        sys.stdout.write(dumps(report) + "\n")
        sys.stdout.flush()
    say_node_ids(checked)
    for warning in checked.findings.warnings():
        say(f"WARNING: {shown(files[0])}: {warning}")
    if report["outcome"] == "error":
        raise InputError(f"{shown(files[0])}: {checked.findings.error_message()}")
    say(f"{shown(files[0])}: {report['outcome']}, {plural(report['rows'], 'row')}")


def checked_table(
    files: Sequence[Path],
    reading: Reading,
    used_by: Sequence[Path],
    graph: Sequence[Path],
    edges: str,
    names: Sequence[Path],
    headers: Sequence[Path],
) -> "CheckedTable":
    """Return the table that both verbs check, not yet read."""
    from kgtextvec.texts.table import CheckedTable

    first, *more = files
    how = edges_of_json(edges)
    return CheckedTable(first, reading, used_by, graph, more, headers, edges=how, names=names)
