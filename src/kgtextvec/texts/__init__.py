"""The texts step: tables read strictly, distinct texts dealt to shards, all findings listed."""

import argparse
from pathlib import Path

KINDS = ("entities", "relation_types")


def read_texts(
    file: Path,
    table: str,
    kind: str,
    text: str | None,
    shards: int,
    empty_text: str,
    duplicates: str,
    bad_lines: str,
    encoding: str,
    quoting: str,
    allow_empty: bool,
    text_clean: str,
    used_by: Path | None,
    out_dir: Path,
) -> None:
    """Read a table strictly and write its rows and its distinct texts in `shards` shards.

    Writes rows.parquet, shards/{shard}.parquet, findings.json and manifest.json into `out_dir`,
    all of them or none. Raises InputError with all that is wrong (up to 20 findings).
    """
    from kgtextvec.texts.table import Settings, Table
    from kgtextvec.texts.write import write_texts

    settings = Settings(
        kind,
        text,
        empty_text,
        duplicates,
        bad_lines,
        encoding,
        quoting,
        allow_empty,
        text_clean,
        used_by,
    )
    write_texts(Table(file, settings), table, shards, out_dir)


def read_texts_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of read-texts."""
    parser.add_argument("--table", required=True, help="the table's name in the config")
    parser.add_argument("--shards", type=int, default=1, help="number of shards (default: 1)")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder to write into")
    table_arguments(parser)


def lint(
    file: Path,
    kind: str,
    text: str | None,
    empty_text: str,
    duplicates: str,
    bad_lines: str,
    encoding: str,
    quoting: str,
    allow_empty: bool,
    text_clean: str,
    used_by: Path | None,
    json: bool,
) -> None:
    """Check a table and tell what is wrong; with `json` as JSON on standard output.

    Raises InputError when the table can't be used as it is.
    """
    import sys
    from json import dumps

    from kgtextvec.errors import InputError
    from kgtextvec.progress import say
    from kgtextvec.texts.check import check_table
    from kgtextvec.texts.table import Settings, Table
    from kgtextvec.texts.write import shown

    settings = Settings(
        kind,
        text,
        empty_text,
        duplicates,
        bad_lines,
        encoding,
        quoting,
        allow_empty,
        text_clean,
        used_by,
    )
    checked = Table(file, settings)
    report = check_table(checked, lists=json)
    if json:
        sys.stdout.write(dumps(report) + "\n")
        sys.stdout.flush()
    for warning in checked.findings.warnings():
        say(f"WARNING: {shown(file)}: {warning}")
    if report["outcome"] == "error":
        raise InputError(f"{shown(file)}: {checked.findings.error_message()}")
    say(f"{shown(file)}: {report['outcome']}, {report['rows']:,} rows")


def lint_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of lint."""
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    table_arguments(parser)


def table_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what says how a table is read; docs/inputs.md tells each policy."""
    yes_no = argparse.BooleanOptionalAction
    add = parser.add_argument
    add("file", type=Path, help="the table: .tsv, plain or packed by gzip, zstd or xz")
    add("--kind", required=True, choices=KINDS, help="what the rows are")
    add(
        "--text",
        help="columns, the first that isn't empty is the text, such as description,name; or a"
        " template such as '{label}: {name}. {description}' (default: description,name for"
        " entities, description for relation types)",
    )
    add(
        "--empty-text",
        choices=("error", "name", "skip"),
        default="error",
        help="a row without text: refuse the table, take its name, or leave it out",
    )
    add(
        "--duplicates",
        choices=("warn", "error", "ok"),
        default="warn",
        help="rows that repeat the key (id and label, or relation_type) of an earlier one",
    )
    add(
        "--bad-lines",
        choices=("error", "skip"),
        default="error",
        help="lines that can't be read: refuse the table, or leave them out",
    )
    add("--encoding", default="utf-8", help="the table's encoding (default: utf-8)")
    add(
        "--quoting",
        choices=("minimal", "none"),
        default="minimal",
        help="minimal: fields may be quoted; none: a quote is a character like any other",
    )
    add("--allow-empty", action=yes_no, default=False, help="accept a table without rows")
    add(
        "--text-clean",
        choices=("standard", "nfc", "none"),
        default="standard",
        help="standard: white space and control characters become one blank; nfc: that, and"
        " letters composed; none: texts exactly as they are",
    )
    add("--used-by", type=Path, help="triples (head, relation, tail): keep only the rows they use")
