# What the rules share: the config, checked; how to call the engine; what depends on what.
import hashlib
import json
import re
import shlex
import sys
from functools import cache

import yaml
from snakemake.utils import validate
from snakemake_interface_executor_plugins.settings import DeploymentMethod

validate(config, "../schemas/config.schema.yaml")

ROOT = Path(str(workflow.current_basedir)).parents[1]
CATALOGUE = (
    yaml.safe_load(
        Path(workflow.source_path("../../config/models.yaml")).read_text("utf-8")
    )
    | config["catalogue"]
)
MODELS, SPACES = config["models"], config["spaces"]
TABLES = {name: table for name, table in config["tables"].items() if table}
FIT_ON = config["reduce"]["fit_on"]
# Bumped by hand when a step's results change. Nothing else in the engine's code causes a rerun.
RECIPE = {
    "convert_model": 1,
    "read_texts": 1,
    "embed_shard": 1,
    "gather_shards": 1,
    "fit_pca": 1,
    "apply_pca": 1,
    "export_table": 1,
    "draw_quality": 1,
    "draw_map": 1,
    "render_notebook": 1,
}


def check_config():
    """Stop with one line at what the schema can't see."""
    for model in MODELS:
        if model not in CATALOGUE:
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


def one_of(names):
    """Return a wildcard constraint that lets just these names through."""
    return "|".join(re.escape(name) for name in names) or "-"


check_config()


wildcard_constraints:
    model=one_of(MODELS),
    table=one_of(TABLES),
    space=r"full|pca[1-9]\d*",
    n=r"[1-9]\d*",
    shard=r"\d+-of-\d+",
    format="tsv|parquet",


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


def options(**flags):
    """Return a param: flags of the engine for the model's settings that the catalogue has."""

    def value(wildcards):
        found = CATALOGUE[wildcards.model]
        return " ".join(
            f"--{key.replace('_', '-')} {shlex.quote(str(found[key]))}"
            for key in flags.values()
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


# --- what depends on what --------------------------------------------------------------------
# Whatever others build on is a checkpoint that leaves a digest of what it made. A job takes such
# a file as ancient() and the digest as a param: it reruns when the content changed, and only
# then. Two traps of Snakemake: a checkpoint's first output must be among the inputs of a rule
# whose params ask it; and behind a job that is to run, ancient() hides changed params until the
# graph is looked at again, which happens after checkpoints alone.


@cache
def json_at(path, mtime):
    return json.loads(Path(path).read_text("utf-8"))


def manifest(path):
    """Read a manifest, once per change."""
    return json_at(str(path), Path(path).stat().st_mtime_ns)


@cache
def sha256_at(path, mtime):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def shard_names(table):
    """Names of a table's shards: 000-of-001."""
    n_shards = TABLES[table]["shards"]
    width = max(3, len(str(n_shards)))
    return [f"{i:0{width}}-of-{n_shards:0{width}}" for i in range(n_shards)]


def shards_of(wildcards):
    """The vectors of all shards of the table."""
    return expand(
        "<results>/{model}/{table}/shards/{shard}.npy",
        model=wildcards.model,
        table=wildcards.table,
        shard=shard_names(wildcards.table),
    )


def texts_made(table):
    return checkpoints.read_texts.get(table=table).output


def full_made(model, table):
    return checkpoints.gather_shards.get(model=model, table=table).output


def space_made(wildcards):
    """Outputs of the job that makes the space."""
    if wildcards.space == "full":
        return full_made(wildcards.model, wildcards.table)
    return checkpoints.apply_pca.get(
        model=wildcards.model,
        table=wildcards.table,
        n=wildcards.space.removeprefix("pca"),
    ).output


def of_texts(name):
    """Return an input: that output of read_texts for the table."""

    def value(wildcards):
        return ancient(getattr(texts_made(wildcards.table), name))

    return value


def of_full(name):
    """Return an input: that file of the table's full space."""

    def value(wildcards):
        return ancient(getattr(full_made(wildcards.model, wildcards.table), name))

    return value


def of_fitted(name):
    """Return an input: that file of the full space that PCAs are fitted on."""

    def value(wildcards):
        return ancient(getattr(full_made(wildcards.model, FIT_ON), name))

    return value


def of_space(name):
    """Return an input: that file of the space."""

    def value(wildcards):
        return ancient(getattr(space_made(wildcards), name))

    return value


def pca_of(wildcards):
    """The PCA with that number of dims."""
    return ancient(
        checkpoints.fit_pca.get(model=wildcards.model, n=wildcards.n).output.pca
    )


def pca_of_space(wildcards):
    """The PCA of a reduced space; nothing for the full one."""
    if wildcards.space == "full":
        return []
    n = wildcards.space.removeprefix("pca")
    return ancient(checkpoints.fit_pca.get(model=wildcards.model, n=n).output.pca)


def layout_of(wildcards):
    """The coordinates of the space's map."""
    return ancient(checkpoints.draw_map.get(**dict(wildcards)).output.layout)


def full_manifests_of(wildcards):
    """The manifests of a table's full spaces, of every model."""
    return [ancient(full_made(model, wildcards.table).manifest) for model in MODELS]


def digest_in(path):
    """Digest of the vectors and rows that a space's manifest tells of."""
    found = manifest(path)
    return f"{found['vectors_digest'][:16]} {found['index_digest'][:16]}"


def shard_digest(wildcards):
    """Digest of the shard's texts."""
    return manifest(texts_made(wildcards.table).manifest)["shards"][wildcards.shard][
        "digest"
    ]


def rows_digest(wildcards):
    """Digest of the table's rows."""
    return manifest(texts_made(wildcards.table).manifest)["digest"]


def full_digest(wildcards):
    """Digest of the table's full space."""
    return digest_in(full_made(wildcards.model, wildcards.table).manifest)


def fitted_digest(wildcards):
    """Digest of the vectors that PCAs are fitted on."""
    return manifest(full_made(wildcards.model, FIT_ON).manifest)["vectors_digest"][:16]


def space_digest(wildcards):
    """Digest of the space."""
    return digest_in(space_made(wildcards).manifest)


def file_digest(of_wildcards):
    """Return a param: the digest of a small file that an input function names."""

    def value(wildcards):
        path = of_wildcards(wildcards)
        return sha256_at(str(path), Path(path).stat().st_mtime_ns) if path else ""

    return value


def quality_digest(wildcards):
    """Digest of what a quality report tells: the rows and every model's vectors of them."""
    made = [digest_in(full_made(model, wildcards.table).manifest) for model in MODELS]
    return [rows_digest(wildcards), *made]


def named_entities(wildcards):
    """Names of the entities whose neighbours the notebook shows, as JSON."""
    return json.dumps(config["report"]["named"])


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
    names = [f"embeddings.{name}" for name in config["exports"] if name != "npy"]
    return in_spaces(*names) if names else []


def pages():
    """Pages for people: maps, notebooks, quality reports."""
    found = expand(
        "<results>/texts/{table}/quality.{ending}",
        table=TABLES,
        ending=["html", "json"],
    )
    if config["report"]["maps"]:
        found += in_spaces("map.html", "map.png", "map.svg", "layout.parquet")
    if config["report"]["notebooks"]:
        found += in_spaces("explore.ipynb", "explore.html")
    return found
