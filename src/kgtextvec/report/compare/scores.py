"""What the compare page reads: scores.tsv, and of each space its manifest, its notes, its bytes."""

import csv
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from kgtextvec.errors import InputError
from kgtextvec.pairs import SUMS_FILE, ItemSums, read_item_sums
from kgtextvec.records import EmbeddedSpace, ScoreCard, TextsManifest, read_record
from kgtextvec.registry import SCORES
from kgtextvec.settings.scores import Scoring

SCORE_COLUMNS = ("model", "table", "space", "score", "by", "group", "method", "metric", "value")
OWN_METHOD = "vectors"  # the method that is the space itself; every other one is a baseline


@cache
def known_scores() -> dict[str, Any]:
    """Return the scores that describe themselves (evaluate's `SCORE`), in the order of the page."""
    names = dict.fromkeys([*Scoring().scores, *SCORES.names()])
    return {name: SCORES[name] for name in names}


NPY_HEADER = 128  # bytes before the numbers of an embeddings.npy


@dataclass(frozen=True)
class ScoreValue:
    """A number with the ends of its 95 % interval; None is not known, which is not zero."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class ScoreLine:
    """A line of scores.tsv."""

    model: str
    table: str
    space: str
    score: str
    by: str
    group: str
    method: str
    metric: str
    found: ScoreValue


@dataclass(frozen=True, eq=False)
class ComparedSpace:
    """A space: what it is, what it cost, what it scores over all (score, method, metric).

    It equals itself alone, so that what was computed of it can be kept.

    `items`: what each row adds to a score, by which spaces are compared in pairs.

    `seconds` are those of the run that made the vectors, in which `embedded` of `texts` went
    through the model; the others came from the store. None is not known.
    """

    model: str
    table: str
    space: str
    kind: str = "entities"
    dims: int | None = None
    rows: int | None = None
    file: str | None = None
    text: str | None = None
    n_bytes: int | None = None
    parameters: int | None = None
    precision: str | None = None
    devices: str | None = None
    texts: int | None = None
    embedded: int | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    scores: dict[tuple[str, str, str], ScoreValue] = field(default_factory=dict)
    items: dict[str, ItemSums] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return model and space: `bioelmo pca400`."""
        return f"{self.model} {self.space}"

    @property
    def speed(self) -> float | None:
        """Return texts per second of those that were really embedded; None if none were."""
        return self.embedded / self.seconds if self.embedded and self.seconds else None

    def get(self, score: str, metric: str, method: str = OWN_METHOD) -> ScoreValue | None:
        """Return a score, or None if it was not computed."""
        return self.scores.get((score, method, metric))


def read_rows(path: Path, over_all: Collection[str]) -> list[ScoreLine]:
    """Read scores.tsv; lines without a value are left out. Raises InputError if it is none.

    Of the scores named in `over_all`, lines of groups are left out too: no part of the page shows
    them, and relations make them by far the most.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            missing = [name for name in SCORE_COLUMNS if name not in (lines.fieldnames or ())]
            if missing:
                raise InputError(f"{path}: has no column {missing[0]}. Delete it and rerun.")
            wanted = (ln for ln in lines if ln["by"] == "all" or ln["score"] not in over_all)
            return [row for row in map(parse_score_line, wanted) if row]
    except FileNotFoundError:
        raise InputError(f"{path}: not there. Run collect-scores first.") from None
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not a table of scores ({error}). Delete it and rerun.") from None


def parse_score_line(line: dict[str, str]) -> ScoreLine | None:
    """Read a line of scores.tsv; None if it holds no number."""
    value, low, high = (parse_number(line.get(name)) for name in ("value", "low", "high"))
    if value is None:
        return None
    n = parse_number(line.get("n"))
    if low is None or high is None:
        low = high = None
    found = ScoreValue(value, low, high, None if n is None else int(n))
    return ScoreLine(**{name: line[name] for name in SCORE_COLUMNS[:-1]}, found=found)


def parse_number(word: str | None) -> float | None:
    """Read a finite number; nothing (or NaN) is None."""
    number = float(word) if word else None
    return number if number is not None and math.isfinite(number) else None


def read_spaces(
    folders: Iterable[Path], texts: Iterable[Path], rows: Sequence[ScoreLine]
) -> list[ComparedSpace]:
    """Read the spaces in the order given: folders of spaces, manifests of tables, all scores.

    A folder may be given by its manifest.json. All spaces of one model and table have the costs
    that the full one's manifest records: it is the newest.
    """
    tables = [read_record(path, TextsManifest) for path in texts]
    files = {table["table"]: table["file"] for table in tables}
    by_space: dict[tuple[str, str, str], dict[tuple[str, str, str], ScoreValue]] = {}
    for row in rows:
        if row.by == "all":
            scores = by_space.setdefault((row.model, row.table, row.space), {})
            scores[row.score, row.method, row.metric] = row.found
    read = [
        (folder, read_record(folder / "manifest.json", EmbeddedSpace))
        for folder in map(folder_of, folders)
    ]
    newest = {
        (space["model"]["name"], space["table"]): space
        for _, space in sorted(read, key=lambda one: one[1]["space"] == "full")
    }
    spaces = []
    for folder, space in read:
        model = space["model"]
        made = newest[model["name"], space["table"]]
        names = (model["name"], space["table"], space["space"])
        spaces.append(
            ComparedSpace(
                *names,
                kind=space["kind"],
                dims=space["dims"],
                rows=space["rows"],
                texts=space["texts"],
                text=space["text"],
                precision=space["precision"],
                file=files.get(space["table"]),
                n_bytes=NPY_HEADER + 4 * space["rows"] * space["dims"],
                parameters=model.get("parameters"),
                devices=", ".join(made["devices"]),
                embedded=made["counts"]["texts_embedded"],
                seconds=made["seconds"],
                notes=read_notes(folder / "scores.json"),
                scores=by_space.get(names, {}),
                items=read_items(folder),
            )
        )
    return spaces


def folder_of(path: Path) -> Path:
    """Return the folder of a space that is given by its manifest."""
    return path.parent if path.name == "manifest.json" else path


def read_notes(path: Path) -> tuple[str, ...]:
    """Return the notes in a scores.json; none if the file is not there."""
    return tuple(read_record(path, ScoreCard)["notes"]) if path.exists() else ()


def read_items(folder: Path) -> dict[str, ItemSums]:
    """Return the sums per item of a space's scores; none if the file is not there."""
    path = folder / SUMS_FILE
    return read_item_sums(path) if path.exists() else {}


def by_table(spaces: Iterable[ComparedSpace]) -> dict[str, list[ComparedSpace]]:
    """Group spaces by table, in the order given."""
    found: dict[str, list[ComparedSpace]] = {}
    for space in spaces:
        found.setdefault(space.table, []).append(space)
    return found


def baselines_of(
    spaces: Sequence[ComparedSpace], score: str, metrics: Sequence[str]
) -> list[tuple[str, dict[str, ScoreValue]]]:
    """Return a table's baselines, the best first: name and scores by metric, equal ones once.

    Some don't depend on the space (popularity); others have its dims, and where those differ
    their names say so: `TF-IDF of words + SVD, 64 dims`. Ordered by the first metric.
    """
    by_dims: dict[str, dict[int, tuple[ScoreValue | None, ...]]] = {}
    for space in spaces:
        for method in sorted({method for name, method, _ in space.scores if name == score}):
            found = tuple(space.get(score, metric, method) for metric in metrics)
            if method != OWN_METHOD and any(found):
                by_dims.setdefault(method, {}).setdefault(space.dims or 0, found)
    baselines = []
    for method, founds in by_dims.items():
        several = len(set(founds.values())) > 1
        for found in dict.fromkeys(founds.values()):
            dims = ", ".join(str(n) for n in sorted(founds) if founds[n] == found)
            name = method_name(method) + (f", {dims} dims" if several else "")
            baselines.append((name, {m: one for m, one in zip(metrics, found, strict=True) if one}))
    first = metrics[0]
    return sorted(baselines, key=lambda one: -one[1][first].value if first in one[1] else 1.0)


def method_name(method: str) -> str:
    """Return the name of a method for people; an unknown one keeps its own."""
    names = [
        score.baselines[method] for score in known_scores().values() if method in score.baselines
    ]
    return names[0] if names else method.replace("_", " ")
