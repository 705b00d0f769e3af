"""Follow docs/tutorial.md from an empty folder, block by block: `make tutorial`.

Everything happens in a new folder with a virtual environment of its own, in which the wheel is
installed. Commands run as they are written, but `python3` is the Python that runs this file
(`make tutorial PYTHON=python3.12`); the lines of YAML replace those keys of config.yaml; Python is
saved under the name that the page gives it.
"""

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def main() -> None:
    """Run the script that the page makes; end with its exit code, and say the time of each step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    wheel = parser.parse_args().wheel
    script = script_of((ROOT / "docs/tutorial.md").read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(wheel, folder)
        started = time.monotonic()
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, check=False)  # noqa: S603, S607
        minutes = (time.monotonic() - started) / 60
        sys.stdout.write(f"tutorial: exit code {done.returncode} after {minutes:.1f} minutes\n")
    sys.exit(done.returncode)


def script_of(page: str) -> str:
    """Return the page's blocks as one script for bash."""
    lines = ["TIMEFORMAT='took %0R s, %0U + %0S s of CPU'"]
    for language, block in BLOCK.findall(page):
        if language == "sh":
            for line in block.strip().splitlines():
                line = re.sub(r"^python3 (?=-m venv)", f"{shlex.quote(sys.executable)} ", line)
                lines += [f"echo '$' {shlex.quote(line)}", f"time {line}"]
        elif language == "yaml":
            keys = "|".join(re.findall(r"^(\w+):", block, re.MULTILINE))
            lines += [f"sed -E -i '/^({keys}):/d' config.yaml", saved(block, ">> config.yaml")]
        elif language == "python":
            lines.append(saved(block, "> train.py"))
    return "\n".join([*lines, "test -s transe_text.pt"])


def saved(block: str, where: str) -> str:
    """Return the command that writes a block to a file."""
    return f"cat {where} <<'END_OF_BLOCK'\n{block}END_OF_BLOCK"


if __name__ == "__main__":
    main()
