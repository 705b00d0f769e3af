"""The quality report of a table: what reading it found, and what each model made of its texts."""

import argparse
from pathlib import Path
from typing import Any

from kgtextvec.errors import InputError
from kgtextvec.files import read_json, whole_file, write_json
from kgtextvec.report.pages import page

LABELS_SHOWN = 60
MEASURES = {
    "p0": "shortest",
    "p5": "5 in 100 are at most",
    "p25": "a quarter are at most",
    "p50": "half are at most",
    "p75": "three quarters are at most",
    "p95": "95 in 100 are at most",
    "p99": "99 in 100 are at most",
    "p100": "longest",
    "mean": "mean",
    "total": "all together",
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

    `manifest` lists the full space of each model that read the table; none is fine, too. Raises
    InputError if a file is missing, is not JSON, or tells of another table.
    """
    found = mapping_in(findings)
    read = [(path, mapping_in(path)) for path in manifest]
    table = found.get("table") or findings.resolve().parent.name
    for path, one in read:
        if one.get("table", table) != table:
            raise InputError(
                f"{path}: is of the table {one['table']}, the findings are of {table}."
                " Give manifests of one table."
            )
    quality = quality_of(table, found, [one for _, one in read])
    write_json(out_json, quality)
    with whole_file(out_html) as part:
        part.write_text(page("quality.html", q=quality, drawn=drawn(quality)), "utf-8")


def mapping_in(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises InputError if the file holds something else."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds no JSON object. Delete it and rerun its step.")
    return value


def quality_of(
    table: str, found: dict[str, Any], manifests: list[dict[str, Any]]
) -> dict[str, Any]:
    """Bring the findings on a table and the counts of its models together.

    Counts are of rows (rows, empty, duplicate, over_long), of distinct texts (texts), of
    characters (odd_characters) or of tokens; shares lie between 0 and 1. What the findings do not
    tell is None: not known is not zero.
    """
    models = {model_name(one): model_counts(one) for one in manifests}
    texts = number(found.get("texts"), found.get("distinct_texts"))
    if texts is None:
        texts = next((one["texts"] for one in models.values() if one["texts"] is not None), None)
    return {
        "table": table,
        "outcome": found.get("outcome"),
        "rows": number(found.get("rows")),
        "texts": texts,
        "labels": counts_in(found.get("labels")),
        "empty": total(found.get("empty"), found.get("findings"), "empty_text", "no_text"),
        "duplicate": total(
            found.get("duplicates"), found.get("findings"), "duplicate_rows", "duplicate_keys"
        ),
        "duplicate_by_kind": counts_in(found.get("duplicates")),
        "odd_characters": total(found.get("odd_characters"), None),
        "odd_characters_by_kind": counts_in(found.get("odd_characters")),
        "text_from": counts_in(found.get("text_from")),
        "lengths": lengths_in(found.get("lengths")),
        "over_long": {name: one["over_long"] for name, one in models.items()},
        "unknown_share": {name: one["unknown_share"] for name, one in models.items()},
        "models": models,
        "findings": findings_in(found.get("findings")),
    }


def model_name(manifest: dict[str, Any]) -> str:
    """Return the name of the model that a manifest tells of."""
    model = manifest.get("model")
    name = model.get("name") or model.get("model") if isinstance(model, dict) else model
    return str(name or "unnamed")


def model_counts(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return what a model's manifest tells of the rows; None where it does not."""
    counts = manifest.get("counts")
    counts = counts if isinstance(counts, dict) else {}
    rows, over_long = number(manifest.get("rows")), number(counts.get("truncated"))
    tokens, unknown = number(counts.get("tokens")), number(counts.get("unknown_tokens"))
    return {
        "rows": rows,
        "texts": number(manifest.get("texts")),
        "max_tokens": number(manifest.get("max_tokens")),
        "long_text": manifest.get("long_text"),
        "over_long": over_long,
        "over_long_share": part_of(over_long, rows),
        "tokens": tokens,
        "unknown_tokens": unknown,
        "unknown_share": part_of(unknown, tokens),
    }


def number(*values: Any) -> int | float | None:
    """Return the first of `values` that is a number, or None."""
    return next((x for x in values if isinstance(x, int | float) and not isinstance(x, bool)), None)


def part_of(some: int | float | None, whole: int | float | None) -> float | None:
    """Return some / whole, 0 of nothing being 0; None if either is not known."""
    if some is None or whole is None:
        return None
    return some / whole if whole else 0.0


def counts_in(value: Any) -> dict[str, int] | None:
    """Return a mapping of counts, the largest first, ties by name; None if not told."""
    if not isinstance(value, dict):
        return None
    counts = {str(name): n for name, n in value.items() if number(n) is not None}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def total(told: Any, listed: Any, *kinds: str) -> int | float | None:
    """Return `told` if it is a count, the sum if it is counts by kind.

    If it is neither, count the findings `listed` of the given kinds: there, what is not listed
    was not found. None if there are no findings to count either.
    """
    if number(told) is not None:
        return number(told)
    if isinstance(told, dict):
        return sum((counts_in(told) or {}).values())
    if not isinstance(listed, list):
        return None
    return sum(one["count"] or 0 for one in findings_in(listed) if one["kind"] in kinds)


def lengths_in(lengths: Any) -> dict[str, dict[str, int | float]] | None:
    """Return the statistics of text lengths by unit: {"words": {"p50": 8, …}}; None if none."""
    if not isinstance(lengths, dict):
        return None
    units = {
        str(unit): {str(name): one for name, one in values.items() if number(one) is not None}
        for unit, values in lengths.items()
        if isinstance(values, dict)
    }
    return {unit: values for unit, values in units.items() if values} or None


def findings_in(listed: Any) -> list[dict[str, Any]]:
    """Return the findings, errors first, each with kind, level, count, line and message."""
    rows = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    told = [
        {
            "kind": str(one.get("kind", "")),
            "level": "error" if one.get("level") == "error" else "warn",
            "count": number(one.get("count")),
            "line": number(one.get("line")),
            "message": str(one.get("message", "")),
        }
        for one in rows
    ]
    return sorted(told, key=lambda one: one["level"] != "error")


def drawn(quality: dict[str, Any]) -> dict[str, Any]:
    """Return what the page shows of labels and lengths, ready to be laid out.

    `labels` is [(label, rows, share of all, width 0..100)], `hidden` how many more there are,
    `units` the units of length, `measures` [(name, [value per unit or None])].
    """
    labels, lengths = quality["labels"] or {}, quality["lengths"] or {}
    rows, most = sum(labels.values()), max(labels.values(), default=0)
    names = dict.fromkeys(name for values in lengths.values() for name in values)
    return {
        "labels": [
            (label, n, part_of(n, rows), 100 * n / most if most else 0.0)
            for label, n in list(labels.items())[:LABELS_SHOWN]
        ],
        "hidden": max(len(labels) - LABELS_SHOWN, 0),
        "units": list(lengths),
        "measures": [
            (MEASURES.get(name, name), [values.get(name) for values in lengths.values()])
            for name in sorted(names, key=lambda name: [*MEASURES, name].index(name))
        ],
    }
