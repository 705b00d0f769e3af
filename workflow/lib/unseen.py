"""Users' files whose content changed in a way that Snakemake, which looks at dates, does not see.

A file that is moved, unpacked or copied over another one may keep a date older than the results.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, product
from pathlib import Path
from typing import TYPE_CHECKING

from kgtextvec.checksums import xxh3_of
from kgtextvec.errors import InputError
from kgtextvec.files import sha256_of
from kgtextvec.models.sources import watched_files
from kgtextvec.records import read_unedited
from kgtextvec.source_files import shown_path

from .inputs import without_wildcards
from .named import corpora_of

if TYPE_CHECKING:
    from .plan import Plan

# Files up to this size are always hashed, which takes milliseconds: a clock may have been set back.
ALWAYS_HASHED = 1 << 26
TEXTS_OUTPUTS = ("manifest.json", "rows.parquet", "findings.json")


@dataclass(frozen=True)
class MadeOfFiles:
    """What is made of users' files, by config key; its record is the first of `outputs`."""

    made: Path
    outputs: list[Path]
    files: list[tuple[str, str]]


def check_unseen_changes(plan: "Plan") -> None:
    """Raise InputError at a file that isn't the one that results were made of, and no younger."""
    hash_once.cache_clear()
    results = Path(plan.config.pathvars.get("results", "results"))
    for made in chain(
        of_tables(plan, results), of_trainings(plan, results), of_scores(plan, results),
        of_probes(plan, results),
    ):  # fmt: skip
        compare(made)
    compare_models(plan)
    compare_alignments(plan)


def compare(result: MadeOfFiles) -> None:
    """Compare files with what was recorded of them. Raises InputError at the first that differs."""
    if not result.files or not all(path.exists() for path in result.outputs):
        return
    try:
        recorded = read_unedited(result.outputs[0])["sources"]
    except (InputError, KeyError, TypeError):  # reported where it is used; of earlier versions
        return
    for key, path in result.files:
        names = shown_path(without_wildcards(path)), shown_path(path)
        known = recorded.get(names[0]) or recorded.get(names[1])
        if known and is_unseen(Path(path), result.outputs, known["bytes"], known["xxh3"]):
            raise error_of_change(f"config, {key}", path, result.made)


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


def of_tables(plan: "Plan", results: Path) -> Iterator[MadeOfFiles]:
    """Yield the texts of each table."""
    for name, table in plan.tables.items():
        asked = {
            f"tables.{name}.file": table.file,
            f"tables.{name}.header_file": table.header_file,
            f"tables.{name}.used_by": table.used_by,
            "graph.file": plan.graph_asked,
        }
        made = results / "texts" / name
        yield MadeOfFiles(made, [made / one for one in TEXTS_OUTPUTS], local_files(plan, asked))


def of_scores(plan: "Plan", results: Path) -> Iterator[MadeOfFiles]:
    """Yield the scores of each space of a table of entities, and its link prediction."""
    asked = {
        "graph.file": plan.graph_asked,
        "evaluate.test_triples": plan.config.evaluate.test_triples,
    }
    files = local_files(plan, asked)
    for model, table in product(plan.models, plan.tables_of("entities")):
        for space in plan.spaces if plan.config.evaluate.scores else ():
            folder = results / model / table / space
            scores = folder / "scores.json"
            yield MadeOfFiles(scores, [scores, folder / "scores_by_row.parquet"], files)
        for space in plan.link_spaces if plan.links else ():
            links = results / model / table / space / "link_prediction.json"
            yield MadeOfFiles(links, [links], files)


def of_trainings(plan: "Plan", results: Path) -> Iterator[MadeOfFiles]:
    """Yield the record of each fine-tuning; a table's texts are compared with the table."""
    for model, wanted in plan.finetuned.items():
        asked = {
            f"finetune.{model}.text": None if wanted.text in plan.tables else wanted.text,
            f"finetune.{model}.held_out": wanted.held_out,
        }
        named = {key: value for key, value in asked.items() if isinstance(value, str)}
        record = results / model / "finetune.json"
        outputs = [record, record.with_name("finetune.tsv")]
        yield MadeOfFiles(record, outputs, local_files(plan, named))


def of_probes(plan: "Plan", results: Path) -> Iterator[MadeOfFiles]:
    """Yield the results of each probe of each model."""
    for probe in plan.probes:
        files = local_files(plan, dict(corpora_of(plan, probe)))
        for model in plan.models:
            record = results / model / "probes" / f"{probe}.json"
            predictions = record.with_name(f"{probe}.predictions.jsonl.gz")
            yield MadeOfFiles(record, [record, predictions], files)


def local_files(
    plan: "Plan", asked: Mapping[str, str | Sequence[str] | None]
) -> list[tuple[str, str]]:
    """Return (key, path) of the files on this machine that keys of the config name."""
    return [
        (key, plan.file(path))
        for key, value in asked.items()
        for path in plan.files(value)
        if "://" not in path
    ]


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
    return hash_once(path, len(digest) == 64) != digest


@cache
def hash_once(path: Path, by_sha256: bool) -> str:
    """Return a file's digest; a graph is compared for each space, and hashed once a check."""
    return (sha256_of if by_sha256 else xxh3_of)(path)


def error_of_change(key: str, path: str, made: Path) -> InputError:
    """Return the error of a file that Snakemake would take for the one that results are of."""
    return InputError(
        f"{key}: {path}: holds something else than when {made} was made of it, but its date is"
        f" older, so that Snakemake would keep the old results. Run touch {shlex.quote(path)}, or"
        f" delete {made}, then run again."
    )
