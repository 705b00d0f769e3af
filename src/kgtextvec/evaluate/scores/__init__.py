"""The scores of a space: one module each, which holds its `SCORE`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgtextvec.settings.edges import EdgeReading
from kgtextvec.settings.scores import Scoring

if TYPE_CHECKING:
    from kgtextvec.evaluate.baselines import Baselines
    from kgtextvec.pairs import ItemSums
    from kgtextvec.space import Space

# Baselines that are vectors too: their names on pages.
VECTOR_BASELINES = {
    "random": "random vectors",
    "tfidf": "TF-IDF of words",
    "tfidf_svd": "TF-IDF of words + SVD",
    "tfidf_chars": "TF-IDF of characters",
    "tfidf_both": "TF-IDF of words and characters",
}


@dataclass(frozen=True)
class ScoringContext:
    """What a score may use. `device` is as asked for; files that were not given are None or ().

    `triples`, `test_triples`: the files of a graph, which are read as one. `edges`: how. `masked`
    is the space of the texts that mask-texts wrote, `masked_texts` the folder of their shards.
    """

    space: "Space"
    baselines: "Baselines"
    settings: Scoring
    device: str
    triples: Sequence[Path]
    test_triples: Sequence[Path]
    full: Path | None
    edges: EdgeReading | None = None
    masked: Path | None = None
    masked_texts: Path | None = None


@dataclass(frozen=True)
class ScoreResult:
    """What a score found for a space.

    `scores`: by → group → method → metric → `stats.score_entry`; empty where the score is left out.
    `notes` say what was left out or sampled and why. `counts` say what the score is based on.
    `items` are the sums by which spaces are compared in pairs.
    """

    scores: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)
    items: "ItemSums | None" = None


@dataclass(frozen=True)
class Score:
    """A score of a space: what pages show of it, and the function that computes it.

    `metrics` are those that pages show, each with the head of its column; `baselines` the methods
    besides the space's own vectors, each with its name. `inputs` are the files that the score
    reads, fields of the context; scores.json has their digests if the score has counts. `headline`
    is the metric that can rank spaces, and its name in a sentence; it can't where a method begins
    with `spoiled_by`.
    """

    title: str
    description: str
    compute: Callable[[ScoringContext], ScoreResult]
    metrics: Mapping[str, str] = field(default_factory=dict)
    baselines: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    headline: tuple[str, str] | None = None
    spoiled_by: str | None = None
