"""Settings of the scores, link prediction included."""

from typing import Annotated, Literal

from kgtextvec.registry import SCORES
from kgtextvec.settings.base import Count, Seed, Settings, about


class Seeded(Settings):
    """What makes scores repeatable."""

    seed: Annotated[Seed, about("seed of splits, baselines and intervals")] = 0


class Scoring(Seeded):
    """Which scores are computed, and how."""

    scores: Annotated[tuple[str, ...], about("which scores; `[]` omits the step", names=SCORES)] = (
        "cold_start",
        "labels",
        "retention",
        "geometry",
    )
    neighbours: Annotated[Count, about("how many nearest neighbours vote or are compared")] = 10


class LinkTraining(Settings):
    """How knowledge-graph models are trained and compared."""

    models: Annotated[
        tuple[Literal["TransE", "ComplEx", "RotatE"], ...],
        about("which models to train; ComplEx and RotatE need even dims", min_length=1),
    ] = ("TransE", "ComplEx", "RotatE")
    seeds: Annotated[
        Count, about("trainings of each model from each start; two or more give intervals")
    ] = 3
    epochs: Annotated[Count, about("passes over the triples")] = 50
    batch_size: Annotated[Count, about("triples per step")] = 512
    learning_rate: Annotated[float, about("learning rate of Adam", gt=0)] = 0.01
    negatives: Annotated[Count, about("negative triples per positive one")] = 32


class LinkPrediction(LinkTraining):
    """Models of PyKEEN trained from text, random and shuffled vectors."""

    spaces: Annotated[
        tuple[str, ...] | None, about("in which spaces; by default the reduced ones, or `full`")
    ] = None


class Evaluate(Scoring):
    """What the vectors are worth."""

    triples: Annotated[
        str | None,
        about("a graph's triples (head, relation, tail; nodes as label::id); the cold start needs"
              " them"),
    ] = None  # fmt: skip
    test_triples: Annotated[
        str | None, about("triples of hidden entities, where you have a split; else one is made")
    ] = None
    link_prediction: Annotated[
        LinkPrediction | None,
        about(
            "`{}` or settings: train models of PyKEEN (`make links` installs it); needs"
            " `evaluate.triples`"
        ),
    ] = None
