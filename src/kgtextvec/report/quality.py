"""The quality report of a table: findings on its rows, and tokenization by each model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from kgtextvec.errors import InputError
from kgtextvec.files import whole_file
from kgtextvec.pages import render_template
from kgtextvec.records import EmbeddedSpace, FindingRecord, TableFindings, read_record, write_record
from kgtextvec.report.effects import effects_on_vectors, truncated_rows

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


# What an effect is called on the page, and what it means for the vectors.
EFFECT_WORDS = {
    "name_only": (
        "Only a name as text",
        "The vector says what the model knows about the name, and no more. Add descriptions or"
        " synonyms, or compare with a text rule such as {label}: {name} (docs/compare.md).",
    ),
    "few_words": (
        "Fewer than three words",
        "So short a text gives the model little context, and abbreviations are read as words. Add"
        " columns to the text rule.",
    ),
    "shared_text": (
        "Text shared with another row",
        "Rows with the same text get the same vector: no model that starts from it can tell them"
        " apart before training. Add a column to the text rule, such as the name.",
    ),
    "truncated": (
        "Text cut",
        "What is beyond the model's input length has no influence on the vector. Put the most"
        " important column first, or set embed.long_text: window.",
    ),
}


def draw_quality(
    *,
    findings: Annotated[Path, "findings.json in the folder of the table's texts"],
    manifest: Annotated[list[Path] | None, "manifest.json of each model's full space"] = None,
    rows: Annotated[Path | None, "rows.parquet of the table's texts"] = None,
    texts: Annotated[Path | None, "folder of its distinct texts (shards)"] = None,
    out_json: Annotated[Path, "the figures"],
    out_html: Annotated[Path, "the same as a page"],
) -> None:
    """Write the quality report of one table as JSON and as a self-contained page.

    With `rows` and `texts` also what the texts do to the vectors, with examples; an index.parquet
    next to a manifest says which rows the model cut. Raises InputError if a file is missing or
    damaged, or belongs to another table.
    """
    found = read_record(findings, TableFindings)
    table = findings.resolve().parent.name
    spaces = [read_record(path, EmbeddedSpace) for path in manifest or []]
    for path, space in zip(manifest or [], spaces, strict=True):
        if space["table"] != table:
            raise InputError(
                f"{path}: is of the table {space['table']}, the findings are of {table}."
                " Give manifests of one table."
            )
    quality = summarize_quality(table, found, spaces)
    quality["effects"] = None
    if rows and texts:
        indexes = {
            space["model"]["name"]: path.with_name("index.parquet")
            for path, space in zip(manifest or [], spaces, strict=True)
        }
        cut = {name: truncated_rows(path) for name, path in indexes.items() if path.exists()}
        quality["effects"] = effects_on_vectors(rows, texts, cut)
    write_record(out_json, quality)
    with whole_file(out_html, record_digest=True) as part:
        part.write_text(
            render_template(
                "report/templates/quality.html",
                q=quality,
                shown=shown_parts(quality),
                effect_words=EFFECT_WORDS,
            ),
            "utf-8",
        )


def summarize_quality(
    table: str, found: TableFindings, spaces: Sequence[EmbeddedSpace]
) -> dict[str, Any]:
    """Combine the findings on a table with the counts of its models; JSON-able.

    Counts are of rows (rows, empty, duplicate, over_long), of distinct texts (texts), of
    characters (odd_characters) or of tokens; shares are between 0 and 1.
    """
    models = {space["model"]["name"]: model_counts(space) for space in spaces}
    listed = found["findings"]
    return {
        "table": table,
        "outcome": found["outcome"],
        "rows": found["rows"],
        "texts": found["distinct_texts"],
        "labels": largest_first(found["labels"]),
        "empty": sum(one["count"] for one in listed if one["kind"] in EMPTY_KINDS),
        "duplicate": sum(found["duplicates"].values()),
        "duplicate_by_kind": largest_first(found["duplicates"]),
        "odd_characters": sum(found["odd_characters"].values()),
        "odd_characters_by_kind": largest_first(found["odd_characters"]),
        "text_from": largest_first(found["text_from"]),
        "lengths": {unit: values for unit, values in found["lengths"].items() if values},
        "over_long": {name: one["over_long"] for name, one in models.items()},
        "unknown_share": {name: one["unknown_share"] for name, one in models.items()},
        "models": models,
        "findings": [
            {key: one.get(key) for key in FindingRecord.__annotations__}
            for one in sorted(listed, key=lambda one: one["level"] != "error")
        ],
    }


def model_counts(space: EmbeddedSpace) -> dict[str, Any]:
    """Return what a model's manifest says of the table's rows and tokens; JSON-able."""
    counts = space["counts"]
    return {
        "rows": space["rows"],
        "texts": space["texts"],
        "max_tokens": space["max_tokens"],
        "long_text": space["long_text"],
        "over_long": counts["truncated"],
        "over_long_share": share_of(counts["truncated"], space["rows"]),
        "tokens": counts["tokens"],
        "unknown_tokens": counts["unknown_tokens"],
        "unknown_share": share_of(counts["unknown_tokens"], counts["tokens"]),
    }


def share_of(part: int, total: int) -> float:
    """Return part / total, 0 of nothing being 0."""
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
