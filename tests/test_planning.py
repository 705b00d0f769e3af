"""What planning does: Snakemake itself in a process of its own, its jobs counted."""

import os
import subprocess
import sys
from pathlib import Path

import yaml
from workflow_run import ROOT

COUNT = """
import sys
from snakemake.jobs import Job
made = []
begin = Job.__init__
def counted(job, rule, *more, **named):
    begin(job, rule, *more, **named)
    made.append((rule.name, tuple(sorted(job.wildcards_dict.items()))))
Job.__init__ = counted
from snakemake.cli import main
try:
    main(sys.argv[1:])
finally:
    print("MADE", len(made), len(set(made)))
"""


def test_before_the_first_run_each_job_is_made_once(tmp_path: Path) -> None:
    """Thousands of shards are planned twice as fast as when each waits as an unfinished one."""
    config = {
        "tables": {
            kind: {"file": str(ROOT / f"resources/sample/{kind}.tsv"), "kind": kind, "shards": 20}
            for kind in ("entities", "relation_types")
        },
        "models": ["all-MiniLM-L6-v2"],
        "spaces": ["full", "pca16"],
        "exports": ["npy", "tsv", "dglke"],
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    words = ["--snakefile", ROOT / "Snakefile", "--directory", tmp_path, "--cores", "1", "-n"]
    words += ["--configfile", tmp_path / "config.yaml", "--quiet", "all"]
    done = subprocess.run(
        [sys.executable, "-c", COUNT, *map(str, words)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        check=True,
    )
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("MADE"))
    made, different = map(int, line.split()[1:])
    assert different > 40 and made == different
