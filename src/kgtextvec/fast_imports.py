"""What the jobs of each family import (job_server), and imports that take less time."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from importlib import import_module

TABLE_LIBRARIES = (
    "numpy",
    "pandas",  # pyarrow imports it where it looks whether an array is one of its own
    "pyarrow.compute",
    "pyarrow.parquet",
    "pyarrow.pandas_compat",
    "threadpoolctl",
    "kgtextvec.space",
)
MODEL_LIBRARIES = (
    *TABLE_LIBRARIES,
    "torch",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.bert.modeling_bert",
    "transformers.models.bert.tokenization_bert",
    "transformers.models.roberta.modeling_roberta",
    "accelerate",
    "sympy",
    "kgtextvec.encoders.transformer.encoder",
    "kgtextvec.models.transformer",
)
SCORE_LIBRARIES = (
    *TABLE_LIBRARIES,
    "scipy.sparse",
    "scipy.special",
    "sklearn.decomposition",
    "sklearn.feature_extraction.text",
    "sklearn.linear_model",
    "sklearn.model_selection",
)
MAP_LIBRARIES = (
    *TABLE_LIBRARIES,
    "jinja2",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "numba",
    "openTSNE",
    "sklearn.decomposition",
)
NOTEBOOK_LIBRARIES = (
    *TABLE_LIBRARIES,
    "jinja2",
    "jupyter_client.manager",
    "matplotlib.figure",
    "nbclient",
    "nbconvert",
    "nbformat",
    "plotly.io",
)
# Without matplotlib, which is to read the private settings of each kernel.
KERNEL_LIBRARIES = (*TABLE_LIBRARIES, "ipykernel.kernelapp", "plotly.express")
TEMPLATE_LIBRARIES = (*TABLE_LIBRARIES, "jinja2")
REDUCE_LIBRARIES = ("threadpoolctl", "kgtextvec.space")
OWN_KERNELS = ("reduce",)  # families that import numpy themselves, after that choice
# What each verb (or module) needs, and the family that it is forked from. A verb that is not here
# starts as usual.
FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "convert-model": ("models", MODEL_LIBRARIES),
    "embed-shard": ("models", MODEL_LIBRARIES),
    "cache-tokens": ("models", MODEL_LIBRARIES),
    "fit-pca": ("reduce", REDUCE_LIBRARIES),
    "apply-pca": ("reduce", REDUCE_LIBRARIES),
    "download-model": ("tables", TABLE_LIBRARIES),
    "unpack-model": ("tables", TABLE_LIBRARIES),
    "read-texts": ("tables", TABLE_LIBRARIES),
    "gather-shards": ("tables", TABLE_LIBRARIES),
    "export-table": ("tables", TABLE_LIBRARIES),
    "export-bundle": ("tables", TABLE_LIBRARIES),
    "export-aligned": ("tables", TABLE_LIBRARIES),
    "export-biomedgps": ("tables", TABLE_LIBRARIES),
    "export-entity2d": ("tables", TABLE_LIBRARIES),
    "evaluate-space": ("tables", SCORE_LIBRARIES),
    "mask-texts": ("tables", TABLE_LIBRARIES),
    "read-synonyms": ("tables", TABLE_LIBRARIES),
    "write-loaders": ("tables", TABLE_LIBRARIES),
    "collect-scores": ("tables", TABLE_LIBRARIES),
    "draw-quality": ("tables", TEMPLATE_LIBRARIES),
    "draw-index": ("tables", TEMPLATE_LIBRARIES),
    "draw-map": ("pages", MAP_LIBRARIES),
    "render-notebook": ("pages", NOTEBOOK_LIBRARIES),
    "compare-spaces": ("pages", NOTEBOOK_LIBRARIES),
    "ipykernel_launcher": ("kernels", KERNEL_LIBRARIES),
}


def import_for(name: str) -> None:
    """Import what jobs of that name need: the verb's own module, then the libraries."""
    program = import_module("kgtextvec.__main__")
    own = [f"kgtextvec.{program.VERBS[name][0]}"] if name in program.VERBS else []
    family, libraries = FAMILIES[name]
    import_all((*own, *libraries), "transformer" if family == "models" else "")
    if family == "models":
        compile_patterns()


def import_shared() -> None:
    """Import what the jobs of nearly all families need."""
    import_all(("kgtextvec.__main__", *TABLE_LIBRARIES))


@cache
def import_all(modules: tuple[str, ...], kind: str = "") -> None:
    """Import modules, once. What is missing is the job's to report.

    `kind` is the kind of model whose jobs import them.
    """
    with quick_imports(kind):
        for module in modules:
            with suppress(ImportError):
                import_module(module)


@cache
def compile_patterns() -> None:
    """Let transformers compile its thousand patterns of weights' names, once for all jobs.

    It does so when it loads its first model.
    """
    with suppress(ImportError):
        from transformers.conversion_mapping import get_checkpoint_conversion_mapping

        get_checkpoint_conversion_mapping("bert")


@contextmanager
def quick_imports(kind: str) -> Iterator[None]:
    """Import with neither searches for garbage nor scipy: half a second less for every job.

    What is imported stays, so there is no garbage to find. transformers takes scipy for absent;
    it would import scipy.optimize whatever the model, for losses of models of pictures.
    """
    gc.disable()
    try:
        # Only a transformer needs transformers at all.
        with without_scipy() if kind == "transformer" else nullcontext():
            yield
    finally:
        gc.enable()
        gc.freeze()


@contextmanager
def without_scipy() -> Iterator[None]:
    """Let transformers take scipy for absent meanwhile."""
    from transformers import utils

    there = utils.is_scipy_available
    utils.is_scipy_available = lambda: False
    try:
        yield
    finally:
        utils.is_scipy_available = there
