"""How jobs start: with how many threads, and by whom."""

import math
from pathlib import Path
from typing import Any

from .plan import Param, Plan, Wildcards

SMALL_TABLE = 3e6  # bytes: about 10,000 rows
FEW_TEXTS = 2e5  # bytes: a model takes longer to load than to embed them


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
