# What the rules share: the config, checked; how to call the engine; what depends on what.
import json
import re
import shlex
import sys

import yaml
from snakemake.utils import validate
from snakemake_interface_executor_plugins.settings import DeploymentMethod

# Snakemake fails to fill defaults into a null: null tables and sections are left out before.
if isinstance(config.get("tables"), dict):
    config["tables"] = {
        name: t for name, t in config["tables"].items() if t is not None
    }
if config.get("align") is None:
    config.pop("align", None)
if (config.get("evaluate") or {}).get("link_prediction", 0) is None:
    config["evaluate"].pop("link_prediction")
validate(config, "../schemas/config.schema.yaml")

ROOT = Path(str(workflow.current_basedir)).parents[1]
CATALOGUE = (
    yaml.safe_load(
        Path(workflow.source_path("../../config/models.yaml")).read_text("utf-8")
    )
    | config["catalogue"]
)
MODELS, SPACES = config["models"], config["spaces"]
TABLES = config["tables"]
ALIGN = config.get("align")
FIT_ON = config["reduce"]["fit_on"]
BUNDLED = "dglke drkg openke pykeen pyg pgvector word2vec faiss".split()
# Bumped by hand when a step's results change. Nothing else in the engine's code causes a rerun.
RECIPE = {
    "finetune_model": 1,
    "convert_model": 1,
    "read_texts": 1,
    "embed_shard": 1,
    "gather_shards": 1,
    "fit_pca": 1,
    "apply_pca": 1,
    "export_table": 1,
    "export_bundle": 1,
    "export_aligned": 1,
    "export_biomedgps": 1,
    "export_entity2d": 1,
    "write_loaders": 1,
    "evaluate_space": 1,
    "predict_links": 1,
    "cache_tokens": 1,
    "probe_model": 1,
    "collect_scores": 1,
    "draw_quality": 1,
    "draw_map": 1,
    "render_notebook": 1,
    "compare_spaces": 1,
}


def check_config():
    """Stop with one line at what the schema can't see."""
    for model in MODELS:
        if model not in CATALOGUE | config["finetune"]:
            raise WorkflowError(
                f"config, models: {model} is not in the catalogue. Add it under `catalogue:`,"
                f" or choose one of {', '.join(sorted(CATALOGUE))}."
            )
        if model in ("texts", "exports"):
            raise WorkflowError(f"config, models: a model can't be called {model}.")
    if FIT_ON not in TABLES and any(space != "full" for space in SPACES):
        raise WorkflowError(
            f"config, reduce.fit_on: there is no table {FIT_ON}. Choose one of"
            f" {', '.join(TABLES)}."
        )


def check_exports():
    """Stop with one line at exports that can't be made."""
    together = [form for form in config["exports"] if form in BUNDLED]
    if (together or ALIGN) and not any(bundle().values()):
        raise WorkflowError(
            f"config, bundle: exports ({', '.join(together) or 'align'}) need a table of entities"
            " or of relation types."
        )
    if ALIGN and not bundle()["entities"]:
        raise WorkflowError(
            "config, align: there is no table of entities to be aligned."
        )
    if "biomedgps" in config["exports"] and len(config["report"]["layouts"]) < 2:
        raise WorkflowError(
            "config, exports: biomedgps's entity2d needs both maps. Set report.layouts to"
            " [tsne, umap]."
        )


def bundle():
    """Which table of each kind goes into exports that hold both; None where there is none."""
    return {kind: bundled(kind) for kind in ("entities", "relation_types")}


def bundled(kind):
    """The table of that kind: the one named in the config, the only one, or the kind's namesake."""
    asked = config["bundle"][kind]
    names = [name for name, table in TABLES.items() if table["kind"] == kind]
    if asked and asked not in names:
        raise WorkflowError(
            f"config, bundle.{kind}: {asked} is no table of kind {kind}. Choose one of"
            f" {', '.join(names) or 'none, there is no such table'}."
        )
    if asked or not names:
        return asked
    if len(names) > 1 and kind not in names:
        raise WorkflowError(
            f"config, bundle.{kind}: say which of {', '.join(names)} goes into exports that hold"
            " one table of each kind."
        )
    return kind if kind in names else names[0]


def one_of(names):
    """Return a wildcard constraint that lets just these names through."""
    return "|".join(re.escape(name) for name in names) or "-"


check_config()
check_exports()


wildcard_constraints:
    model=one_of(MODELS),
    table=one_of(TABLES),
    space=r"full|pca[1-9]\d*",
    n=r"[1-9]\d*",
    shard=r"\d+-of-\d+",
    format="tsv|parquet",
    form=one_of(BUNDLED),
    dims=r"[1-9]\d*",


# --- the engine ----------------------------------------------------------------------------


def engine(wildcards, resources):
    """Return the engine's command. It takes `resources`, so that no path is kept as a param."""
    in_conda = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
    python = "python" if in_conda else shlex.quote(sys.executable)
    path = (
        f"PYTHONPATH={shlex.quote(str(ROOT / 'src'))} "
        if (ROOT / "src").is_dir()
        else ""
    )
    return f"{path}{python} -P -m kgtextvec"


def unrecorded(**flags):
    """Return a param: flags of the engine for config values that never change a result.

    It takes `resources`, and what does so is no reason to rerun.
    """

    def value(wildcards, resources):
        found = {
            flag: of_config(*key.split("."))(wildcards) for flag, key in flags.items()
        }
        return " ".join(
            f"--{flag.replace('_', '-')} {shlex.quote(str(each))}"
            for flag, each in found.items()
        )

    return value


def grown(amount):
    """Return a resource that grows with every retry."""

    def of_attempt(wildcards, attempt):
        return amount * attempt

    return of_attempt


# --- settings of a model or a table ----------------------------------------------------------


def of_model(key, default=None):
    """Return a param: what the catalogue says of the model."""

    def value(wildcards):
        return CATALOGUE[wildcards.model].get(key, default)

    return value


def entry(*keys):
    """Return a param: those keys of the model's catalogue entry, as JSON."""

    def value(wildcards):
        found = CATALOGUE[wildcards.model]
        return json.dumps(
            {key: found[key] for key in keys if key in found}, sort_keys=True
        )

    return value


def options(*keys):
    """Return a param: flags of the engine for those keys that the model's entry has."""

    def value(wildcards):
        found = CATALOGUE[wildcards.model]
        return " ".join(
            f"--{key.replace('_', '-')} {shlex.quote(str(found[key]))}"
            for key in keys
            if key in found
        )

    return value


def of_table(key):
    """Return a param: a setting of the table."""

    def value(wildcards):
        return TABLES[wildcards.table][key]

    return value


def text_rule(wildcards):
    """The table's text rule: columns with commas between, or a template."""
    table = TABLES[wildcards.table]
    by_kind = {"relation_types": "description", "entities": "description,name"}
    text = table.get("text") or by_kind[table["kind"]]
    return text if isinstance(text, str) else ",".join(text)


def of_config(*keys):
    """Return a param: a value of the config."""

    def value(wildcards):
        found = config
        for key in keys:
            found = found[key]
        return found

    return value


POLICIES = "empty_text duplicates bad_lines encoding quoting text_clean".split()


def policies(wildcards):
    """Return a param: how the table's faults are met, as flags of the engine."""
    table = TABLES[wildcards.table]
    flags = [f"--{key.replace('_', '-')} {shlex.quote(table[key])}" for key in POLICIES]
    return " ".join(
        [*flags, "--allow-empty" if table["allow_empty"] else "--no-allow-empty"]
    )


# --- users' files ----------------------------------------------------------------------------


def users_file(path):
    """A user's path: relative to the working directory, else to the workflow's own folder."""
    if not Path(path).exists() and (ROOT / path).exists():
        return local(str(ROOT / path))
    return local(path)


def table_file(wildcards):
    """The table's file."""
    return users_file(TABLES[wildcards.table]["file"])


def used_by(wildcards):
    """The triples that name the rows in use, if the table has them."""
    found = TABLES[wildcards.table].get("used_by")
    return users_file(found) if found else []


def graph_file(key):
    """Return an input: triples for the scores of a table of entities."""

    def value(wildcards):
        found = config["evaluate"][key]
        is_graph = found and TABLES[wildcards.table]["kind"] == "entities"
        return users_file(found) if is_graph else []

    return value


def used_by_flag(wildcards):
    """The same as a flag of the engine."""
    found = used_by(wildcards)
    return f"--used-by {shlex.quote(str(found))}" if found else ""


def source_files(wildcards):
    """Files of a model that lie on this machine (`path:`, `file:`): a change makes it anew."""
    found = []
    sources = CATALOGUE[wildcards.model]["source"]
    for source in sources if isinstance(sources, list) else [sources]:
        for one in source.values() if isinstance(source, dict) else [source]:
            kind, _, path = one.partition(":")
            if kind in ("path", "file") and Path(path).exists():
                files = (
                    [Path(path)]
                    if Path(path).is_file()
                    else sorted(Path(path).iterdir())
                )
                found += [local(str(file)) for file in files if file.is_file()]
    return found


# --- targets ---------------------------------------------------------------------------------


def in_spaces(*names):
    """Those files of every model, table and space."""
    return expand(
        "<results>/{model}/{table}/{space}/{name}",
        model=MODELS,
        table=TABLES,
        space=SPACES,
        name=names,
    )


def vectors():
    """The vectors of every space, and the PCAs behind them."""
    reduced = [space for space in SPACES if space != "full"]
    fitted = expand("<results>/{model}/{space}.npz", model=MODELS, space=reduced)
    return in_spaces("embeddings.npy", "index.parquet", "manifest.json") + fitted


def exports():
    """Every export of every space; npy is the space's own file."""
    names = [
        f"embeddings.{name}" for name in ("tsv", "parquet") if name in config["exports"]
    ]
    return in_spaces(*names) if names else []


def scores():
    """The scores of every space, when any are wanted."""
    return in_spaces("scores.json") if config["evaluate"]["scores"] else []


def pages():
    """Pages for people: maps, notebooks, quality reports."""
    found = expand(
        "<results>/texts/{table}/quality.{ending}",
        table=TABLES,
        ending=["html", "json"],
    )
    if LINKS or PROBES:
        found += link_predictions() + probes() + ["<results>/scores.tsv"]
    if config["evaluate"]["scores"]:
        names = ("scores.tsv", "compare.html", "compare.ipynb")
        found += [f"<results>/{name}" for name in names]
    if config["report"]["maps"]:
        found += in_spaces("map.html", "map.png", "map.svg", "layout.parquet")
    if config["report"]["notebooks"]:
        found += in_spaces("explore.ipynb", "explore.html")
    return found
