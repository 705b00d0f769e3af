"""Link prediction: a trained model that starts from the vectors, beside other starts. Optional."""

import argparse
import os
import tempfile
from pathlib import Path

from kgtextvec.errors import InputError
from kgtextvec.files import file_or_none

MODELS = ("TransE", "ComplEx", "RotatE")


def predict_links_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `predict-links`."""
    parser.add_argument("space_dir", type=Path, metavar="SPACE_DIR", help="the space's folder")
    parser.add_argument(
        "--triples", type=Path, required=True, help="head, relation, tail with tabs between"
    )
    parser.add_argument(
        "--test-triples",
        type=file_or_none,
        nargs="?",
        help="the triples to foretell; without them some of --triples are set aside by seed",
    )
    parser.add_argument(
        "--models",
        type=names_of_models,
        default=list(MODELS),
        help=f"which, with commas between (default: {','.join(MODELS)})",
    )
    parser.add_argument("--seeds", type=positive, default=3, help="trainings of each (default: 3)")
    parser.add_argument("--epochs", type=positive, default=50, help="default: 50")
    parser.add_argument(
        "--batch-size", type=positive, default=512, help="triples a step (default: 512)"
    )
    parser.add_argument("--learning-rate", type=float, default=0.01, help="default: 0.01")
    parser.add_argument(
        "--negatives", type=positive, default=32, help="wrong triples beside each (default: 32)"
    )
    parser.add_argument("--seed", type=int, default=0, help="the first seed, and the split's")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores of the job")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda or cuda:1")
    parser.add_argument("--out", type=Path, required=True, help="link_prediction.json to write")


def names_of_models(words: str) -> list[str]:
    """Read names of models with commas between."""
    names = list(dict.fromkeys(name for name in words.replace(" ", "").split(",") if name))
    unknown = [name for name in names if name not in MODELS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{words}: choose among {', '.join(MODELS)}")
    return names


def positive(word: str) -> int:
    """Read a whole number from 1."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word}: give a whole number from 1")
    return int(word)


def predict_links(
    space_dir: Path,
    triples: Path,
    out: Path,
    test_triples: Path | None = None,
    models: list[str] | None = None,
    seeds: int = 3,
    epochs: int = 50,
    batch_size: int = 512,
    learning_rate: float = 0.01,
    negatives: int = 32,
    seed: int = 0,
    threads: int = 0,
    device: str = "auto",
) -> None:
    """Train models of PyKEEN on a graph from random, text and shuffled vectors; write the scores.

    Each of `models` (None: all of MODELS) is trained `seeds` times from each start, all else being
    equal, and foretells triples of entities that it was trained on. Equal inputs, settings and
    threads on one CPU give equal scores. Raises InputError when PyKEEN or a file is absent, and
    when the table, the graph or the dims don't fit.
    """
    with tempfile.TemporaryDirectory(prefix="kgtextvec-") as folder:
        # Else PyKEEN makes folders in the user's home when it is imported.
        os.environ.setdefault("PYSTOW_HOME", folder)
        need_pykeen()
        from kgtextvec.evaluate.link_models import Budget
        from kgtextvec.evaluate.link_training import Settings, write_links

        budget = Budget(epochs, batch_size, learning_rate, negatives)
        settings = Settings(list(MODELS) if models is None else models, seeds, seed, budget)
        write_links(space_dir, triples, test_triples, settings, threads, device, Path(folder), out)


def need_pykeen() -> None:
    """Raise InputError when PyKEEN can't be imported."""
    try:
        import pykeen.models  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"evaluate.link_prediction: PyKEEN isn't there ({error}). Say make links, or: pip"
            " install --require-hashes --no-deps -r requirements/lock-links.txt"
        ) from None
