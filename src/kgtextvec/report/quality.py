"""The quality report of a table: findings on its rows, and tokenization by each model."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kgtextvec.errors import InputError
from kgtextvec.files import read_record, whole_file, write_json
from kgtextvec.pages import render_template
from kgtextvec.report.records import SpaceManifest, TableFindings, read_manifest

LABELS_SHOWN = 60
EMPTY_KINDS = ("empty_text", "no_text")
MEASURES = {
    "p0": "shortest",
    "p5": "5th percentile",
    "p25": "25th percentile",
    "p50": "median",
    "p75": "75th percentile",
    "p95": "95th percentile",
    "p99": "99th percentile",
    "p100": "longest",
    "mean": "mean",
    "total": "total",
}


def draw_quality_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of draw-quality."""
    parser.add_argument("--findings", type=Path, required=True, help="findings.json of the table")
    parser.add_argument(
        "--manifest",
        type=Path,
        nargs="*",
        action="extend",
        default=[],
        help="manifest.json of the table's full space, one per model",
    )
    parser.add_argument("--out-json", type=Path, required=True, help="the figures")
    parser.add_argument("--out-html", type=Path, required=True, help="the same as a page")


def draw_quality(findings: Path, manifest: list[Path], out_json: Path, out_html: Path) -> None:
    """Write the quality report of one table as JSON and as a self-contained page.

    `findings` is the findings.json in the folder of the table's texts; `manifest` lists the full
    space of each model that read the table, possibly none. Raises InputError if a file is missing
    or damaged, or belongs to another table.
    """
    found = read_record(findings, TableFindings, "the findings on a table")
    table = findings.resolve().parent.name
    spaces = []
    for path in manifest:
        space = read_manifest(path)
        if space.table != table:
            raise InputError(
                f"{path}: is of the table {space.table}, the findings are of {table}."
                " Give manifests of one table."
            )
        spaces.append(space)
    quality = summarize_quality(table, found, spaces)
    write_json(out_json, quality)
    with whole_file(out_html) as part:
        part.write_text(
            render_template("report/templates/quality.html", q=quality, shown=shown_parts(quality)),
            "utf-8",
        )


def summarize_quality(
    table: str, found: TableFindings, spaces: Sequence[SpaceManifest]
) -> dict[str, Any]:
    """Combine the findings on a table with the counts of its models; JSON-able.

    Counts are of rows (rows, empty, duplicate, over_long), of distinct texts (texts), of
    characters (odd_characters) or of tokens; shares are between 0 and 1.
    """
    models = {space.model.name: model_counts(space) for space in spaces}
    return {
        "table": table,
        "outcome": found.outcome,
        "rows": found.rows,
        "texts": found.distinct_texts,
        "labels": largest_first(found.labels),
        "empty": sum(one.count for one in found.findings if one.kind in EMPTY_KINDS),
        "duplicate": sum(found.duplicates.values()),
        "duplicate_by_kind": largest_first(found.duplicates),
        "odd_characters": sum(found.odd_characters.values()),
        "odd_characters_by_kind": largest_first(found.odd_characters),
        "text_from": largest_first(found.text_from),
        "lengths": {unit: values for unit, values in found.lengths.items() if values},
        "over_long": {name: one["over_long"] for name, one in models.items()},
        "unknown_share": {name: one["unknown_share"] for name, one in models.items()},
        "models": models,
        "findings": [
            {"kind": one.kind, "level": one.level, "count": one.count, "line": one.line,
             "message": one.message}
            for one in sorted(found.findings, key=lambda one: one.level != "error")
        ],
    }  # fmt: skip


def model_counts(space: SpaceManifest) -> dict[str, Any]:
    """Return what a model's manifest says of the table's rows and tokens; JSON-able."""
    counts = space.counts
    return {
        "rows": space.rows,
        "texts": space.texts,
        "max_tokens": space.max_tokens,
        "long_text": space.long_text,
        "over_long": counts.truncated,
        "over_long_share": share_of(counts.truncated, space.rows),
        "tokens": counts.tokens,
        "unknown_tokens": counts.unknown_tokens,
        "unknown_share": share_of(counts.unknown_tokens, counts.tokens),
    }


def share_of(part: int | None, total: int | None) -> float | None:
    """Return part / total, 0 of nothing being 0; None if either is not known."""
    if part is None or total is None:
        return None
    return part / total if total else 0.0


def largest_first(counts: dict[str, int]) -> dict[str, int]:
    """Order counts from the largest, equal ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def shown_parts(quality: dict[str, Any]) -> dict[str, Any]:
    """Return what the page shows of labels and lengths.

    `labels` is [(label, rows, share of all, width 0..100)], `hidden` how many more there are,
    `units` the units of length, `measures` [(name, [value per unit or None])].
    """
    labels, lengths = quality["labels"], quality["lengths"]
    rows, most = sum(labels.values()), max(labels.values(), default=0)
    names = dict.fromkeys(name for values in lengths.values() for name in values)
    return {
        "labels": [
            (label, n, share_of(n, rows), 100 * n / most if most else 0.0)
            for label, n in list(labels.items())[:LABELS_SHOWN]
        ],
        "hidden": max(len(labels) - LABELS_SHOWN, 0),
        "units": list(lengths),
        "measures": [
            (MEASURES[name], [values.get(name) for values in lengths.values()])
            for name in MEASURES
            if name in names
        ],
    }
