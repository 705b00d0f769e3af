"""Link prediction: a trained model that starts from the vectors or from others. Optional."""

import os
from pathlib import Path
from typing import Annotated

from kgtextvec.errors import InputError
from kgtextvec.evaluate import RECIPE
from kgtextvec.files import scratch_folder
from kgtextvec.records import write_record
from kgtextvec.settings.edges import EdgesFlag, edges_of_json
from kgtextvec.settings.models import Device
from kgtextvec.settings.scores import LinkTraining, Seeded


def predict_links(
    space_dir: Annotated[Path, "folder of the space"],
    *,
    triples: Annotated[list[Path], "the graph's edges; several files are read as one"],
    out: Annotated[Path, "link_prediction.json to write"],
    test_triples: Annotated[
        list[Path], "the triples to predict; by default some of --triples, set aside by the seed"
    ] = [],  # noqa: B006
    relations: Annotated[
        Path | None, "for relations_from_text: the space of the relation types, or a file of it"
    ] = None,
    edges: EdgesFlag = "",
    training: LinkTraining = LinkTraining(),
    seeded: Seeded = Seeded(),
    device: Device = Device(),
    threads: Annotated[int, "CPU threads (default: all cores)"] = 0,
) -> None:
    """Train models of PyKEEN on a graph from random, text and shuffled vectors; write the scores.

    Each model is trained with several seeds from each start, all else being equal, and predicts
    triples of entities that it was trained on. `--seed` is the first seed, and the split's. Equal
    inputs, settings and threads on one CPU give equal scores. Raises InputError when PyKEEN or a
    file is absent, and when the table, the graph or the dims don't fit.
    """
    with scratch_folder("pykeen") as folder:
        # Else PyKEEN makes folders in the user's home when it is imported.
        os.environ.setdefault("PYSTOW_HOME", str(folder))
        need_pykeen()
        from threadpoolctl import threadpool_limits

        from kgtextvec.checksums import vector_digests
        from kgtextvec.device import choose_device, set_threads
        from kgtextvec.evaluate.graph import left_out, read_graph_triples
        from kgtextvec.evaluate.link_models import LOSS
        from kgtextvec.evaluate.link_split import split_for_links, split_for_links_as_given
        from kgtextvec.evaluate.link_training import (
            check_trainable,
            relation_space,
            relation_vectors,
            train_all,
        )
        from kgtextvec.evaluate.readers import identity
        from kgtextvec.evaluate.scorecard import names_and_digests
        from kgtextvec.gpu_lock import leased
        from kgtextvec.source_files import SourceFiles
        from kgtextvec.space import checked_space
        from kgtextvec.versions import versions_of

        space = checked_space(space_dir)
        check_trainable(space, training.models)
        how = edges_of_json(edges)
        sources = SourceFiles([*triples, *test_triples])
        read = read_graph_triples(triples, space, how)
        if test_triples:
            test = read_graph_triples(test_triples, space, how)
            cut = split_for_links_as_given(read, test)
        else:
            cut = split_for_links(read, seeded.seed)
        recorded = sources.record()
        # Apple's GPUs lack complex numbers, which two of the models are made of.
        chosen = choose_device(device.device, runs_on_mps=False)
        texts = relation_space(relations, space, training.starts)
        with threadpool_limits(threads or None), leased(chosen) as place, space.vectors_checked():
            set_threads(threads)
            trained = training, seeded.seed, place, Path(folder)
            scores, runs = train_all(space, cut, *trained, relation_vectors(texts, cut.names))
    files = {"triples": triples, "test_triples": test_triples}
    write_record(
        out,
        {
            **identity(space),
            "scores": scores,
            "runs": runs,
            "notes": left_out(cut.counts),
            "counts": {"link_prediction": cut.counts},
            "settings": {
                "models": training.models,
                "starts": training.starts,
                "seeds": training.seeds,
                "seed": seeded.seed,
                "epochs": training.epochs,
                "batch_size": training.batch_size,
                "learning_rate": training.learning_rate,
                "negatives": training.negatives,
                "optimizer": "Adam",
                "loss": LOSS,
                "negative_sampler": "basic",
                "ranking": "both sides, filtered",
                "device": place.split(":")[0],
                **{name: names_and_digests(given) for name, given in files.items() if given},
            },
            "sources": recorded,
            **vector_digests(space.manifest),
            "versions": versions_of("numpy", "pykeen", "scipy", "torch"),
            "recipe": RECIPE["predict_links"],
        },
    )


def need_pykeen() -> None:
    """Raise InputError when PyKEEN can't be imported."""
    try:
        import pykeen.models  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"evaluate.link_prediction: PyKEEN isn't there ({error}). Run make links, or pip"
            " install --require-hashes --no-deps -r requirements/lock-links.txt"
        ) from None
