"""Users' files whose content changed in a way that Snakemake, which looks at dates, does not see.

A file that is moved, unpacked or copied over another one may keep a date older than the results.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kgtextvec.checksums import xxh3_of
from kgtextvec.errors import InputError
from kgtextvec.files import sha256_of
from kgtextvec.models.sources import watched_files
from kgtextvec.records import read_unedited
from kgtextvec.texts.sources import shown_path

from .inputs import without_wildcards

if TYPE_CHECKING:
    from .plan import Plan

# Files up to this size are always hashed, which takes milliseconds: a clock may have been set back.
ALWAYS_HASHED = 1 << 26
TEXTS_OUTPUTS = ("manifest.json", "rows.parquet", "findings.json")


def check_unseen_changes(plan: "Plan") -> None:
    """Raise InputError at a file that isn't the one that results were made of, and no younger."""
    compare_tables(plan)
    compare_models(plan)
    compare_alignments(plan)


def compare_models(plan: "Plan") -> None:
    """Compare the files of models that the user has with what was recorded of them."""
    folder = Path(plan.config.pathvars.get("resources", "resources")) / "downloads"
    for model in plan.all_models:
        record = folder / f"{model}.json"
        if model in plan.finetuned or not record.exists():
            continue
        watched = {Path(one).absolute() for one in watched_files(plan.entries[model]["source"])}
        try:
            files = read_unedited(record)["files"]
        except (InputError, KeyError, TypeError):  # reported where it is used
            continue
        for known in files:
            path = Path(known["path"]).absolute()
            if path in watched and is_unseen(path, [record], known["bytes"], known["sha256"]):
                raise error_of_change(f"catalogue, {model}.source", known["path"], record)


def compare_alignments(plan: "Plan") -> None:
    """Compare a trainer's files, which align.to names, with what was recorded of them."""
    align = plan.config.align
    results = Path(plan.config.pathvars.get("results", "results"))
    here = [one for one in plan.files(align.to) if "://" not in one] if align else []
    named = {Path(one).name: plan.file(one) for one in here}
    for record in sorted(results.glob("exports/aligned/*/*/manifest.json")) if named else ():
        try:
            recorded = read_unedited(record)["to"]
        except (InputError, KeyError, TypeError):  # made again, or reported by those who read it
            continue
        for known in recorded:
            path = named.get(known["file"])
            if path and is_unseen(Path(path), [record], None, known["sha256"]):
                raise error_of_change("config, align.to", path, record.parent)


def compare_tables(plan: "Plan") -> None:
    """Compare the files of tables, and the graph, with what was recorded of them."""
    results = Path(plan.config.pathvars.get("results", "results"))
    for table in plan.tables:
        made = results / "texts" / table
        outputs = [made / name for name in TEXTS_OUTPUTS]
        if not all(path.exists() for path in outputs):
            continue
        try:
            recorded = read_unedited(outputs[0])["sources"]
        except (InputError, KeyError, TypeError):  # reported where it is used; of earlier versions
            continue
        for key, path in files_of_table(plan, table):
            known = recorded.get(shown_path(without_wildcards(path)))
            if known and is_unseen(Path(path), outputs, known["bytes"], known["xxh3"]):
                raise error_of_change(key, path, made)


def files_of_table(plan: "Plan", table: str) -> Iterator[tuple[str, str]]:
    """Yield (key, path) of the files on this machine that a table is read from."""
    about = plan.tables[table]
    for key, asked in (
        (f"tables.{table}.file", about.file),
        (f"tables.{table}.header_file", about.header_file),
        (f"tables.{table}.used_by", about.used_by),
        ("graph.file", plan.graph_asked),
    ):
        for path in plan.files(asked):
            if "://" not in path:
                yield f"config, {key}", plan.file(path)


def is_unseen(path: Path, outputs: list[Path], size: int | None, digest: str) -> bool:
    """Return whether a file has other bytes than recorded, but a date before the results'.

    `digest` is an xxh3_128 or a sha256; `size` is None where it isn't recorded.
    """
    about = path.stat()
    dates = [one.stat().st_mtime_ns for one in outputs]
    if about.st_mtime_ns > min(dates):  # Snakemake compares it itself
        return False
    if size is not None and about.st_size != size:
        return True
    # A file that was put in place later has a later date in its inode.
    if about.st_size > ALWAYS_HASHED and about.st_ctime_ns <= min(dates):
        return False
    return (sha256_of if len(digest) == 64 else xxh3_of)(path) != digest


def error_of_change(key: str, path: str, made: Path) -> InputError:
    """Return the error of a file that Snakemake would take for the one that results are of."""
    return InputError(
        f"{key}: {path}: holds something else than when {made} was made of it, but its date is"
        f" older, so that Snakemake would keep the old results. Run touch {shlex.quote(path)}, or"
        f" delete {made}, then run again."
    )
