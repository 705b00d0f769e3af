"""The trainings of link prediction: each model, from each start, with each seed."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from kgtextvec.errors import InputError
from kgtextvec.evaluate.link_models import (
    IN_PAIRS,
    Trainer,
    model_scorer,
    popularity_scorer,
    rank_test_triples,
)
from kgtextvec.evaluate.link_scores import (
    Groups,
    Values,
    group_means,
    groups_of,
    round_means,
    summarize_runs,
)
from kgtextvec.evaluate.link_split import Split
from kgtextvec.matrices import refuse_non_finite, take_rows
from kgtextvec.progress import say
from kgtextvec.settings.scores import LinkTraining
from kgtextvec.space import Floats, Space, checked_space

FROM_TEXT = "relations_from_text"


def check_trainable(space: Space, models: tuple[str, ...]) -> None:
    """Raise InputError when a model can't be trained from the space."""
    if space.manifest["kind"] != "entities":
        raise InputError(
            f"{space.folder}: not of a table of entities, which link prediction needs. Name"
            " another space."
        )
    odd = [name for name in models if name in IN_PAIRS and space.matrix.dims % 2]
    if odd:
        raise InputError(
            f"{space.folder}: {odd[0]} takes two numbers for a complex one, and {space.matrix.dims}"
            " dims are odd. Choose a space of even dims, or leave the model out."
        )


def relation_space(path: Path | None, space: Space, starts: tuple[str, ...]) -> Space | None:
    """Open the relation types' space where a start takes its vectors. Raises InputError."""
    if FROM_TEXT not in starts:
        return None
    if path is None:
        raise InputError(
            f"--starts: {FROM_TEXT} needs --relations, the relation types' space. Name it."
        )
    found = checked_space(path)
    if found.dims != space.dims:
        raise InputError(
            f"{found.folder}: has {found.dims} dims, {space.folder} has {space.dims}. Give spaces"
            " of one model and one name."
        )
    return found


def relation_vectors(texts: Space | None, names: list[str]) -> Floats | None:
    """Return the vectors of relations by name, (r, d). Raises InputError where one has no row."""
    if texts is None:
        return None
    with texts.vectors_checked():
        return texts.align(names)


def train_all(
    space: Space,
    cut: Split,
    training: LinkTraining,
    seed: int,
    device: str,
    folder: Path,
    relations: Floats | None = None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Train all, and return the scores and what each training reached.

    `relations` (r, d): text vectors of the split's relations, if a start takes them.
    """
    vectors = take_rows(space.matrix, cut.rows)
    for place in np.flatnonzero(~np.isfinite(vectors).all(axis=1))[:1]:
        refuse_non_finite(space.matrix, int(cut.rows[place]), vectors[[place]])
    groups = groups_of(cut)
    dims = space.matrix.dims
    ranks = rank_test_triples(popularity_scorer(cut), cut, dims, "popularity, ranked")
    popularity = group_means(ranks, groups)
    trainer = Trainer(cut, dims, training, device, folder)
    scores, runs = {}, []
    for name in training.models:
        of_model: dict[str, list[Values]] = {"popularity": [popularity]}
        for each in range(seed, seed + training.seeds):
            for start, embeddings in trainer.starts(name, vectors, each, relations):
                began = time.monotonic()
                what = f"{name}, {start}, seed {each}"
                model, losses = trainer.train(name, embeddings, each, what)
                ranks = rank_test_triples(model_scorer(model), cut, dims, f"{what}, ranked")
                values = group_means(ranks, groups)
                of_model.setdefault(start, []).append(values)
                runs.append(
                    {
                        "model": name,
                        "start": start,
                        "seed": each,
                        "loss": round(losses[-1], 6),
                        "seconds": round(time.monotonic() - began, 3),
                        "scores": round_means(values),
                    }
                )
        scores[f"link_prediction_{name}"] = summarize_runs(of_model, groups)
        say_scores(name, of_model, groups)
    return scores, runs


def say_scores(name: str, of_model: dict[str, list[Values]], groups: Groups) -> None:
    """Print each start's mean MRR, over all queries and over those of the least known entities."""
    for by, group in (("all", "all"), ("degree", next(iter(groups["degree"])))):
        found = [
            f"{start} {np.mean([one[by][group][0] for one in several]):.3f}"
            for start, several in of_model.items()
        ]
        of_what = "" if by == "all" else f" of entities with {group} edges"
        say(f"{name}, MRR{of_what}: {', '.join(found)}")
