"""read-texts: a checked table as rows, shards of distinct texts, a manifest and findings."""

import os
import platform
import shutil
from pathlib import Path
from typing import Any

from kgtextvec import __version__
from kgtextvec.errors import InputError
from kgtextvec.files import as_input_error, remove_leftovers, sha256_of, sync_folder, temporary_name
from kgtextvec.part_files import name_of_parts
from kgtextvec.progress import plural, say
from kgtextvec.records import TextsManifest, write_record
from kgtextvec.settings.base import changed, pick
from kgtextvec.settings.tables import Reading
from kgtextvec.source_files import SourceFiles
from kgtextvec.texts import RECIPE
from kgtextvec.texts.check import refused, report
from kgtextvec.texts.findings import plain
from kgtextvec.texts.table import CheckedTable

# What a table's findings depend on, besides the kind of its rows and the text rule. Those of the
# first version are recorded at their defaults, too.
POLICIES = (
    "empty_text",
    "duplicates",
    "bad_lines",
    "encoding",
    "quoting",
    "allow_empty",
    "text_clean",
)


def write_texts(
    table: CheckedTable, name: str, shards: int, out_dir: Path, sources: SourceFiles
) -> None:
    """Read a table and write rows.parquet, shards/, findings.json and manifest.json.

    Nothing appears under a final name before everything is written; the manifest comes last.
    `sources`: what is read. Raises InputError when the table can't be used, when a file changes
    meanwhile, or the disk is full.
    """
    import pyarrow

    from kgtextvec.texts.shards import Spill, write_rows, write_shards

    made = [one for one in (out_dir, *out_dir.parents) if not one.exists()]
    part = temporary_name(out_dir / "texts")
    done = False
    try:
        part.mkdir(parents=True)
        remove_leftovers(out_dir.absolute())
        spill = Spill(part)
        with refused(table):
            for rows in table.rows():
                if table.findings.outcome != "error":
                    spill.add(rows)
        spill.close()
        if table.findings.outcome == "error":
            raise InputError(f"{shown(table.path)}: {table.findings.error_message()}")
        digest = write_rows(
            spill,
            part / "rows.parquet",
            table.quality.digests(),
            table.quality.text_index,
            table.settings.kind,
        )
        (part / "shards").mkdir()
        shards_written = write_shards(spill, part / "shards", shards)
        manifest: TextsManifest = {
            "table": name,
            "kind": table.settings.kind,
            "file": shown(table.path.with_name(name_of_parts(table.files))),
            "text": table.rule.rule,
            "policies": recorded_policies(table.settings),
            "used_by": (
                shown(table.used_by[0].with_name(name_of_parts(table.used_by)))
                if table.used_by
                else None
            ),
            "sources": sources.record(),
            "rows": table.quality.rows,
            "texts": table.quality.distinct_texts,
            "digest": digest,
            "rows_sha256": sha256_of(part / "rows.parquet"),
            "shards": shards_written,
            "recipe": RECIPE["read_texts"],
            "versions": {
                "kgtextvec": __version__,
                "python": platform.python_version(),
                "pyarrow": pyarrow.__version__,
            },
        }
        if table.node_ids.recorded:
            manifest["node_id"] = table.node_ids.recorded
        write_record(part / "findings.json", report(table, lists=False))
        write_record(part / "manifest.json", manifest)
        put_in_place(part, out_dir)
        done = True
    except OSError as error:
        raise as_input_error(error, out_dir) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        for folder in made if not done else []:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    say_node_ids(table)
    for warning in table.findings.warnings():
        say(f"WARNING: {shown(table.path)}: {warning}")
    texts = plural(manifest["texts"], "distinct text")
    say(f"{plural(table.quality.rows, 'row')}, {texts}, {plural(shards, 'shard')}")


def say_node_ids(table: CheckedTable) -> None:
    """Log what node ids are, where a graph or the ids themselves decided it."""
    if table.node_ids.graph or table.node_ids.recorded:
        say(f"{shown(table.path)}: {table.node_ids.summary_line}")


def recorded_policies(settings: Reading) -> dict[str, Any]:
    """Return the settings, besides kind and text, that decide what is read; JSON-able."""
    policies = {name: getattr(settings, name) for name in POLICIES}
    others = changed(pick(Reading, settings), acts="vectors")
    return policies | {key: one for key, one in others.items() if key not in ("kind", "text")}


def put_in_place(part: Path, out_dir: Path) -> None:
    """Move what was written to its final names, the manifest last and its old one first away."""
    for file in part.rglob("*"):
        if file.suffix in {".parquet", ".json"}:
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
    (out_dir / "manifest.json").unlink(missing_ok=True)
    old = part / "old-shards"
    if (out_dir / "shards").exists():
        (out_dir / "shards").rename(old)
    for name in ("shards", "rows.parquet", "findings.json", "manifest.json"):
        (part / name).rename(out_dir / name)
    sync_folder(out_dir)


def shown(path: Path) -> str:
    """Return a path that can be printed and stored, whatever bytes its name is made of."""
    return plain(str(path), 1000)
