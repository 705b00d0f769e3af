"""The config: its sections, and the settings that belong to none."""

from typing import Annotated

from msgspec import field

from kgtextvec.registry import FORMS, SPACES
from kgtextvec.settings.base import FilePath, ModelName, TableName, about
from kgtextvec.settings.models import Embed, Mode, Model
from kgtextvec.settings.scores import Evaluate
from kgtextvec.settings.spaces import Align, Bundle, Reduce, Report
from kgtextvec.settings.tables import Table
from kgtextvec.settings.training import FineTune, Probe


class Config(Mode, kw_only=True):
    """The config of the workflow."""

    tables: Annotated[
        dict[TableName, Table],
        about("the inputs, by a name of yours; a table that is null is left out", min_length=1),
    ]
    models: Annotated[
        tuple[ModelName, ...],
        about("names of config/models.yaml, of `catalogue` or of `finetune`", min_length=1),
    ] = ("biobert-base-cased-v1.1", "RoBERTa-large-PM-M3-Voc", "bioelmo")
    spaces: Annotated[
        tuple[str, ...],
        about(
            "`full`: the model's own dims; `pcaN`: reduced to N dims", names=SPACES, min_length=1
        ),
    ] = ("full", "pca400")
    exports: Annotated[
        tuple[str, ...],
        about("files to write; `npy` is always there: docs/exports.md", names=FORMS),
    ] = ("npy", "tsv", "parquet")
    bundle: Annotated[Bundle, about("tables for exports that hold one of each kind")] = Bundle()
    align: Annotated[
        Align | None, about("vectors in the order of a trainer's own ids: docs/exports.md")
    ] = None
    embed: Annotated[Embed, about("how models run")] = Embed()
    reduce: Annotated[Reduce, about("how vectors are reduced")] = Reduce()
    report: Annotated[Report, about("maps and notebooks")] = Report()
    evaluate: Annotated[Evaluate, about("what the vectors are worth")] = Evaluate()
    finetune: Annotated[
        dict[ModelName, FineTune],
        about("language models to train further, by the new models' names: docs/finetune.md"),
    ] = field(default_factory=dict)
    probe: Annotated[
        Probe, about("what the models' word vectors know of your corpora: docs/probe.md")
    ] = Probe()
    catalogue: Annotated[dict[str, Model], about("your own models, by name")] = field(
        default_factory=dict
    )
    store: Annotated[
        FilePath, about("vectors by content, kept between runs and configs", "run")
    ] = ".kgtextvec/store"
    downloads: Annotated[FilePath, about("downloaded files", "run")] = ".kgtextvec/downloads"
    lock: Annotated[
        FilePath,
        about(
            "digests of downloaded files, recorded at the first download; commit this file", "run"
        ),
    ] = "config/models.lock.yaml"
    pathvars: Annotated[
        dict[str, str], about("Snakemake's own key, to move results, resources or logs", "run")
    ] = field(default_factory=dict)
