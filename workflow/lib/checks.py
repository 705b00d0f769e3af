"""What no single setting of the config shows, checked when the plan is made."""

import re
import sys
from collections.abc import Sequence
from glob import has_magic
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

import yaml

from kgtextvec.errors import InputError, did_you_mean
from kgtextvec.files import advice_to_read
from kgtextvec.kinds import FACTS, IN_GRAPHS, KINDS
from kgtextvec.locations import need_package
from kgtextvec.models.endpoint import check_keys_of_kind
from kgtextvec.models.entry import locations_of
from kgtextvec.settings.base import read_settings
from kgtextvec.settings.models import Model
from kgtextvec.settings.tables import Table
from kgtextvec.settings.training import FineTune

from .model_dims import check_files_of_biomedgps, known_dims
from .named import advice_to_find, named_files, named_lists
from .score_checks import check_leakage, check_links

if TYPE_CHECKING:
    from .plan import Plan

# Files of Linux for GPUs of NVIDIA (also in WSL, and Tegra's) and of AMD, cuda to torch too.
GPU_FILES = ("nvidia[0-9]*", "dxg", "nvhost-gpu", "nvgpu", "kfd")
# Buckets that files are read from: the scheme of their URLs, the name of Snakemake's plugin.
STORAGE_PLUGINS = {"s3": "s3", "gs": "gcs"}
# Other folders next to those of the models in results/.
RESERVED = ("texts", "exports")


def add_hub_models(plan: "Plan") -> None:
    """Take an `owner/name` among the models for the catalogue's entry of it, or for a new entry.

    The new one is called `name`. Raises InputError when another model is called so.
    """
    names: list[str] = []
    for given in plan.models:
        if given.startswith(("/", ".", "~")):
            name = Path(given).name or "my-model"
            raise InputError(
                f"config, models: {given}: a folder has an entry in the catalogue. Write models:"
                f' [{name}] and catalogue: {{{name}: {{source: "path:{given}"}}}}.'
            )
        address = f"hub:{given.removeprefix('hub:')}"
        if "/" not in given or ":" in address.removeprefix("hub:"):
            names.append(given)
            continue
        name = address.partition("@")[0].rpartition("/")[2]
        same = [one for one, entry in plan.catalogue.items() if is_from(entry, address)]
        if not same and name in plan.catalogue:
            raise InputError(
                f"config, models: {given}: the catalogue has another model called {name}. Write"
                f" models: [{name}-2] and catalogue: {{{name}-2: {{source: {address}}}}}."
            )
        if not same:
            plan.entries[name] = {"source": address}
            plan.catalogue[name] = read_settings(Model, plan.entries[name], f"models, {given}.")
        names += same[:1] or [name]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"config, models: {twice} is there twice. Remove one of them.")
    plan.models = tuple(names)


def is_from(entry: Model, address: str) -> bool:
    """Return whether a source of a model is that address, or the same with a revision."""
    sources = entry.source if isinstance(entry.source, tuple) else (entry.source,)
    return any(address in (one, one.partition("@")[0]) for one in sources if isinstance(one, str))


def add_finetuned(plan: "Plan") -> None:
    """Add the models to be fine-tuned to the catalogue: the base's entry, another source.

    A base may be one of them; it comes first.
    """
    waiting = dict(plan.finetuned)
    for name in waiting:
        if name in plan.catalogue or name in RESERVED:
            raise InputError(
                f"config, finetune: the name {name} is taken. Choose another one for the new model."
            )
    while waiting:
        ready = [name for name, wanted in waiting.items() if wanted.origin not in waiting]
        if not ready:
            name, wanted = next(iter(waiting.items()))
            raise InputError(
                f"config, finetune.{name}.from: {wanted.origin} is trained from {name} itself, in a"
                " circle. Start from a model of the catalogue."
            )
        for name in ready:
            add_one_finetuned(plan, name, waiting.pop(name))


def add_one_finetuned(plan: "Plan", name: str, wanted: FineTune) -> None:
    """Add one model to be fine-tuned to the catalogue."""
    base = plan.catalogue.get(wanted.origin)
    if base is None or base.kind != "elmo" or not has_checkpoint(base):
        raise InputError(
            f"config, finetune.{name}.from: {wanted.origin} is not an ELMo of the catalogue"
            " that comes with a training checkpoint. Name one, such as bioelmo-checkpoint."
        )
    plan.entries[name] = plan.entries[wanted.origin] | {"source": f"finetune:{wanted.origin}"}
    plan.catalogue[name] = base


def has_checkpoint(base: Model) -> bool:
    """Return whether a checkpoint is among the files, or whether that can't be seen from here."""
    sources = base.source if isinstance(base.source, tuple) else (base.source,)
    return any(
        isinstance(source, str) or any(name.endswith(".index") for name in source)
        for source in sources
    )


def check_plan(plan: "Plan") -> None:
    """Raise InputError at the first thing that can't be done, one line that names the key."""
    check_models(plan)
    config = plan.config
    if plan.fit_on not in plan.tables and plan.reduced:
        raise InputError(
            f"config, reduce.fit_on: there is no table {plan.fit_on}. Choose one of"
            f" {', '.join(plan.tables)}."
        )
    triples = config.evaluate.triples
    if triples and plan.files(triples) != plan.files(plan.graph_asked):
        raise InputError(
            f"config, evaluate.triples: {', '.join(plan.files(triples))} is not graph.file"
            f" ({', '.join(plan.files(plan.graph_asked))}). Leave one of them out."
        )
    for name, table in plan.tables.items():
        for kind in KINDS.values():
            setting = kind.id_setting
            if setting and table.kind != kind.name and getattr(table, setting) != "auto":
                raise InputError(
                    f"config, tables.{name}.{setting}: is for tables of kind {kind.name},"
                    f" this one is of kind {table.kind}. Remove it."
                )
    if plan.tables_of("facts") and not plan.tables_of("entities"):
        raise InputError(
            "config, tables: facts take their names from a table of entities, and there is none."
            " Add one."
        )
    inverse = config.bundle.inverse_relations
    if inverse not in ("none", "negated", *plan.tables_of("relation_types")):
        raise InputError(
            f"config, bundle.inverse_relations: {inverse} is not a table of relation types. Choose"
            f" among {', '.join(['none', 'negated', *plan.tables_of('relation_types')])}."
        )
    needing = [*plan.bundle_forms, *(["align"] if config.align else [])]
    if needing and not any(plan.bundle[kind.name] for kind in IN_GRAPHS):
        raise InputError(
            f"config, bundle: exports ({', '.join(needing)}) need a table of entities or of"
            " relation types. Add one, or leave these exports out."
        )
    if config.align and not plan.bundle["entities"]:
        raise InputError("config, align: there is no table of entities to be aligned. Add one.")
    if "biomedgps" in config.exports:
        check_files_of_biomedgps(plan)
    if plan.links is not None:
        check_links(plan, plan.links)
    if "leakage" in config.evaluate.scores:
        check_leakage(plan)
    if plan.in_image:
        check_image(plan)
    elif not plan.in_conda:
        check_packages(plan)
    elif not (plan.root / "src").is_dir():
        raise InputError(
            "--sdm conda: an installed package has no engine for conda's environments. Run from a"
            " checkout, or leave --sdm conda out."
        )


def check_image(plan: "Plan") -> None:
    """Check that there is an image for --sdm apptainer."""
    image = plan.config.image
    if plan.in_conda:
        raise InputError("--sdm conda apptainer: jobs run in the one or the other. Leave one out.")
    if image is None:
        raise InputError(
            "config, image: --sdm apptainer runs jobs in an image, and none is named. Build one"
            " (docs/containers.md) and give its path or address."
        )


def check_packages(plan: "Plan") -> None:
    """Check that the packages for what is optional are installed, where it is asked for."""
    report = plan.config.report
    if report.maps or report.notebooks:
        for module in ("openTSNE", "umap"):
            need_package(
                module, "maps", "config, report: maps and notebooks (report.maps, report.notebooks)"
            )
    if "faiss" in plan.config.exports:
        need_package("faiss", "faiss", "config, exports: files of the form faiss")
    if plan.config.probe.ner:
        need_package("nervaluate", "probe", "config, probe.ner: scores")


def check_models(plan: "Plan") -> None:
    """Check the models asked for: their names, where they come from, how many dims they have."""
    for model in plan.models:
        if model not in plan.catalogue:
            advice = (
                f"{did_you_mean(model, plan.catalogue)} Add it under `catalogue:`, or choose one of"
                f" {', '.join(sorted(plan.catalogue))}."
            )
            raise InputError(f"config, models: {model} is not in the catalogue. {advice.strip()}")
        if model in RESERVED:
            raise InputError(f"config, models: a model cannot be called {model}. Rename it.")
        entry = plan.catalogue[model]
        dims = known_dims(plan, model, entry)
        for space in plan.reduced if dims else ():
            if plan.dims_in(space) > dims:
                raise InputError(
                    f"config, spaces: {space} asks for {plan.dims_in(space)} dims, {model} has"
                    f" {dims}. Ask for 1 to {dims}, or leave {model} out."
                )
    for model in plan.all_models:
        entry = plan.catalogue[model]
        check_keys_of_kind(model, entry)
        check_adapter(plan, model, entry.adapter_of)
        if entry.kind in ("endpoint", "words") and plan.config.mode == "faithful":
            where = "at its server" if entry.kind == "endpoint" else "without a transformer"
            raise InputError(
                f"config, mode: faithful concerns how a model is run, and {model} runs {where}."
                " Leave it out, or set the mode to correct."
            )
        if entry.kind == "endpoint":
            check_endpoint_use(plan, model)
        elif model not in plan.finetuned:
            locations_of(model, entry)


def check_adapter(plan: "Plan", model: str, adapted: str | None) -> None:
    """Check that what an adapter belongs to is a transformers model of the catalogue."""
    base = plan.catalogue.get(adapted or "")
    if adapted and (base is None or base.kind != "transformer" or base.adapter_of):
        near = did_you_mean(adapted, [name for name in plan.catalogue if name != model])
        raise InputError(
            f"catalogue, {model}.adapter_of: {adapted} is not a transformers model of the catalogue"
            f" with weights of its own. {near} Add it under `catalogue:`, or correct the name."
        )


def check_endpoint_use(plan: "Plan", model: str) -> None:
    """Check that nothing is asked for that takes a model's weights."""
    if plan.probes:
        raise InputError(
            f"config, probe: {model} is an endpoint, which gives no vectors of words. Leave it or"
            " the section out."
        )


def check_device(plan: "Plan") -> None:
    """Check that this machine, which runs the jobs, has the GPU that `embed.device` asks for.

    Importing torch would take seconds, so the system's own files are looked at.
    """
    device = plan.config.embed.device
    if not device.startswith("cuda") or not sys.platform.startswith(("linux", "darwin")):
        return
    if not any(any(Path("/dev").glob(name)) for name in GPU_FILES):
        why = "this machine has no GPU"
    elif not (plan.in_conda or plan.in_image) and is_cpu_build("torch"):
        why = "the PyTorch here is the one for CPUs"
    else:
        return
    raise InputError(
        f"config, embed.device: {device} is asked for, but {why}. Write auto or cpu, or run the"
        " jobs where a GPU is (docs/running.md)."
    )


def is_cpu_build(package: str) -> bool:
    """Return whether an installed package is a build without support for GPUs."""
    try:
        return version(package).endswith("+cpu")
    except PackageNotFoundError:
        return False


def check_files(plan: "Plan", one_disk: bool = True) -> None:
    """Check that every file that the config names is there, whether or not results exist.

    Raises InputError that names the key. `one_disk`: jobs see the disk that users' files are on;
    elsewhere a pattern would match other files.
    """
    for key, asked in named_lists(plan):
        paths = (asked,) if isinstance(asked, str) else asked or ()
        if not one_disk and any(has_magic(path) for path in paths):
            raise InputError(
                f"{key}: a pattern can't be resolved on other machines"
                " (--shared-fs-usage). List the files."
            )
    if not one_disk and plan.finetuned:
        raise InputError(
            "config, finetune: needs a disk that all machines share (--shared-fs-usage). Fine-tune"
            " on one machine first, then name the new model's folder in the catalogue."
        )
    for key, path in named_files(plan):
        if "://" in path:
            check_url(key, path)
        elif wrong := wrong_kind(Path(plan.file(path)), key):
            raise InputError(f"{key}: {path}: {wrong}")
        elif not Path(plan.file(path)).exists():
            raise InputError(f"{key}: {path}: no such file. {advice_to_find(path)}")
    for name, table in plan.tables.items():
        if table.kind != FACTS.name and (table.text is not None or table.columns):
            check_columns_of_text(name, table, plan)


def wrong_kind(path: Path, key: str) -> str:
    """Say what is wrong with a path that is there but can't be read as a file; "" if nothing is.

    Models may be folders, and so may images.
    """
    if advice := advice_to_read(path):
        return f"permission denied; {advice}."
    if not path.exists():
        if not path.is_symlink():
            return ""
        return f"is a link to {path.readlink()}, which is not there. Correct the link."
    if path.is_file():
        return ""
    if not path.is_dir():
        return "is a pipe or a device, which can be read only once. Save it as a file."
    if key == "config, image" or key.endswith(".source"):
        return ""
    return "is a folder, not a file. Name the file in it."


def check_url(key: str, url: str) -> None:
    """Check that a file's URL is one that can be read here: https, or a bucket with its plugin."""
    scheme = url.partition("://")[0]
    if scheme in ("http", "https"):
        return
    if scheme not in STORAGE_PLUGINS:
        raise InputError(
            f"{key}: {url}: only https://… and {', '.join(f'{one}://…' for one in STORAGE_PLUGINS)}"
            " can be read. Download the file and give its path."
        )
    plugin = STORAGE_PLUGINS[scheme]
    if find_spec(f"snakemake_storage_plugin_{plugin}") is None:
        raise InputError(
            f"{key}: {url}: needs Snakemake's storage plugin. Run pip install"
            f" snakemake-storage-plugin-{plugin}, or download the file and give its path."
        )


def check_provider(provider: str | None) -> None:
    """Check that the program is there by which Snakemake copies files to a scratch disk."""
    if provider == "fs" and not which("rsync"):
        raise InputError("--default-storage-provider fs: needs the program rsync. Install it.")


def check_columns_of_text(name: str, table: Table, plan: "Plan") -> None:
    """Check that a table has the columns that the config names; read-texts finds other faults."""
    from kgtextvec.texts.columns import absent_from_table
    from kgtextvec.texts.findings import TableError

    paths = [Path(path) for path in plan.files(table.file)]
    headers = [Path(path) for path in plan.files(table.header_file)]
    try:
        key, what = absent_from_table(table, paths, headers)
    except (TableError, OSError):
        return
    except InputError as error:
        raise InputError(f"config, tables.{name}: {error}") from None
    if what:
        message = f"config, tables.{name}.{key}: {paths[0]} {what}".rstrip(".")
        raise InputError(f"{message}.")


def with_config_file(message: str, files: Sequence[str]) -> str:
    """Put the config file in front of a message about one of its keys; the last that has it."""
    key = re.match(r"(?:config, )?(\w+)", message)
    for file in reversed(files):
        values = yaml.safe_load(Path(file).read_text("utf-8"))
        if key and isinstance(values, dict) and key[1] in values:
            return f"{file}: {message}"
    return message
