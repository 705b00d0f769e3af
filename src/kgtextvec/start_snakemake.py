"""Snakemake, started faster, in a process that Ctrl-C ends in one line at any time.

`python -m kgtextvec.start_snakemake WORDS…` is `python -m snakemake WORDS…`, with one line per
finished job (workflow/lib/brief.py), without libraries that Snakemake's plugins import and that a
run does not need, and with the libraries of models imported meanwhile where a first run starts.
"""

import importlib
import importlib.util
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from kgtextvec.job_client import stop_in_one_line
from kgtextvec.job_server import start_server
from kgtextvec.snakemake_words import directory_in, value_of

# In the environment of a run that is to show one line per finished job.
BRIEF_VARIABLE = "KGTEXTVEC_BRIEF"
# Plugins import them for what a run seldom does; they take 0.4 s and 80 MB of every start.
IMPORTED_LATER = ("numpy", "pandas", "requests")
# Options of a run whose jobs are this machine's: with any other, nothing is imported in advance.
PLAIN_OPTIONS = {
    *("-c", "--cores", "-j", "--jobs", "-s", "--snakefile", "-d", "--directory"),
    *("--configfile", "--configfiles", "-C", "--config", "--workflow-profile"),
    *("-q", "--quiet", "-p", "--printshellcmds", "--verbose", "--show-failed-logs"),
    *("-k", "--keep-going", "-T", "--retries", "--rerun-incomplete", "--ri"),
    *("--resources", "--res", "--set-threads", "--set-resources", "--nocolor", "--latency-wait"),
}
FINISHED_JOBS = ".snakemake/metadata"  # in the working directory: a file for each job's output


class LaterModule(ModuleType):
    """Stands for a module that is imported when something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        """Return what the module has, imported now if need be."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def import_later(*names: str) -> None:
    """Let modules that are not imported yet be imported when something of them is asked for."""
    for name in names:
        spec = importlib.util.find_spec(name) if name not in sys.modules else None
        if spec:
            module = sys.modules[name] = LaterModule(name)
            module.__spec__ = spec  # for find_spec, which asks the module itself


def is_first_run(words: Sequence[str]) -> bool:
    """Return whether these words run jobs on this machine in a folder where no job ever ran."""
    options = [word for word in words if word.startswith("-")]
    names = [word.partition("=")[0] if word.startswith("--") else word[:2] for word in options]
    profile = value_of(words, "workflow-profile") or "default"
    if not PLAIN_OPTIONS.issuperset(names) or Path(profile).name != "default":
        return False
    jobs = directory_in(words) / FINISHED_JOBS
    return "SNAKEMAKE_PROFILE" not in os.environ and not any(jobs.glob("*"))


if __name__ == "__main__":
    stop_in_one_line()
    os.environ[BRIEF_VARIABLE] = "1"
    if is_first_run(sys.argv[1:]):
        start_server(["embed-shard"])
    import_later(*IMPORTED_LATER)
    try:
        runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
    finally:
        stop_in_one_line()  # Python has threads to wait for
