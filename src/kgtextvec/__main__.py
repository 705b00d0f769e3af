"""The command line: one verb per rule, of the same name; `python -m kgtextvec VERB --help`."""

import sys

from kgtextvec.job_client import run_at_server, stop_in_one_line
from kgtextvec.quick_exit import exit_with, prepare_exit

if __name__ == "__main__":
    stop_in_one_line()
    run_at_server("kgtextvec", sys.argv[1:])
    prepare_exit()

import argparse
import gc
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from kgtextvec import __version__
from kgtextvec.cli import call
from kgtextvec.errors import InputError, Stopped, did_you_mean, without_escapes
from kgtextvec.files import as_input_error
from kgtextvec.signals import stoppable

# In the environment of jobs in an image: the version that started the run.
WANTED_VERSION = "KGTEXTVEC_WANTED_VERSION"
# verb: (module, what it does). The module holds a function of the verb's name (embed-shard:
# embed_shard), from whose signature the flags follow. Only the module of the verb that is called
# gets imported, so that a small job starts fast.
VERBS = {
    "run": ("launch", "run the workflow in this folder, with snakemake's own options"),
    "demo": ("launch", "run the workflow on the sample that comes with the package"),
    "models": ("models.listing", "list the models of the catalogue"),
    "share-file": ("models.share", "copy or fetch a user's file for jobs on other machines"),
    "download-model": ("models.download", "fetch a model's files, checked against the lock file"),
    "unpack-model": ("models.unpack", "unpack a model's archive safely"),
    "convert-model": ("models.convert", "check a model and save it as safetensors"),
    "finetune-model": ("finetune.commands", "train a language model further on texts, resumably"),
    "perplexity": ("finetune.commands", "measure the perplexity of a text as bilm-tf does"),
    "read-texts": (
        "texts.verbs",
        "read a table strictly and split its distinct texts into shards",
    ),
    "read-synonyms": ("texts.synonyms", "list the synonyms that a table gives its rows"),
    "init": ("texts.init", "look at your files and write a config for them"),
    "lint": ("texts.verbs", "check a table and list what is wrong with it; writes nothing"),
    "embed-shard": ("embed.shard", "turn the texts of a shard into vectors"),
    "gather-shards": ("embed.gather", "put the vectors of all shards in the order of the table"),
    "store": ("embed.store_admin", "report on the vector store, check it, drop what is unused"),
    "verify": ("verify", "compare all results with what was recorded when they were made"),
    "disk": ("disk", "estimate the disk space that a run needs, and show what is free"),
    "fit-pca": ("reduce.verbs", "fit the basis of a reduced space: an exact PCA"),
    "apply-pca": ("reduce.verbs", "project a table's vectors on a fitted basis"),
    "export-table": ("export.table", "write a space as npy, TSV or Parquet"),
    "export-bundle": (
        "export.bundle",
        "write a space in the files of a trainer, a database or an index",
    ),
    "export-aligned": ("export.aligned", "write vectors in the order of a trainer's own ids"),
    "export-biomedgps": ("export.biomedgps", "write a space for BioMedGPS's trainer and server"),
    "export-entity2d": ("export.biomedgps", "write the entities' map coordinates for BioMedGPS"),
    "write-loaders": ("export.loaders", "write the page that shows how to load an export"),
    "mask-texts": (
        "evaluate.masked_texts",
        "mask the names of neighbours in the texts of hidden entities",
    ),
    "evaluate-space": ("evaluate.scorecard", "score a space and its baselines"),
    "cache-tokens": (
        "probe.cache",
        "turn every word of a probe's corpora into vectors, all layers",
    ),
    "probe-model": ("probe.run", "train small models on word vectors: entities, inference"),
    "predict-links": ("evaluate.links", "train PyKEEN's models from vectors and from random ones"),
    "collect-scores": ("evaluate.collect", "put all scores into one table"),
    "draw-quality": ("report.quality", "write the quality report of a table"),
    "draw-map": ("report.map", "lay a space out in two dimensions and draw it"),
    "render-notebook": ("report.notebook", "run the explore notebook on a space"),
    "compare-spaces": ("report.compare", "write the page that compares all spaces"),
    "draw-index": ("report.index", "write the page that leads to everything a run made"),
    "entities": ("upstream.verbs", "as BioMedGPS's script: entities to vectors"),
    "relation-types": ("upstream.verbs", "as BioMedGPS's script: relation types to vectors"),
    "reduce-dimensions": ("upstream.verbs", "as BioMedGPS's script: reduce the vectors of a TSV"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code.

    0, 2 for what the user can correct, 130 after Ctrl-C and 143 after SIGTERM.
    """
    # Imports make a million objects that stay; looking for garbage among them takes a
    # fifth of a small job.
    gc.set_threshold(100_000)
    with stoppable():
        try:
            return run_verb(list(sys.argv[1:] if arguments is None else arguments))
        except Stopped as error:
            print(f"stopped: {error}", file=sys.stderr)
            return error.exit_code


def run_verb(words: Sequence[str]) -> int:
    """Run the verb that the words begin with; return the exit code. Raises Stopped."""
    parser = argparse.ArgumentParser(
        prog="kgtextvec",
        description=__doc__,
        epilog="\n".join(f"  {verb:16} {what}" for verb, (_, what) in VERBS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("verb", metavar="VERB", help="one of those below")
    verb = parser.parse_args(words[:1]).verb
    try:
        if verb not in VERBS:
            advice = did_you_mean(verb, VERBS) or "kgtextvec --help lists the verbs."
            raise InputError(f"kgtextvec {verb}: there is no such verb. {advice}")
        if WANTED_VERSION in os.environ:
            import_module("kgtextvec.versions").check_version(os.environ[WANTED_VERSION])
        module = import_module(f"kgtextvec.{VERBS[verb][0]}")
        call(getattr(module, verb.replace("-", "_")), verb, words[1:])
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if stop := stop_behind(error):
            raise stop from None
        shown = as_input_error(error, Path(verb))
        if not isinstance(shown, InputError):
            raise
        print(f"ERROR: {without_escapes(str(shown))}", file=sys.stderr)
        return 2
    return 0


def stop_behind(error: BaseException | None) -> Stopped | None:
    """Return the stop that an error was made of: Python does so while a class is being made."""
    while error is not None and not isinstance(error, Stopped):
        error = error.__cause__ or error.__context__
    return error


def program() -> NoReturn:
    """Run the program `kgtextvec`."""
    prepare_exit()
    exit_with(main())


if __name__ == "__main__":
    exit_with(main())
