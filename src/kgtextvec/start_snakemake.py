"""Snakemake, in a process that Ctrl-C ends in one line also while Snakemake imports itself.

`python -m kgtextvec.start_snakemake WORDS…` is `python -m snakemake WORDS…`, with one line per
finished job (workflow/lib/brief.py).
"""

import os
import runpy

from kgtextvec.job_client import stop_in_one_line

# In the environment of a run that is to show one line per finished job.
BRIEF_VARIABLE = "KGTEXTVEC_BRIEF"

if __name__ == "__main__":
    stop_in_one_line()
    os.environ[BRIEF_VARIABLE] = "1"
    try:
        runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
    finally:
        stop_in_one_line()  # Python has threads to wait for
