"""Run the benchmarks and write benchmarks/results.json; small by default.

    python -m benchmarks [embed reduce export …] [--full]

Every row is {name, ours, theirs, ratio, target} and what else a benchmark tells: both sides, taken
in turn in this run, each beside a check that the results agree. A disagreement stops the run.
The file is a list of rows: the last run of each benchmark, whose name and date each row tells;
those that aren't run now keep theirs. `python -m benchmarks.plots` draws from it.
"""

import argparse
import json
import platform
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from kgtextvec.reduce.blas import choose_kernels

RESULTS = Path(__file__).parent / "results.json"
SMALL = {
    "start": {"rounds": 3},
    "reduce": {"rows": 10_000, "equal_rows": 10_000},
    "export": {"rows": 4_000, "rounds": 3},
    "texts": {"rows": 50_000, "fewer": 5_000, "rounds": 2},
    "lengths": {"n_texts": 32, "counts": [1_000]},
    "embed": {"n_texts": 48, "repeats": 2},
    "e2e": {"counts": [500], "repeats": 0, "parts": ["e2e", "tsv"]},
    "elmo": {"n_texts": 64, "batches": 1},
    "gpu": {"n_texts": 20_000},
}
FULL = {
    "start": {"rounds": 7},
    "reduce": {"rows": 1_000_000, "equal_rows": 40_000},
    "export": {"rows": 50_000, "rounds": 5},
    "texts": {"rows": 1_000_000, "fewer": 100_000, "rounds": 3},
    "lengths": {"n_texts": 256, "counts": [1_000, 10_000, 100_000]},
    "embed": {"n_texts": 2_000, "repeats": 3},
    "e2e": {"counts": [500, 2_000, 20_000, 100_000], "repeats": 5},
    "elmo": {"n_texts": 2_000},
    "gpu": {"n_texts": 200_000},
}


def main() -> None:
    """Run what is named, or all; print and write the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SMALL))
    parser.add_argument("--full", action="store_true", help="the sizes of RESULTS.md: hours")
    arguments = parser.parse_args()
    choose_kernels()  # before numpy is loaded: both sides of the PCA rows have fit-pca's kernels
    for name in arguments.names or SMALL:
        sizes = (FULL if arguments.full else SMALL)[name]
        date = datetime.now(UTC).date().isoformat()
        print(f"{name}: {sizes}, {platform.machine()}, Python {platform.python_version()}")
        rows = import_module(f"benchmarks.bench_{name}").bench(**sizes)
        for row in rows:
            print(json.dumps(row), flush=True)
        if rows:  # none where the device that it measures is not there
            keep(name, [row | {"benchmark": name, "date": date} for row in rows])
    print(f"written to {RESULTS}")


def keep(name: str, rows: list[dict[str, object]]) -> None:
    """Put the rows of one benchmark's run into results.json; the others stay as they are."""
    before = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else []
    kept = [row for row in before if row["benchmark"] != name]
    RESULTS.write_text(json.dumps(kept + rows, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
