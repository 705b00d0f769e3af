"""How jobs start: with how many threads, and by whom; what a killed run left."""

import inspect
import math
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from snakemake.common import FUNC_OVERWRITE_PARAMS_ATTR, get_function_params
from snakemake.io import is_flagged
from snakemake.logging import logger
from snakemake.resources import Resource

from .plan import Param, Plan, Wildcards

LOCAL_COPIES = Path(".snakemake/storage")  # Snakemake's default
LOCKS = ".snakemake/locks"
SMALL_TABLE = 3e6  # bytes: about 10,000 rows
LOADS_MODEL = {"convert_model", "embed_shard", "cache_tokens"}
MAKES_TEXTS = {"read_texts", "mask_texts"}
FEW_TEXTS = 1e5  # bytes: a model takes longer to load than to embed them


class JobThreads:
    """Threads of rules: one where a second would bring nothing, so that two jobs run."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def table(self, most: int) -> Param:
        """Return the threads of a rule: `most`, or 1 where the job's table is small.

        A job without a table works on all of them.
        """
        return lambda wildcards: 1 if self.bytes_of(wildcards) < SMALL_TABLE else most

    def model(self, wildcards: Wildcards) -> int:
        """Return how many threads a model takes; a job that asks a server waits, mostly."""
        waits = self.plan.kind_of(wildcards) == "endpoint"
        return 1 if waits or self.bytes_of(wildcards) < FEW_TEXTS else 8

    def bytes_of(self, wildcards: Wildcards) -> float:
        """Return the size of a job's tables; infinite where one can't be seen from here."""
        table = getattr(wildcards, "table", None)
        names = [table] if table in self.plan.tables else self.plan.tables
        try:
            paths = [one for name in names for one in self.plan.files(self.plan.tables[name].file)]
            return sum(Path(path).stat().st_size for path in paths)
        except OSError:
            return math.inf


def starts_jobs_itself(workflow: Any) -> bool:
    """Return whether jobs are this Snakemake's own children, with its own Python."""
    here: bool = workflow.is_main_process and workflow.executor_plugin.common_settings.local_exec
    return here and not workflow.deployment_settings.deployment_method


def verbs_to_come(dag: Any, plan: Plan) -> list[str]:
    """Return verbs that take seconds to import and that this run will need.

    A table that is read again has new texts, as a rule, whose shards are found to be embedded only
    once it has been read.
    """
    needed = {job.rule.name for job in dag.needrun_jobs()}
    embeds = any(job.rule.name == "embed_shard" for job in dag.jobs)
    loads = needed & LOADS_MODEL or (embeds and needed & MAKES_TEXTS)
    kinds = {plan.catalogue[model].kind for model in plan.models if model in plan.catalogue}
    return ["embed-shard"] if loads and kinds - {"endpoint"} else []


def cancel_timers() -> None:
    """Cancel the timers with which Snakemake looks at its plan again: the run is over.

    It starts one for each time that jobs are chosen, and Python would wait a second for the last.
    """
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()


def remove_left_copies(workflow: Any) -> None:
    """Delete local copies of files in a storage that a killed run left in the working directory.

    Snakemake 9.27 takes an output with such a copy for write-protected, since it asks whether the
    output's URL can be written to, and stops. A run that is going on has a lock, and keeps them.
    """
    copies = Path(workflow.storage_settings.local_storage_prefix)
    if not workflow.is_main_process or workflow.storage_settings.keep_storage_local:
        return
    if copies == LOCAL_COPIES and copies.is_dir() and not any(Path(LOCKS).glob("*")):
        shutil.rmtree(copies, ignore_errors=True)


def remember_parameters(rules: Iterable[Any]) -> None:
    """Keep the parameters of all functions of the rules where Snakemake looks for them first.

    It would inspect a function's signature several times for each job, which took a fifth of the
    time to plan thousands of them.
    """
    for rule in rules:
        for function in functions_of(rule):
            own = function.__func__ if inspect.ismethod(function) else function
            if not hasattr(own, FUNC_OVERWRITE_PARAMS_ATTR):
                setattr(own, FUNC_OVERWRITE_PARAMS_ATTR, dict(get_function_params(function)))
    # Snakemake's own function that gives a resource is asked the same, for each resource of a job.
    if not hasattr(Resource.evaluate, FUNC_OVERWRITE_PARAMS_ATTR):
        any_resource = dict(get_function_params(Resource("any", 0).evaluate))
        setattr(Resource.evaluate, FUNC_OVERWRITE_PARAMS_ATTR, any_resource)


def functions_of(rule: Any) -> Iterator[Callable[..., object]]:
    """Yield the functions that give a rule's files, params, threads and other resources."""
    for values in (rule.input, rule.output, rule.log, rule.params):
        yield from filter(inspect.isroutine, values)
    evaluators = [getattr(one, "_evaluator", None) for one in rule.resources.values()]
    yield from filter(inspect.isroutine, evaluators)


def remove_unneeded(workflow: Any) -> None:
    """Remove temporary files that a killed Snakemake left and that no job of this run reads.

    Snakemake itself removes them when the last job that reads them has finished, and not later.
    Call it while the run has Snakemake's lock of the working directory.
    """
    dag = workflow.dag
    if workflow.storage_settings.notemp or workflow.dryrun:
        return
    for job in dag.jobs:
        for file in job.output:
            if (
                is_flagged(file, "temp")
                and not dag.needrun(job)
                and not dag.is_needed_tempfile(job, file)
                and workflow.async_run(file.exists())
            ):
                logger.info(f"Removing {file}, which a run before this one left.")
                workflow.async_run(file.remove(remove_non_empty_dir=True))
