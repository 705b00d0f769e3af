"""What the compare page reads: scores.tsv, and of each space its manifest, its notes, its bytes."""

import csv
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kgtextvec.errors import InputError
from kgtextvec.files import read_json

COLUMNS = ("model", "table", "space", "score", "by", "group", "method", "metric", "value")
OWN = "vectors"  # the method that stands for the space itself; every other one is a baseline
METHODS = {
    "tfidf": "TF-IDF",
    "tfidf_svd": "TF-IDF + SVD",
    "random": "random vectors",
    "popularity": "popularity",
    "majority": "commonest label",
    "chance": "chance",
}


@dataclass(frozen=True)
class Score:
    """A number with the ends of its 95 % interval; None is not known, which is not zero."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class Row:
    """A line of scores.tsv."""

    model: str
    table: str
    space: str
    score: str
    by: str
    group: str
    method: str
    metric: str
    found: Score


@dataclass(frozen=True)
class Space:
    """A space: what it is, what it cost, what it scores over all (score, method, metric).

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
    scores: dict[tuple[str, str, str], Score] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return model and space: `bioelmo pca400`."""
        return f"{self.model} {self.space}"

    @property
    def speed(self) -> float | None:
        """Return texts per second of those that were really embedded; None if none were."""
        return self.embedded / self.seconds if self.embedded and self.seconds else None

    def get(self, score: str, metric: str, method: str = OWN) -> Score | None:
        """Return a score, or None if it was not computed."""
        return self.scores.get((score, method, metric))


def read_rows(path: Path, over_all: Collection[str]) -> list[Row]:
    """Read scores.tsv; lines without a value are left out. Raises InputError if it is none.

    Of the scores named in `over_all`, lines of groups are left out too: no part of the page shows
    them, and relations make them by far the most.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            missing = [name for name in COLUMNS if name not in (lines.fieldnames or ())]
            if missing:
                raise InputError(f"{path}: has no column {missing[0]}. Delete it and rerun.")
            wanted = (ln for ln in lines if ln["by"] == "all" or ln["score"] not in over_all)
            return [row for row in map(row_of, wanted) if row]
    except FileNotFoundError:
        raise InputError(f"{path}: not there. Run collect-scores first.") from None
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not a table of scores ({error}). Delete it and rerun.") from None


def row_of(line: dict[str, str]) -> Row | None:
    """Read a line of scores.tsv; None if it holds no number."""
    value, low, high = (number_in(line.get(name)) for name in ("value", "low", "high"))
    if value is None:
        return None
    n = number_in(line.get("n"))
    if low is None or high is None:
        low = high = None
    found = Score(value, low, high, None if n is None else int(n))
    return Row(**{name: line[name] for name in COLUMNS[:-1]}, found=found)


def number_in(word: str | None) -> float | None:
    """Read a finite number; nothing (or NaN) is None."""
    number = float(word) if word else None
    return number if number is not None and math.isfinite(number) else None


def read_spaces(folders: Iterable[Path], texts: Iterable[Path], rows: Sequence[Row]) -> list[Space]:
    """Read the spaces in the order given: folders of spaces, manifests of tables, all scores.

    A folder may be given by its manifest.json. What one of a model's spaces of a table says of
    the embedding is said of all: the full one's manifest is the newest.
    """
    files = {told["table"]: told.get("file") for told in map(read_json, texts)}
    by_space: dict[tuple[str, str, str], dict[tuple[str, str, str], Score]] = {}
    for row in rows:
        if row.by == "all":
            scores = by_space.setdefault((row.model, row.table, row.space), {})
            scores[row.score, row.method, row.metric] = row.found
    read = [(folder_of(path), read_manifest(folder_of(path))) for path in folders]
    newest = {
        (told["model"]["name"], told["table"]): told
        for _, told in sorted(read, key=lambda one: one[1]["space"] == "full")
    }
    spaces = []
    for folder, told in read:
        model, table, space = told["model"]["name"], told["table"], told["space"]
        made = newest[model, table]
        counts = made.get("counts") or {}
        spaces.append(
            Space(
                *(model, table, space),
                kind=told["kind"],
                dims=told.get("dims"),
                rows=told.get("rows"),
                texts=told.get("texts"),
                text=told.get("text"),
                precision=told.get("precision"),
                file=files.get(table),
                n_bytes=bytes_of(folder / "embeddings.npy"),
                parameters=told["model"].get("parameters"),
                devices=", ".join(made.get("devices") or ()) or None,
                embedded=counts.get("texts_embedded"),
                seconds=made.get("seconds"),
                notes=notes_in(folder / "scores.json"),
                scores=by_space.get((model, table, space), {}),
            )
        )
    return spaces


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a space's manifest. Raises InputError when it does not say whose it is."""
    told = read_json(folder / "manifest.json")
    whose: tuple[Any, ...]
    try:
        whose = (told["model"]["name"], told["table"], told["space"], told["kind"])
    except (KeyError, TypeError):
        whose = ()
    if not whose or not all(isinstance(name, str) for name in whose):
        raise InputError(f"{folder / 'manifest.json'}: not a space's. Rerun the step that made it.")
    found: dict[str, Any] = told
    return found


def folder_of(path: Path) -> Path:
    """Return the folder of a space that is given by its manifest."""
    return path.parent if path.name == "manifest.json" else path


def bytes_of(path: Path) -> int | None:
    """Return a file's bytes; None if it is not there."""
    return path.stat().st_size if path.exists() else None


def notes_in(path: Path) -> tuple[str, ...]:
    """Return what a scores.json notes; nothing if it is not there."""
    told: dict[str, Any] = read_json(path) if path.exists() else {}
    return tuple(map(str, told.get("notes") or ()))


def by_table(spaces: Iterable[Space]) -> dict[str, list[Space]]:
    """Group spaces by table, in the order given."""
    found: dict[str, list[Space]] = {}
    for space in spaces:
        found.setdefault(space.table, []).append(space)
    return found


def baselines_of(
    spaces: Sequence[Space], score: str, metrics: Sequence[str]
) -> list[tuple[str, dict[str, Score]]]:
    """Return a table's baselines, the best first: name and scores by metric, equal ones once.

    Some know nothing of a space and are the same beside each (popularity); others have its dims,
    and their names tell these: `TF-IDF + SVD, 64 dims`. Ordered by the first metric.
    """
    by_dims: dict[str, dict[int, tuple[Score | None, ...]]] = {}
    for space in spaces:
        for method in sorted({method for name, method, _ in space.scores if name == score}):
            found = tuple(space.get(score, metric, method) for metric in metrics)
            if method != OWN and any(found):
                by_dims.setdefault(method, {}).setdefault(space.dims or 0, found)
    listed = []
    for method, founds in by_dims.items():
        several = len(set(founds.values())) > 1
        for found in dict.fromkeys(founds.values()):
            dims = ", ".join(str(n) for n in sorted(founds) if founds[n] == found)
            name = method_name(method) + (f", {dims} dims" if several else "")
            listed.append((name, {m: one for m, one in zip(metrics, found, strict=True) if one}))
    first = metrics[0]
    return sorted(listed, key=lambda one: -one[1][first].value if first in one[1] else 1.0)


def method_name(method: str) -> str:
    """Name a method in words; one that is not known keeps its name."""
    return METHODS.get(method, method.replace("_", " "))
