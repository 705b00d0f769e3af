"""evaluate_space: all scores of a space in one file, scores.json."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from kgtextvec.checksums import vector_digests
from kgtextvec.errors import InputError
from kgtextvec.evaluate import RECIPE
from kgtextvec.evaluate.scores import ScoringContext
from kgtextvec.files import sha256_of
from kgtextvec.progress import say
from kgtextvec.records import write_record
from kgtextvec.registry import SCORES
from kgtextvec.settings.edges import EdgesFlag, GraphFiles, edges_of_json
from kgtextvec.settings.models import Device
from kgtextvec.settings.scores import Scoring
from kgtextvec.source_files import SourceFiles
from kgtextvec.versions import versions_of


def evaluate_space(
    space_dir: Annotated[Path, "folder of the space"],
    *,
    texts: Annotated[Path, "folder of the table's texts (results/texts/TABLE/shards)"],
    out: Annotated[Path, "scores.json to write; scores_by_row.parquet is written next to it"],
    triples: GraphFiles = [],  # noqa: B006
    test_triples: Annotated[
        list[Path],
        "the triples to predict from the others; by default entities are hidden by the seed",
    ] = [],  # noqa: B006
    full: Annotated[
        Path | None, "for a reduced space: the folder of the full one, or its embeddings.npy"
    ] = None,
    masked: Annotated[
        Path | None, "for leakage: the space of masked texts, or its embeddings.npy"
    ] = None,
    masked_texts: Annotated[Path | None, "for leakage: the folder of the masked texts"] = None,
    edges: EdgesFlag = "",
    scoring: Scoring = Scoring(),
    device: Device = Device(),
    threads: Annotated[int, "CPU threads (default: all cores)"] = 0,
    store: Annotated[
        str,
        "the vector store, if it is a folder: what baselines find is kept there for other spaces"
        " of the table",
    ] = "",
) -> None:
    """Score a space and its baselines.

    A score that its inputs don't allow is left out, and a note in scores.json says why. Equal
    inputs, seed and threads give equal bytes. Raises InputError when files are missing or disagree,
    and when no triple fits the table.
    """
    from threadpoolctl import threadpool_limits

    from kgtextvec.evaluate.baselines import Baselines
    from kgtextvec.evaluate.readers import identity
    from kgtextvec.kept_results import FOLDER, KeptResults
    from kgtextvec.pairs import SUMS_FILE, ItemSums, write_item_sums
    from kgtextvec.space import checked_space

    if test_triples and not triples:
        raise InputError(
            "evaluate.test_triples: needs evaluate.triples, the known ones. Set it, too."
        )
    space = checked_space(space_dir)
    sources = SourceFiles([*triples, *test_triples])
    kept = KeptResults(Path(store) / FOLDER) if store and "://" not in store else None
    versions = versions_of("numpy", "scikit-learn", "scipy", "torch")
    about = {"recipe": RECIPE["evaluate_space"], "versions": versions, "threads": threads}
    context = ScoringContext(
        space=space,
        baselines=Baselines(space, texts, scoring.seed, kept, about),
        settings=scoring,
        device=device.device,
        triples=triples,
        test_triples=test_triples,
        full=full,
        edges=edges_of_json(edges),
        masked=masked,
        masked_texts=masked_texts,
    )
    scores: dict[str, Any] = {}
    notes: list[str] = []
    counts: dict[str, Any] = {}
    items: dict[str, ItemSums] = {}
    files: dict[str, Path | Sequence[Path] | None] = {}
    with threadpool_limits(threads or None), space.vectors_checked():
        for name in scoring.scores:
            score = SCORES[name]
            result = score.compute(context)
            notes += result.notes
            if result.scores:
                scores[name] = result.scores
            if result.items:
                items[name] = result.items
            if result.counts:
                counts[name] = result.counts
                files |= {one: getattr(context, one) for one in score.inputs}
    notes += context.baselines.notes
    for note in notes:
        say(f"note: {note}")
    if kept:
        say(f"baselines: {kept.taken} results taken from {kept.folder}, {kept.computed} computed")
    sums = out.parent / SUMS_FILE
    write_item_sums(sums, items)
    write_record(
        out,
        {
            **identity(space),
            "scores": scores,
            "notes": notes,
            "counts": counts,
            "settings": {
                "scores": scoring.scores,
                "seed": scoring.seed,
                "neighbours": scoring.neighbours,
                **{name: names_and_digests(given) for name, given in files.items() if given},
            },
            "sources": sources.record(),
            **vector_digests(space.manifest),
            "sums_sha256": sha256_of(sums),
            "versions": versions,
            "recipe": RECIPE["evaluate_space"],
        },
    )


def names_and_digests(given: Path | Sequence[Path]) -> dict[str, str] | list[dict[str, str]]:
    """Return which file was used, its name and its sha256; of several, one after the other."""
    paths = [given] if isinstance(given, Path) else given
    found = [{"file": path.name, "sha256": sha256_of(path)} for path in paths]
    return found[0] if len(found) == 1 else found
