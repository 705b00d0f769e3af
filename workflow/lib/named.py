"""The files that the config names."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kgtextvec.errors import most_like
from kgtextvec.models.sources import scheme_of
from kgtextvec.models.sources.file import path_in
from kgtextvec.settings.training import GeneFiles

if TYPE_CHECKING:
    from .plan import Plan


def named_lists(plan: "Plan") -> Iterator[tuple[str, str | Sequence[str] | None]]:
    """Yield (key, value) of each key that takes a path, a pattern or a list of them."""
    for name, table in plan.tables.items():
        yield f"config, tables.{name}.file", table.file
        yield f"config, tables.{name}.header_file", table.header_file
        yield f"config, tables.{name}.used_by", table.used_by
    config = plan.config
    yield "config, graph.file", config.graph.file if config.graph else None
    yield "config, evaluate.triples", config.evaluate.triples
    yield "config, evaluate.test_triples", config.evaluate.test_triples
    yield "config, align.to", config.align.to if config.align else None


def named_files(plan: "Plan") -> Iterator[tuple[str, str]]:
    """Yield (key, path) of every file that the config names."""
    config = plan.config
    for key, asked in named_lists(plan):
        yield from ((key, path) for path in plan.files(asked))
    if config.image and "://" not in config.image:
        yield "config, image", config.image
    for name, wanted in plan.finetuned.items():
        if wanted.text not in plan.tables:
            yield f"config, finetune.{name}.text", wanted.text
        if isinstance(wanted.held_out, str):
            yield f"config, finetune.{name}.held_out", wanted.held_out
    for probe in plan.probes:
        for key, paths in corpora_of(plan, probe):
            yield from ((f"config, {key}", path) for path in paths)
    for model in plan.all_models:
        source = plan.catalogue[model].source
        if model in plan.finetuned or isinstance(source, tuple):  # the next source may be there
            continue
        for address in [source] if isinstance(source, str) else source.values():
            if scheme_of(address) in ("path", "file"):
                yield f"catalogue, {model}.source", str(path_in(address))


def corpora_of(plan: "Plan", probe: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the key and the files of each part of a probe's corpora."""
    corpora = getattr(plan.config.probe, probe)
    for part in ("train", "dev", "test"):
        found = getattr(corpora, part, None)
        files: list[str | None] = (
            [found.sentences, found.genes, found.alternatives]
            if isinstance(found, GeneFiles)
            else [found]
        )
        yield f"probe.{probe}.{part}", [path for path in files if path]


def advice_to_find(path: str) -> str:
    """Say what to do about a file that is not there."""
    folder = Path(path).parent
    names = [one.name for one in folder.iterdir()] if folder.is_dir() else []
    if near := most_like(Path(path).name, names):
        return f"Did you mean {folder / near}?"
    if path.startswith("~"):
        return "Write the folder in place of ~."
    if Path(path).is_absolute():
        return "Correct the path."
    return f"Correct the path: it begins in the folder where the workflow runs, {Path.cwd()}."
