"""Fine-tuning: a language model goes on training on the texts of a graph; its perplexity."""

import argparse
from pathlib import Path

TOKENS = ("whitespace", "treebank", "treebank_hyphen")


def finetune_model(
    model: Path,
    text: Path,
    out: Path,
    vocabulary: Path | None = None,
    name: str | None = None,
    origin: str | None = None,
    text_name: str | None = None,
    tokens: str = "whitespace",
    held_out: str = "0.05",
    epochs: float = 1.0,
    batch_size: int | None = None,
    unroll_steps: int | None = None,
    learning_rate: float | None = None,
    dropout: float | None = None,
    clip_norm: float | None = None,
    softmax: str = "auto",
    samples: int | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    work: Path = Path(".kgtextvec/finetune"),
    snapshot_minutes: float = 10.0,
    losses: Path | None = None,
    about: Path | None = None,
    page: Path | None = None,
    downloaded: Path | None = None,
) -> None:
    """Train the language model in the folder `model` on `text`; write the folder `out`.

    `out` holds weights.hdf5, options.json and vocabulary.txt in bilm-tf's form, and checkpoint/,
    from which training can go on. Snapshots lie in `work` meanwhile. Everything is checked before
    the weights are read: raises InputError for what the user can correct, Stopped after SIGTERM.
    """
    from kgtextvec.finetune.plan import Asked, make_plan, read_training_texts
    from kgtextvec.finetune.run import run
    from kgtextvec.finetune.source import open_source
    from kgtextvec.finetune.write import (
        facts,
        write_downloaded,
        write_finetune_results,
        write_model,
    )
    from kgtextvec.progress import say

    name = name or out.name
    asked = Asked(
        epochs, batch_size, unroll_steps, learning_rate, dropout, clip_norm, softmax, samples, seed
    )
    source = open_source(model, vocabulary)
    settings = asked.settings(source)
    texts = read_training_texts(text, held_out, tokens, seed, source)
    planned = make_plan(source, texts, settings, epochs, work / name)
    say(
        f"{name}: {len(texts.learned.spans):,} sentences to learn from, {len(texts.held.spans):,}"
        f" held out, {100 * texts.unknown:.2f} % of the words outside the vocabulary,"
        f" {planned.steps:,} steps"
    )
    outcome = run(planned, device, threads, snapshot_minutes)
    write_model(planned, outcome, out)
    wished = {
        "model": name,
        "from": origin or model.name,
        "text": text_name or str(text),
        "tokens": tokens,
        "held_out": held_out,
        "epochs": epochs,
    }
    about_run = facts(planned, outcome, wished)
    write_finetune_results(
        about_run,
        outcome.costs,
        losses or out / "finetune.tsv",
        about or out / "finetune.json",
        page or out / "finetune.html",
    )
    if downloaded:
        write_downloaded(about_run, downloaded)


def finetune_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of finetune-model."""
    add = parser.add_argument
    add("model", type=Path, help="folder of a training checkpoint, options.json, vocabulary.txt")
    add("--text", type=Path, required=True, help="one sentence a line, or a table's shards")
    add("--out", type=Path, required=True, help="folder to make")
    add("--vocabulary", type=Path, help="word list (default: the folder's)")
    add("--name", help="name of the new model (default: the folder's)")
    add("--origin", help="what the old model is called (default: its folder)")
    add("--text-name", help="what the text is called (default: its path)")
    add("--tokens", choices=TOKENS, default="whitespace", help="how sentences become words")
    add("--held-out", default="0.05", help="share of the sentences, or a text of its own")
    add("--epochs", type=float, default=1.0, help="passes over the text")
    add("--batch-size", type=int, help="sentences side by side (default: the options')")
    add("--unroll-steps", type=int, help="words of a window (default: the options')")
    add("--learning-rate", type=float, help="default: the options', else 0.2")
    add("--dropout", type=float, help="default: the options'")
    add("--clip-norm", type=float, help="default: the options' all_clip_norm_val")
    add("--softmax", choices=("auto", "full", "sampled"), default="auto")
    add("--samples", type=int, help="default: the options' n_negative_samples_batch")
    add("--seed", type=int, default=0)
    add("--device", default="auto", help="auto, cuda or cpu")
    add("--threads", type=int, help="CPU threads; default: all cores")
    add("--work", type=Path, default=Path(".kgtextvec/finetune"), help="where snapshots lie")
    add("--snapshot-minutes", type=float, default=10.0, help="how often one is written")
    add("--losses", type=Path, help="losses, TSV (default: in --out)")
    add("--about", type=Path, help="record, JSON (default: in --out)")
    add("--page", type=Path, help="page with the curve, HTML (default: in --out)")
    add("--downloaded", type=Path, help="record for convert-model, JSON")


def perplexity(
    model: Path,
    text: Path,
    vocabulary: Path | None = None,
    tokens: str = "whitespace",
    batch_size: int = 256,
    device: str = "auto",
    threads: int | None = None,
    json: bool = False,
) -> None:
    """Print how surprising `text` is to a language model, by bilm-tf's own measure.

    `model` is the folder of a training checkpoint, or one that finetune-model made. Raises
    InputError when files are missing or don't fit each other.
    """
    import sys
    from dataclasses import asdict
    from json import dumps

    from kgtextvec.finetune.run import perplexity_of_text
    from kgtextvec.progress import say

    found = perplexity_of_text(model, text, vocabulary, tokens, batch_size, device, threads)
    if json:
        sys.stdout.write(dumps(asdict(found)) + "\n")
        sys.stdout.flush()
    say(
        f"perplexity {found.average:.6f} (forward {found.forward:.6f}, backward"
        f" {found.backward:.6f}; {found.words:,} words each way, batch size {batch_size})"
    )


def perplexity_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of perplexity."""
    add = parser.add_argument
    add("--model", type=Path, required=True, help="folder of a training checkpoint")
    add("--text", type=Path, required=True, help="one sentence a line, or a table's shards")
    add("--vocabulary", type=Path, help="word list (default: the folder's)")
    add("--tokens", choices=TOKENS, default="whitespace", help="how sentences become words")
    add("--batch-size", type=int, default=256, help="sentences side by side; bilm-tf's is 256")
    add("--device", default="auto", help="auto, cuda or cpu")
    add("--threads", type=int, help="CPU threads; default: all cores")
    add("--json", action="store_true", help="print it as JSON, too")
