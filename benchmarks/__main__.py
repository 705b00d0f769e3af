"""Run the benchmarks and write benchmarks/results.json; small by default.

    python -m benchmarks [embed reduce export] [--full]

Every row is {name, ours, theirs, ratio, target}: seconds of both sides, taken in turn in this run,
each beside a check that the results agree. A disagreement stops the run.
"""

import argparse
import json
import platform
from importlib import import_module
from pathlib import Path

SMALL = {
    "reduce": {"rows": 10_000},
    "export": {"rows": 4_000},
    "embed": {"n_texts": 48, "repeats": 2},
}
FULL = {
    "reduce": {"rows": 1_000_000},
    "export": {"rows": 50_000},
    "embed": {"n_texts": 2_000, "repeats": 3},
}


def main() -> None:
    """Run what is named, or all; print and write the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SMALL))
    parser.add_argument("--full", action="store_true", help="the sizes of RESULTS.md: hours")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.names or SMALL:
        sizes = (FULL if arguments.full else SMALL)[name]
        print(f"{name}: {sizes}, {platform.machine()}, Python {platform.python_version()}")
        for row in import_module(f"benchmarks.bench_{name}").bench(**sizes):
            print(json.dumps(row))
            rows.append(row)
    path = Path(__file__).parent / "results.json"
    path.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
