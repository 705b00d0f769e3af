"""The verbs finetune-model and perplexity. Torch is imported once their flags are read."""

from pathlib import Path
from typing import Annotated

from msgspec import field

from kgtextvec.settings.base import FilePath, Settings, WordSplitter
from kgtextvec.settings.models import Device
from kgtextvec.settings.training import FineTuning


class TrainingNames(Settings):
    """Names in the record and on the page."""

    name: FilePath | None = None
    """Name of the new model (default: the folder's)."""
    origin: FilePath | None = None
    """Name of the old model (default: its folder's)."""
    text_name: FilePath | None = None
    """Name of the text (default: its path)."""


class TrainingFiles(Settings):
    """Files to write besides the folder."""

    losses: FilePath | None = None
    """Losses, TSV (default: in --out)."""
    record: FilePath | None = field(default=None, name="about")
    """Record, JSON (default: in --out)."""
    page: FilePath | None = None
    """Page with the curve, HTML (default: in --out)."""
    downloaded: FilePath | None = None
    """Record for convert-model, JSON."""


def finetune_model(
    model: Annotated[Path, "folder of a training checkpoint, options.json, vocabulary.txt"],
    *,
    text: Annotated[Path, "one sentence per line, or a table's shards"],
    out: Annotated[Path, "folder to make"],
    vocabulary: Annotated[Path | None, "word list (default: the folder's)"] = None,
    names: TrainingNames = TrainingNames(),
    files: TrainingFiles = TrainingFiles(),
    training: FineTuning = FineTuning(),
    device: Device = Device(),
    threads: Annotated[int | None, "CPU threads (default: all cores)"] = None,
    work: Annotated[Path, "folder of the snapshots"] = Path(".kgtextvec/finetune"),
) -> None:
    """Train a language model further on a text.

    The folder `out` gets weights.hdf5, options.json and vocabulary.txt in bilm-tf's form, and
    checkpoint/, from which training can continue. Everything is checked before the weights are
    read: raises InputError for what the user can correct, Stopped after SIGTERM.
    """
    from kgtextvec.finetune.plan import make_plan, read_training_texts, training_settings
    from kgtextvec.finetune.run import run_training
    from kgtextvec.finetune.source import open_source
    from kgtextvec.finetune.write import (
        training_record,
        write_downloaded,
        write_finetune_results,
        write_model,
    )
    from kgtextvec.progress import say
    from kgtextvec.source_files import SourceFiles

    name = names.name or out.name
    source = open_source(model, vocabulary)
    settings = training_settings(training, source)
    read = [text, *([Path(training.held_out)] if isinstance(training.held_out, str) else [])]
    sources = SourceFiles(read)
    texts = read_training_texts(text, training, source)
    planned = make_plan(source, texts, settings, training.epochs, work / name)
    say(
        f"{name}: {len(texts.learned.spans):,} sentences to learn from, {len(texts.held.spans):,}"
        f" held out, {100 * texts.unknown:.2f} % of the words outside the vocabulary,"
        f" {planned.steps:,} steps"
    )
    asked = {
        "model": name,
        "from": names.origin or model.name,
        "text": names.text_name or str(text),
        "tokens": training.tokens or "whitespace",
        "held_out": str(training.held_out),
        "epochs": float(training.epochs),
        "sources": sources.record(),
    }
    outcome = run_training(planned, device.device, threads, training.snapshot_minutes)
    write_model(planned, outcome, out)
    record = training_record(planned, outcome, asked)
    write_finetune_results(
        record,
        outcome.costs,
        Path(files.losses or out / "finetune.tsv"),
        Path(files.record or out / "finetune.json"),
        Path(files.page or out / "finetune.html"),
    )
    if files.downloaded:
        write_downloaded(record, Path(files.downloaded))


def perplexity(
    *,
    model: Annotated[Path, "folder of a training checkpoint, or one that finetune-model made"],
    text: Annotated[Path, "one sentence per line, or a table's shards"],
    vocabulary: Annotated[Path | None, "word list (default: the folder's)"] = None,
    tokens: Annotated[WordSplitter, "how sentences are split into words"] = "whitespace",
    batch_size: Annotated[int, "sentences read in parallel (bilm-tf's is 256)"] = 256,
    device: Device = Device(),
    threads: Annotated[int | None, "CPU threads (default: all cores)"] = None,
    json: Annotated[bool, "print it as JSON, too"] = False,
) -> None:
    """Print the perplexity of a text under a language model, measured as bilm-tf does.

    Raises InputError when files are missing or don't fit each other.
    """
    import sys
    from dataclasses import asdict
    from json import dumps

    from kgtextvec.device import set_threads
    from kgtextvec.finetune.run import perplexity_of_text
    from kgtextvec.progress import say

    set_threads(threads)
    found = perplexity_of_text(model, text, vocabulary, tokens, batch_size, device.device)
    if json:
        sys.stdout.write(dumps(asdict(found)) + "\n")
        sys.stdout.flush()
    say(
        f"perplexity {found.average:.6f} (forward {found.forward:.6f}, backward"
        f" {found.backward:.6f}; {found.words:,} words each way, batch size {batch_size})"
    )
