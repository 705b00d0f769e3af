"""Snakemake, started faster, in a process that Ctrl-C ends in one line at any time.

`python -m kgtextvec.start_snakemake WORDS…` is `python -m snakemake WORDS…`, with one line per
finished job (workflow/lib/brief.py), and without libraries that Snakemake's plugins import and that
a run does not need.
"""

import importlib
import importlib.util
import os
import runpy
import sys
from types import ModuleType
from typing import Any

from kgtextvec.job_client import stop_in_one_line

# In the environment of a run that is to show one line per finished job.
BRIEF_VARIABLE = "KGTEXTVEC_BRIEF"
# Plugins import them for what a run seldom does; they take 0.4 s and 80 MB of every start.
IMPORTED_LATER = ("numpy", "pandas", "requests")


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


if __name__ == "__main__":
    stop_in_one_line()
    os.environ[BRIEF_VARIABLE] = "1"
    import_later(*IMPORTED_LATER)
    try:
        runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
    finally:
        stop_in_one_line()  # Python has threads to wait for
