"""One line per finished job instead of Snakemake's own output: `kgtextvec run` and `demo`.

`python -m kgtextvec.start_snakemake` asks for it; --verbose and --printshellcmds bring
Snakemake's output back, a dry run has it always. Snakemake's log file is complete in any case.
"""

import logging
import os
import time
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from kgtextvec.progress import clock
from kgtextvec.start_snakemake import BRIEF_VARIABLE

# Snakemake's own lines that are shown all the same.
SHOWN_ANYWAY = ("Nothing to be done", "Complete log")
ETA_FROM = 10.0  # seconds: a shorter rest is not announced


def is_brief(output: Any) -> bool:
    """Return whether a run shows one line per job, by the environment and Snakemake's settings."""
    shown = output and (output.verbose or output.printshellcmds or output.dryrun)
    return bool(os.environ.get(BRIEF_VARIABLE)) and not shown


class Brief(logging.Filter):
    """Leaves out what Snakemake says of jobs that go well, and counts these jobs."""

    def __init__(self, logger: logging.Logger) -> None:
        """Start without jobs; lines go to `logger`."""
        super().__init__()
        self.logger = logger
        self.began = time.monotonic()
        self.finished = 0
        self.total = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to print a record: warnings, errors, ours, SHOWN_ANYWAY."""
        ours = getattr(record, "brief", False) or str(record.msg).startswith(SHOWN_ANYWAY)
        return record.levelno > logging.INFO or ours

    def count(self, fields: dict[str, Any], event: LogEvent | None) -> None:
        """Note how many jobs the run has, which grows as checkpoints finish."""
        if event == LogEvent.RUN_INFO:
            self.total = max(self.total, int(fields["stats"].get("total", 0)))
        elif event == LogEvent.PROGRESS:
            self.total = int(fields["total"])

    def finish(self, title: str, began: float) -> None:
        """Print that a job has finished: its place among all, its title, its seconds.

        A target has no title, and is only counted.
        """
        self.finished += 1
        if not title:
            return
        now = time.monotonic()
        total = max(self.total, self.finished)
        width = len(str(total))
        eta = (now - self.began) / self.finished * (total - self.finished)
        rest = f", about {clock(eta)} left" if eta >= ETA_FROM else ""
        self.say(f"[{self.finished:{width}}/{total}] {title} ({now - began:.1f} s{rest})")

    def say_end(self, results: str) -> None:
        """Print how many jobs a run took, and where its results are."""
        number = "1 job" if self.finished == 1 else f"{self.finished} jobs"
        page = Path(results) / "index.html"
        where = f"open {page}" if page.exists() else f"the results are in {results}"
        self.say(f"{number} in {clock(time.monotonic() - self.began)}; {where}")

    def say(self, text: str) -> None:
        """Print a line of ours."""
        self.logger.info(text, extra={"brief": True})
