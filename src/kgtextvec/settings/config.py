"""The config: its sections, and the settings that belong to none."""

from typing import Annotated

from msgspec import Meta, field

from kgtextvec.registry import FORMS, SPACES
from kgtextvec.settings.base import RUN, FilePath, ModelName, TableName, named_in
from kgtextvec.settings.edges import GraphEdges
from kgtextvec.settings.models import Embed, Mode, Model
from kgtextvec.settings.scores import Evaluate
from kgtextvec.settings.spaces import Align, Bundle, Reduce, Report
from kgtextvec.settings.tables import Table
from kgtextvec.settings.training import FineTune, Probe


class Config(Mode, kw_only=True):
    """The config of the workflow."""

    tables: Annotated[dict[TableName, Table], Meta(min_length=1)]
    """The inputs, by a name of yours; a table that is null is left out."""
    models: Annotated[tuple[str, ...], Meta(min_length=1)] = (
        "biobert-base-cased-v1.1",
        "RoBERTa-large-PM-M3-Voc",
        "bioelmo",
    )
    """Names of config/models.yaml, of `catalogue` or of `finetune`, or a hub's `owner/name`."""
    spaces: Annotated[tuple[str, ...], Meta(min_length=1), named_in(SPACES)] = ("full", "pca400")
    """`full`: the model's own dims; `pcaN`: reduced to N dims; also `pcaN-white`, `abttK`, `rpN`
    and `truncN` (other spaces: docs/reduce.md)."""
    graph: GraphEdges | None = None
    """The graph whose nodes and relations the tables describe: for scores, and to find out what
    it calls the rows. How it is read holds for every file of edges."""
    exports: Annotated[tuple[str, ...], named_in(FORMS)] = ("npy", "tsv", "parquet")
    """Files to write; `npy` is always there: docs/exports.md."""
    bundle: Bundle = Bundle()
    """Tables for exports that hold one of each kind."""
    align: Align | None = None
    """Vectors in the order of a trainer's own ids: docs/exports.md."""
    embed: Embed = Embed()
    """How models run."""
    reduce: Reduce = Reduce()
    """How vectors are reduced."""
    report: Report = Report()
    """Maps and notebooks."""
    evaluate: Evaluate = Evaluate()
    """What the vectors are worth."""
    finetune: dict[ModelName, FineTune] = field(default_factory=dict)
    """Language models to train further, by the new models' names: docs/finetune.md."""
    probe: Probe = Probe()
    """What the models' word vectors know of your corpora: docs/probe.md."""
    catalogue: dict[ModelName, Model] = field(default_factory=dict)
    """Your own models, by name."""
    store: Annotated[FilePath, RUN] = ".kgtextvec/store"
    """Vectors by content, kept between runs and configs: a folder, or a bucket that all machines
    share, as `s3://bucket/prefix`. A folder also keeps what the baselines of scores found."""
    downloads: Annotated[FilePath, RUN] = ".kgtextvec/downloads"
    """Downloaded files."""
    lock: Annotated[FilePath, RUN] = "config/models.lock.yaml"
    """Digests of downloaded files, recorded at the first download; commit this file."""
    image: Annotated[FilePath | None, RUN] = None
    """Where jobs run with `--sdm apptainer`: a `.sif` file, or an address such as
    `docker://registry/name:tag` (docs/containers.md)."""
    pathvars: Annotated[dict[str, str], RUN] = field(default_factory=dict)
    """Snakemake's own key, to move results, resources or logs."""
