"""Link prediction from start to end: each model, from each start, with each seed."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from kgtextvec.device import choose_device, set_threads
from kgtextvec.errors import InputError
from kgtextvec.evaluate.graph import read_triples
from kgtextvec.evaluate.link_models import (
    IN_PAIRS,
    LOSS,
    Budget,
    Trainer,
    by_model,
    by_popularity,
    ranked,
)
from kgtextvec.evaluate.link_scores import Groups, Values, groups_of, means, summary, told
from kgtextvec.evaluate.link_split import Split, split, split_as_given
from kgtextvec.evaluate.readers import identity
from kgtextvec.evaluate.scorecard import about
from kgtextvec.files import write_json
from kgtextvec.gpu_lock import leased
from kgtextvec.matrices import refuse_non_finite, take_rows
from kgtextvec.progress import say
from kgtextvec.space import Space
from kgtextvec.versions import versions_of

RECIPE = 1


@dataclass(frozen=True)
class Settings:
    """Which models, how many trainings of each, the first one's seed, and what each may spend."""

    models: list[str]
    seeds: int
    seed: int
    budget: Budget


def write_links(
    space_dir: Path,
    triples: Path,
    test_triples: Path | None,
    settings: Settings,
    threads: int,
    device: str,
    folder: Path,
    out: Path,
) -> None:
    """Train, rank and write link_prediction.json; the verb `predict-links` says what it takes."""
    space = Space(space_dir)
    check(space, settings.models)
    read = read_triples(triples, space)
    if test_triples:
        cut = split_as_given(read, read_triples(test_triples, space))
    else:
        cut = split(read, settings.seed)
    # Apple's GPUs lack complex numbers, which two of the models are made of.
    found = choose_device(device, runs_on_mps=False)
    with threadpool_limits(threads or None), leased(found) as on:
        set_threads(threads)
        scores, runs = trained(space, cut, settings, on, folder)
    used = {"triples": triples, "test_triples": test_triples}
    write_json(
        out,
        {
            **identity(space),
            "scores": scores,
            "runs": runs,
            "notes": notes_of(cut),
            "counts": {"link_prediction": cut.counts},
            "settings": {
                "models": settings.models,
                "seeds": settings.seeds,
                "seed": settings.seed,
                **asdict(settings.budget),
                "optimizer": "Adam",
                "loss": LOSS,
                "negative_sampler": "basic",
                "ranking": "both sides, filtered",
                "device": on.split(":")[0],
                **{name: about(path) for name, path in used.items() if path},
            },
            "vectors_digest": space.manifest.get("vectors_digest"),
            "versions": versions_of("numpy", "pykeen", "scipy", "torch"),
            "recipe": RECIPE,
        },
    )


def check(space: Space, models: list[str]) -> None:
    """Raise InputError when a model can't be trained from the space."""
    if space.manifest["kind"] != "entities":
        raise InputError(f"{space.folder}: link prediction needs a table of entities.")
    odd = [name for name in models if name in IN_PAIRS and space.matrix.dims % 2]
    if odd:
        raise InputError(
            f"{space.folder}: {odd[0]} takes two numbers for a complex one, and {space.matrix.dims}"
            " dims are odd. Choose a space of even dims, or leave the model out."
        )


def notes_of(cut: Split) -> list[str]:
    """Return what is worth knowing of the graph."""
    lost = cut.counts["without_row"]
    return [f"{lost} of {cut.counts['triples']} triples name a node without a row"] if lost else []


def trained(
    space: Space, cut: Split, settings: Settings, device: str, folder: Path
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Train all, and return the scores and what each training reached."""
    vectors = take_rows(space.matrix, cut.rows)
    for place in np.flatnonzero(~np.isfinite(vectors).all(axis=1))[:1]:
        refuse_non_finite(space.matrix, int(cut.rows[place]), vectors[[place]])
    groups = groups_of(cut)
    dims = space.matrix.dims
    popularity = means(ranked(by_popularity(cut), cut, dims, "popularity, ranked"), groups)
    trainer = Trainer(cut, dims, settings.budget, device, folder)
    scores, runs = {}, []
    for name in settings.models:
        of_model: dict[str, list[Values]] = {"popularity": [popularity]}
        for seed in range(settings.seed, settings.seed + settings.seeds):
            for start, begin in trainer.starts(name, vectors, seed):
                began = time.monotonic()
                what = f"{name}, {start}, seed {seed}"
                model, losses = trainer.train(name, begin, seed, what)
                values = means(ranked(by_model(model), cut, dims, f"{what}, ranked"), groups)
                of_model.setdefault(start, []).append(values)
                runs.append(
                    {
                        "model": name,
                        "start": start,
                        "seed": seed,
                        "loss": round(losses[-1], 6),
                        "seconds": round(time.monotonic() - began, 3),
                        "scores": told(values),
                    }
                )
        scores[f"link_prediction_{name}"] = summary(of_model, groups)
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
