"""All scores of a space in one file: scores.json."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from kgtextvec.device import set_threads
from kgtextvec.errors import InputError
from kgtextvec.evaluate.baselines import Baselines
from kgtextvec.evaluate.cold_start import rank, summary
from kgtextvec.evaluate.graph import directed, hide_in_turns, read_triples, split_as_given
from kgtextvec.evaluate.labels import label_probe
from kgtextvec.evaluate.neighbours import choose_device
from kgtextvec.evaluate.readers import identity
from kgtextvec.evaluate.shape import geometry, retention
from kgtextvec.files import sha256_of, write_json
from kgtextvec.gpu_lock import leased
from kgtextvec.progress import say
from kgtextvec.space import Space
from kgtextvec.versions import versions_of

RECIPE = 1


@dataclass(frozen=True)
class Settings:
    """Which scores, the seed of all that is drawn, and how many neighbours vote."""

    scores: list[str]
    seed: int
    neighbours: int


def write_scores(
    space_dir: Path,
    texts: Path,
    triples: Path | None,
    test_triples: Path | None,
    full: Path | None,
    settings: Settings,
    threads: int,
    device: str,
    out: Path,
) -> None:
    """Score a space and write scores.json; the verb `evaluate-space` says what it takes."""
    if settings.neighbours < 1:
        raise InputError(f"evaluate.neighbours: {settings.neighbours} can't vote. Give 1 or more.")
    if test_triples and not triples:
        raise InputError("evaluate.test_triples: needs evaluate.triples, the ones that are known.")
    space = Space(space_dir)
    baselines = Baselines(space, texts, settings.seed)
    notes: list[str] = []
    scores: dict[str, Any] = {}
    counts: dict[str, Any] = {}
    with threadpool_limits(threads or None):
        set_threads(threads)
        for name in settings.scores:
            found: dict[str, Any] = {}
            if name == "cold_start":
                found, counts, more = cold_start(
                    space, baselines, triples, test_triples, settings, device
                )
            elif name == "labels":
                by_method, more = label_probe(space, baselines, settings.neighbours, settings.seed)
                found = {"all": {"all": by_method}} if by_method else {}
            elif name == "retention":
                found, more = kept_of(space, full, settings, device)
            else:
                found, more = {"all": {"all": geometry(space)}}, []
            notes += more
            if found:
                scores[name] = found
    for note in notes:
        say(f"note: {note}")
    used = {"triples": triples, "test_triples": test_triples} if counts else {}
    write_json(
        out,
        {
            **identity(space),
            "scores": scores,
            "notes": notes,
            "counts": counts,
            "settings": {
                "scores": settings.scores,
                "seed": settings.seed,
                "neighbours": settings.neighbours,
                **{name: about(path) for name, path in used.items() if path},
            },
            "vectors_digest": space.manifest.get("vectors_digest"),
            "versions": versions_of("numpy", "scikit-learn", "scipy", "torch"),
            "recipe": RECIPE,
        },
    )


def about(path: Path) -> dict[str, str]:
    """Tell which file was used: its name and sha256."""
    return {"file": path.name, "sha256": sha256_of(path)}


def cold_start(
    space: Space,
    baselines: Baselines,
    triples: Path | None,
    test_triples: Path | None,
    settings: Settings,
    device: str,
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Return the cold start's scores, its counts and notes; no scores where it doesn't apply."""
    if space.manifest["kind"] != "entities":
        return {}, {}, ["cold_start: left out, it needs a table of entities"]
    if triples is None:
        return {}, {}, ["cold_start: left out, evaluate.triples names no file"]
    read = read_triples(triples, space)
    if test_triples is None:
        graphs = hide_in_turns(directed(read, space.label_codes), settings.seed)
    else:
        graphs = [split_as_given(read, read_triples(test_triples, space), space.label_codes)]
    graph = graphs[0]
    counts = {"cold_start": graph.counts | {"turns": len(graphs)}}
    for name in ("hidden", "queries", "left_out_answer_hidden"):
        counts["cold_start"][name] = sum(one.counts[name] for one in graphs)
    notes = []
    if read.counts["without_row"]:
        lost, all_of_them = read.counts["without_row"], read.counts["triples"]
        notes = [f"cold_start: {lost} of {all_of_them} triples name a node without a row"]
    if not counts["cold_start"]["queries"]:
        return {}, counts, [*notes, "cold_start: left out, the graph is too small to hide anything"]
    entities = graph.counts["entities"]
    chosen = choose_device(device, 0.1 * entities * entities * space.matrix.dims)
    with leased(chosen) as on:
        ranked = rank(graphs, baselines.methods(), settings.neighbours, settings.seed, on)
    return summary(graph, ranked, settings.seed), counts, notes


def kept_of(
    space: Space, full: Path | None, settings: Settings, device: str
) -> tuple[dict[str, Any], list[str]]:
    """Return the retention's scores and notes; no scores for a full space, or without one."""
    if full is None:
        reduced = space.manifest["space"] != "full"
        return {}, ["retention: left out, --full wasn't given"] if reduced else []
    whole = Space(full)
    chosen = choose_device(device, 5e3 * space.matrix.rows * whole.matrix.dims)
    with leased(chosen) as on:
        found, notes = retention(space, whole, settings.seed, on)
    return {"all": {"all": found}}, notes
