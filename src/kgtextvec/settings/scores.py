"""Settings of the scores, link prediction included."""

from typing import Annotated, Literal

from msgspec import Meta

from kgtextvec.registry import SCORES
from kgtextvec.settings.base import Count, Seed, Settings, named_in
from kgtextvec.settings.edges import EdgeFiles


class Seeded(Settings):
    """What makes scores repeatable."""

    seed: Seed = 0
    """Seed of splits, baselines and intervals."""


class Scoring(Seeded):
    """Which scores are computed, and how."""

    scores: Annotated[tuple[str, ...], named_in(SCORES)] = (
        "cold_start",
        "labels",
        "retention",
        "geometry",
    )
    """Which scores; `[]` omits the step. `leakage` embeds up to 10,000 more texts per table and
    model, with names masked."""
    neighbours: Count = 10
    """How many nearest neighbours vote or are compared."""


class LinkTraining(Settings):
    """How knowledge-graph models are trained and compared."""

    models: Annotated[tuple[Literal["TransE", "ComplEx", "RotatE"], ...], Meta(min_length=1)] = (
        "TransE",
        "ComplEx",
        "RotatE",
    )
    """Which models to train; ComplEx and RotatE need even dims."""
    starts: Annotated[
        tuple[
            Literal[
                "random",
                "vectors",
                "shuffled",
                "as_exported",
                "as_exported_halves",
                "scaled",
                "relations_from_text",
            ],
            ...,
        ],
        Meta(min_length=1),
    ] = ("random", "vectors", "shuffled", "as_exported")
    """Initial embeddings of entities. `as_exported`: the numbers as in the exported files;
    `scaled`: these times one factor; `vectors`: centred as well; `relations_from_text`:
    `as_exported` for the relations too (docs/evaluate.md)."""
    seeds: Count = 3
    """Trainings of each model from each start; two or more give intervals."""
    epochs: Count = 50
    """Passes over the triples."""
    batch_size: Count = 512
    """Triples per step."""
    learning_rate: Annotated[float, Meta(gt=0)] = 0.01
    """Learning rate of Adam."""
    negatives: Count = 32
    """Negative triples per positive one."""


class LinkPrediction(LinkTraining):
    """Models of PyKEEN trained from text, random and shuffled vectors."""

    spaces: tuple[str, ...] | None = None
    """In which spaces; by default the reduced ones, or `full`."""


class Evaluate(Scoring):
    """What the vectors are worth."""

    triples: EdgeFiles | None = None
    """Another way to write `graph.file`."""
    test_triples: EdgeFiles | None = None
    """Triples of hidden entities, where you have a split; else one is made. Written as `graph.file`
    is."""
    link_prediction: LinkPrediction | None = None
    """`{}` or settings: train models of PyKEEN (`make links` installs it); needs
    `graph`."""
