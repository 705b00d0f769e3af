"""What a run shows of its jobs: what each is about, how far the running ones are, why one failed.

Snakemake reports each step of a job as a log event. `JobReport` follows them: on a terminal it
keeps a line with the progress of the running jobs, read from their logs, below everything else; at
a failure it prints the message that the job ended with, and where its log is.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, TextIO

from snakemake.common import NOTHING_TO_BE_DONE_MSG
from snakemake_interface_logger_plugins.common import LogEvent

from kgtextvec.job_client import RESUME
from kgtextvec.progress import clock
from kgtextvec.signals import STOPPING, repeat_lost, send_soon

from .brief import Brief, is_brief

INTERRUPT_SECONDS = 1.0
REFRESH_SECONDS = 0.5
LONG_SECONDS = 3.0  # a job that runs longer is on the status line, whatever its log says
TAIL_BYTES = 1 << 14
LAST_WORDS = "At least one job did not complete successfully."
STOPPED = f"stopped: {RESUME}"
STARTS = ("ERROR: ", "stopped: ")
CLEAR = "\r\x1b[K"


def job_title(rule: str, wildcards: Iterable[str]) -> str:
    """Return what a rule's jobs are called, for Snakemake to fill in: rule, model, table, ….

    `wildcards` are the names of the rule's wildcards, in the order in which they are shown.
    """
    order = ("model", "table", "space")
    named = sorted(wildcards, key=lambda name: order.index(name) if name in order else len(order))
    about = ", ".join(f"{name} {{wildcards.{name}}}" for name in named)
    return f"{rule}: {about}" if about else rule


def name_jobs(rules: Iterable[Any]) -> None:
    """Give each of Snakemake's rules the message that its jobs are announced with."""
    for rule in rules:
        rule.message = rule.message or job_title(rule.name, rule.wildcard_names)


def tail_of(path: str) -> list[str]:
    """Return the last lines of a log, as they look on a terminal; [] if it can't be read."""
    try:
        with Path(path).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()


def end_message(logs: Sequence[str]) -> str:
    """Return the one line that the engine ended with, from a job's logs; "" if there is none."""
    for path in logs:
        found = [line for line in tail_of(path) if line.startswith(STARTS)]
        if found:
            return found[-1]
    return ""


def last_progress(logs: Sequence[str]) -> str:
    """Return the last line of a job's logs that says how much time is left; "" if none does."""
    for path in logs:
        found = [line for line in tail_of(path) if ", ETA " in line]
        if found:
            return found[-1]
    return ""


@dataclass(frozen=True)
class ShownJob:
    """A job that runs: its title, its logs, and when it began."""

    title: str
    logs: tuple[str, ...]
    began: float = field(default_factory=time.monotonic)

    def was_stopped(self) -> bool:
        """Return whether the job ended because it was asked to."""
        return end_message(self.logs).startswith("stopped: ")

    def failure(self) -> str:
        """Return the title, the message that the job ended with, and the path of its log."""
        lines = [self.title, end_message(self.logs) or "ended without a message of its own"]
        return "\n    ".join([*lines, *(f"log: {path}" for path in self.logs)])


class StatusLine:
    """A terminal whose last line is rewritten; what is printed meanwhile goes above it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.lock = threading.RLock()
        self.shown = ""
        self.at_line_start = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Print above the status line."""
        with self.lock:
            self.show("")
            if text:
                self.at_line_start = text.endswith("\n")
            return self.stream.write(text)

    def show(self, text: str) -> None:
        """Replace the status line, cut to the terminal's width; an empty one is removed."""
        with self.lock:
            try:
                width = os.get_terminal_size(self.stream.fileno()).columns or 80
            except (OSError, ValueError):
                width = 80
            text = text[: width - 1]
            if text != self.shown and self.at_line_start:
                self.stream.write(f"{CLEAR}{text}")
                self.stream.flush()
                self.shown = text


class JobReport(logging.Handler):
    """Follows the jobs of a run by Snakemake's log events."""

    def __init__(self, logger: logging.Logger) -> None:
        """Start without jobs, and without a terminal that shows progress."""
        super().__init__()
        self.logger = logger
        self.status: StatusLine | None = None
        self.running: dict[int, ShownJob] = {}
        self.failed: dict[int, ShownJob] = {}
        self.watcher: threading.Thread | None = None
        self.interrupted = False
        self.brief: Brief | None = None
        self.when_nothing_to_do: Callable[[], None] | None = None  # Snakemake has no hook for it

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Answer Ctrl-C; a further one is for the jobs alone, which then end at once."""
        if not self.interrupted:
            self.interrupted = True
            logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # of tasks that were cut short
            raise KeyboardInterrupt

    def repeat(self, lost: BaseException) -> None:
        """Have a Ctrl-C sent again that Python has dropped."""
        self.interrupted = False
        send_soon(signal.SIGINT)

    def emit(self, record: logging.LogRecord) -> None:
        """Note that a job begins, ends or fails; say why it failed."""
        event, fields = getattr(record, "event", None), record.__dict__
        if self.when_nothing_to_do and record.msg == NOTHING_TO_BE_DONE_MSG:
            self.when_nothing_to_do()
        if self.brief:
            self.brief.count(fields, event)
        if event == LogEvent.JOB_INFO:
            title = fields["rule_msg"] or fields["rule_name"]
            self.running[fields["jobid"]] = ShownJob(title, tuple(fields["log"]))
            self.watch()
        elif event == LogEvent.JOB_FINISHED:
            done = self.running.pop(fields["job_id"], None)
            self.failed.pop(fields["job_id"], None)
            if self.brief and done:
                self.brief.finish(done.title if done.logs else "", done.began)
        elif event == LogEvent.JOB_ERROR:
            job = self.running.pop(fields["jobid"], None)
            job = job or ShownJob(fields["rule_name"], tuple(fields["log"]))
            self.failed[fields["jobid"]] = job
            if job.was_stopped():
                self.wait_for_interrupt()
            if end_message(job.logs) and not self.interrupted:
                what = "STOPPED" if job.was_stopped() else "FAILED"
                self.logger.error(f"{what}: {job.failure()}")

    def wait_for_interrupt(self) -> None:
        """Wait a moment: a terminal sends Ctrl-C to a job too, which may answer it first."""
        until = time.monotonic() + INTERRUPT_SECONDS
        while not self.interrupted and time.monotonic() < until:
            time.sleep(0.01)

    def summary(self) -> str:
        """Return which jobs failed for good, with their messages and logs; "" if none did."""
        jobs = list(self.failed.values())
        if self.interrupted or (jobs and all(job.was_stopped() for job in jobs)):
            return STOPPED
        if not jobs:
            return ""
        number = "1 job failed" if len(jobs) == 1 else f"{len(jobs)} jobs failed"
        return "\n".join([f"{number}:", *(f"  {job.failure()}" for job in jobs)])

    def end(self, results: str) -> None:
        """Say where the results are, at the end of a run that shows one line per job."""
        if self.brief:
            self.brief.say_end(results)

    def watch(self) -> None:
        """Keep the status line up to date while jobs run."""
        if self.status is not None and self.watcher is None:
            self.watcher = threading.Thread(target=self.refresh_forever, daemon=True)
            self.watcher.start()

    def refresh_forever(self) -> None:
        """Show the progress of the running jobs, again and again."""
        while self.status is not None:
            self.status.show(self.progress())
            time.sleep(REFRESH_SECONDS)

    def progress(self) -> str:
        """Return how far the running jobs are, in one line: of the one that has run longest."""
        jobs = sorted(list(self.running.values()), key=lambda job: job.began)
        for job in jobs:
            elapsed = time.monotonic() - job.began
            found = last_progress(job.logs)
            if found or elapsed >= LONG_SECONDS:
                others = f" (and {len(jobs) - 1} more)" if len(jobs) > 1 else ""
                return f"{job.title}{others} | {found or f'running for {clock(elapsed)}'}"
        return ""


class EngineFailures(logging.Filter):
    """Leaves out what Snakemake says of a failed job whose log has a message of its own.

    That would be the rule's whole shell command, twice; Snakemake's own log file keeps it. The
    last words of a run that failed become the summary of its failed jobs.
    """

    def __init__(self, report: JobReport) -> None:
        super().__init__()
        self.report = report

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to print a record."""
        event, words = getattr(record, "event", None), str(record.msg)
        if self.report.interrupted and event in (LogEvent.JOB_ERROR, LogEvent.ERROR):
            last = words.endswith(LAST_WORDS)
            record.msg = STOPPED if last else record.msg
            return last
        if event == LogEvent.JOB_ERROR:
            return not end_message(record.__dict__["log"])
        if event == LogEvent.ERROR and words.endswith(LAST_WORDS):
            record.msg = self.report.summary() or words
        command_failed = "CalledProcessError" in words and "-m kgtextvec" in words
        return not (event == LogEvent.ERROR and command_failed)


def report_jobs(logger: logging.Logger, output: Any) -> JobReport:
    """Report on the jobs of this run, and end in one line at Ctrl-C.

    `output`: Snakemake's output settings. With --verbose or --printshellcmds, what it says of
    failed jobs stays as it is.
    """
    report = JobReport(logger)
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and handler.name == "DefaultStreamHandler":
            if not (output and (output.verbose or output.printshellcmds)):
                handler.addFilter(EngineFailures(report))
            if is_brief(output):
                report.brief = Brief(logger)
                handler.addFilter(report.brief)
            if handler.stream.isatty():
                report.status = StatusLine(handler.stream)
                handler.setStream(report.status)
    logger.addHandler(report)
    sys.excepthook = end_in_one_line
    if threading.current_thread() is threading.main_thread():
        for number in STOPPING:
            signal.signal(number, report.interrupt)  # Snakemake takes SIGTERM when jobs start
        sys.unraisablehook = repeat_lost(KeyboardInterrupt, report.repeat)
    return report


def end_in_one_line(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Show an uncaught exception: Ctrl-C as one line, all others as Python does."""
    if issubclass(kind, KeyboardInterrupt):
        print(STOPPED, file=sys.stderr)  # noqa: T201
    else:
        sys.__excepthook__(kind, error, trace)
