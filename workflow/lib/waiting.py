"""Jobs that wait for a checkpoint which turns out to have nothing to do."""

from collections.abc import Iterable
from functools import wraps
from typing import Any

from snakemake.dag import DAG
from snakemake.io import is_flagged


def look_again_at_waiting_jobs() -> None:
    """Let Snakemake look again at jobs behind a checkpoint that need not run after all.

    Say a table is read again and its texts are the same, so that gather_shards has nothing to do.
    Snakemake 9.27 looks again at the jobs behind read_texts alone. Those behind gather_shards would
    run with a single input, its first output, and with no digest in their params.
    """
    update = DAG.update_checkpoint_dependencies
    if hasattr(update, "__wrapped__"):  # this file was read before, by another module
        return

    @wraps(update)
    async def update_all(self: Any, jobs: Iterable[Any] | None = None) -> bool:
        finished = None if jobs is None else list(jobs)
        updated: bool = await update(self, finished)
        if finished is not None and not any(job.is_checkpoint for job in finished):
            return updated  # as nearly always: nothing else waits for it
        while idle := await idle_checkpoints(self):
            updated = await update(self, idle) or updated
        return updated

    DAG.update_checkpoint_dependencies = update_all


async def idle_checkpoints(dag: Any) -> list[Any]:
    """Return the jobs of checkpoints that need not run, and that others may still wait for."""
    known = dag.workflow.checkpoints.created_output
    return [
        job
        for job in dag.jobs
        if job.is_checkpoint
        and not dag.needrun(job)
        and not all(file in known for file in job.output)
        and not any(is_flagged(file, "temp") for file in job.output)
        and all([await file.exists() for file in job.output])
    ]
