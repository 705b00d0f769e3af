"""probe: what a model's word vectors know, asked by small models trained on top of them."""

import argparse
from pathlib import Path

PROBES = ("ner", "nli")
CONTROLS = ("random", "shuffled_labels", "token_layer")


def corpus_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that name a probe's corpora."""
    parser.add_argument("probe", choices=PROBES, help="ner: entities; nli: inference")
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    for part, use in (
        ("train", "to train on"),
        ("dev", "nli: picks the epoch"),
        ("test", "scored"),
    ):
        parser.add_argument(
            f"--{part}",
            type=Path,
            nargs="*",
            default=[],
            help=f"{use}; ner: a CoNLL file, or BC2GM's sentences and GENE.eval; nli: JSON lines",
        )
    parser.add_argument(
        "--bad-tags",
        choices=("error", "repair"),
        default="error",
        help="ner: an I or E that goes on with nothing; repair reads it as conlleval does",
    )
    parser.add_argument(
        "--labels", default="", help="nli: all labels, with commas between (default: SNLI's three)"
    )
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu")
    parser.add_argument("--threads", type=int, help="CPU threads; default: all cores")


def cache_tokens_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `cache-tokens`."""
    corpus_arguments(parser)
    parser.add_argument(
        "--precision", default="auto", choices=["auto", "float32", "bfloat16", "float16"]
    )
    parser.add_argument("--max-tokens", type=int, help="default: as many as the model takes")
    parser.add_argument("--initial-state", default="warm", choices=["warm", "zeros"], help="ELMo")
    parser.add_argument("--stored", default="float16", choices=["float16", "float32"])
    parser.add_argument(
        "--out", type=Path, required=True, help=".npy to write; .json of the same name beside it"
    )


def cache_tokens(
    probe: str,
    model: Path,
    train: list[Path],
    dev: list[Path],
    test: list[Path],
    out: Path,
    bad_tags: str = "error",
    labels: str = "",
    device: str = "auto",
    threads: int | None = None,
    precision: str = "auto",
    max_tokens: int | None = None,
    initial_state: str = "warm",
    stored: str = "float16",
) -> None:
    """Write the vectors (n_words, layers, dims) of all words of a probe's corpora.

    The corpora are read and checked before the model loads. Raises InputError for what the user
    can mend.
    """
    from kgtextvec.probe.run import Corpora, write_cache

    corpora = Corpora.read(probe, train, dev, test, bad_tags, labels)
    wanted = {
        "precision": precision,
        "max_tokens": max_tokens,
        "initial_state": initial_state,
        "stored": stored,
    }
    write_cache(corpora, model, wanted, device, threads, out)


def probe_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `probe-model`."""
    corpus_arguments(parser)
    parser.add_argument("--vectors", type=Path, required=True, help="what cache-tokens wrote")
    parser.add_argument(
        "--scheme", choices=("bio", "bioes"), default="bio", help="ner: of the tags"
    )
    parser.add_argument(
        "--controls",
        default="random,shuffled_labels",
        help=f"with commas between, among {', '.join(CONTROLS)} (default: random,shuffled_labels)",
    )
    parser.add_argument("--seeds", default="0,1,2", help="with commas between (default: 0,1,2)")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--out", type=Path, required=True, help="results (JSON) to write")


def probe_model(
    probe: str,
    model: Path,
    train: list[Path],
    dev: list[Path],
    test: list[Path],
    vectors: Path,
    out: Path,
    bad_tags: str = "error",
    labels: str = "",
    device: str = "auto",
    threads: int | None = None,
    scheme: str = "bio",
    controls: str = "random,shuffled_labels",
    seeds: str = "0,1,2",
    epochs: int = 10,
    batch_size: int = 32,
    learning_rate: float = 2e-3,
) -> None:
    """Train probes on the vectors and on the controls, seed by seed; write scores as JSON.

    On a CPU equal inputs, seeds and threads give equal numbers. Raises InputError for what the
    user can mend.
    """
    from kgtextvec.probe.run import Corpora, write_probe_results

    corpora = Corpora.read(probe, train, dev, test, bad_tags, labels)
    settings = {
        "scheme": scheme,
        "controls": controls,
        "seeds": seeds,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
    }
    write_probe_results(corpora, model, vectors, settings, device, threads, out)
