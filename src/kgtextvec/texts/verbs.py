"""The verbs of the step: read a table for the workflow, or check it alone."""

from pathlib import Path
from typing import Annotated

from kgtextvec.settings.edges import EdgesFlag, edges_of_json
from kgtextvec.settings.tables import Reading, Sharding

TableFiles = Annotated[
    list[Path],
    "the table: delimited text, Parquet, JSON lines or .xlsx, plain or compressed by gzip, zstd or"
    " xz; several files are read as one",
]
HeaderFile = Annotated[
    list[Path] | None, "a file with the header; of several, each table file has the one named alike"
]
NamesOfFacts = Annotated[list[Path], "for facts: folders of texts that name their parts"]
GraphFile = Annotated[Path | None, "the graph's edges: what it calls the rows"]
UsedBy = Annotated[Path | None, "a graph's edges: keep only the rows they use"]


def read_texts(
    files: TableFiles,
    *,
    table: Annotated[str, "the table's name in the config"],
    out_dir: Annotated[Path, "folder to write into"],
    reading: Sharding,
    used_by: UsedBy = None,
    graph: GraphFile = None,
    edges: EdgesFlag = "",
    names: NamesOfFacts = [],  # noqa: B006
    header_file: HeaderFile = None,
) -> None:
    """Read a table strictly and write its rows and its distinct texts in shards.

    Writes rows.parquet, shards/{shard}.parquet, findings.json and manifest.json into the folder,
    all of them or none. Raises InputError with all that is wrong (up to 20 findings).
    """
    from kgtextvec.texts.table import CheckedTable
    from kgtextvec.texts.write import write_texts

    checked = CheckedTable(
        files[0],
        reading,
        used_by,
        graph,
        files[1:],
        header_file or (),
        edges=edges_of_json(edges),
        names=names,
    )
    write_texts(checked, table, reading.shards, out_dir)


def lint(
    files: TableFiles,
    *,
    reading: Reading,
    used_by: UsedBy = None,
    graph: GraphFile = None,
    edges: EdgesFlag = "",
    names: NamesOfFacts = [],  # noqa: B006
    header_file: HeaderFile = None,
    json: Annotated[bool, "print the report as JSON"] = False,
) -> None:
    """Check a table and list what is wrong with it; writes nothing.

    With --json the report goes to standard output. Raises InputError when the table can't be used
    as it is.
    """
    import sys
    from json import dumps

    from kgtextvec.errors import InputError
    from kgtextvec.progress import say
    from kgtextvec.texts.check import check_table
    from kgtextvec.texts.table import CheckedTable
    from kgtextvec.texts.write import say_node_ids, shown

    checked = CheckedTable(
        files[0],
        reading,
        used_by,
        graph,
        files[1:],
        header_file or (),
        edges=edges_of_json(edges),
        names=names,
    )
    report = check_table(checked, lists=json)
    if json:
        sys.stdout.write(dumps(report) + "\n")
        sys.stdout.flush()
    say_node_ids(checked)
    for warning in checked.findings.warnings():
        say(f"WARNING: {shown(files[0])}: {warning}")
    if report["outcome"] == "error":
        raise InputError(f"{shown(files[0])}: {checked.findings.error_message()}")
    say(f"{shown(files[0])}: {report['outcome']}, {report['rows']:,} rows")
