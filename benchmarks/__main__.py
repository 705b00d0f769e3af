"""Run the benchmarks and write benchmarks/results.json; small by default.

    python -m benchmarks [embed reduce export …] [--full]
    python -m benchmarks products --full [--avx2]
    python -m benchmarks e2e --full [--sizes 500 2000] [--rounds 5] [--tables FOLDER] [--rows …]

Every row is {name, ours, theirs, ratio, target} and what else a benchmark tells: both sides, taken
in turn in this run, each beside a check that the results agree. A disagreement stops the run.
The file is a list of rows: the last run of each benchmark, whose name and date each row tells;
those that aren't run now keep theirs, and so do rows of another processor, and rows of e2e that
aren't measured now. `python -m benchmarks.plots` draws from it.
"""

import argparse
import json
import platform
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.e2e_table import ROWS, write_table
from benchmarks.instructions import limit_to_avx2
from kgtextvec.reduce.blas import choose_kernels

RESULTS = Path(__file__).parent / "results.json"
SMALL = {
    "start": {"rounds": 3},
    "reduce": {"rows": 10_000, "equal_rows": 10_000},
    "export": {"rows": 4_000, "rounds": 3},
    "texts": {"rows": 50_000, "fewer": 5_000, "rounds": 2},
    "formats": {"rows": 20_000, "more": 20_000, "facts": 20_000, "named": 2_000, "rounds": 1},
    "lengths": {"n_texts": 32, "counts": [1_000]},
    "embed": {"n_texts": 48, "repeats": 2},
    "products": {"n_texts": 64, "repeats": 1},
    "decoder": {"n_texts": 16, "layers": 2, "repeats": 2},
    "e2e": {"counts": [500], "repeats": 0, "parts": ["e2e", "tsv"]},
    "scores": {"counts": [2_000]},
    "elmo": {"n_texts": 64, "batches": 1},
    "elmo_host": {"n_texts": 10_000},
    "gpu": {"n_texts": 20_000},
}
FULL = {
    "start": {"rounds": 7},
    "reduce": {"rows": 1_000_000, "equal_rows": 40_000},
    "export": {"rows": 50_000, "rounds": 5},
    "texts": {"rows": 1_000_000, "fewer": 100_000, "rounds": 3},
    "formats": {
        "rows": 1_000_000,
        "more": 2_000_000,
        "facts": 8_000_000,
        "named": 150_000,
        "rounds": 3,
    },
    "lengths": {"n_texts": 256, "counts": [1_000, 10_000, 100_000]},
    "embed": {"n_texts": 2_000, "repeats": 3},
    "products": {"n_texts": 2_000, "repeats": 3},
    "decoder": {"n_texts": 40, "layers": 11, "repeats": 3},
    "e2e": {"counts": [500, 2_000, 20_000, 100_000], "repeats": 5},
    "scores": {"counts": [10_000, 100_000, 1_000_000]},
    "elmo": {"n_texts": 2_000},
    "elmo_host": {"n_texts": 130_000},
    "gpu": {"n_texts": 200_000},
}


def main() -> None:
    """Run what is named, or all; print and write the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SMALL))
    parser.add_argument("--full", action="store_true", help="the sizes of RESULTS.md: hours")
    parser.add_argument("--avx2", action="store_true", help="limit all libraries to AVX2")
    group = parser.add_argument_group("e2e alone")
    group.add_argument("--sizes", type=int, nargs="+", help="numbers of texts")
    group.add_argument("--rounds", type=int, help="pairs for each; 0: one, with cold libraries")
    group.add_argument("--rows", nargs="+", choices=ROWS, help="default: all")
    group.add_argument("--tables", type=Path, help="folder: entities.tsv, relation_types.tsv")
    arguments = parser.parse_args()
    if arguments.avx2:
        limit_to_avx2()
    choose_kernels()  # before numpy is loaded: both sides of the PCA rows have fit-pca's kernels
    for name in arguments.names or SMALL:
        sizes: dict[str, Any] = dict((FULL if arguments.full else SMALL)[name])
        if name == "e2e":
            asked = {"counts": arguments.sizes, "repeats": arguments.rounds}
            asked |= {"parts": arguments.rows, "own": arguments.tables}
            sizes |= {key: value for key, value in asked.items() if value is not None}
        date = datetime.now(UTC).date().isoformat()
        print(f"{name}: {sizes}, {platform.machine()}, Python {platform.python_version()}")
        rows = []
        for row in import_module(f"benchmarks.bench_{name}").bench(**sizes):
            print(json.dumps(row), flush=True)
            rows.append(row | {"benchmark": name, "date": date})
            if name == "e2e":
                keep_e2e(rows[-1])
        if rows and name != "e2e":  # none where the device that it measures is not there
            keep(name, rows)
    print(f"written to {RESULTS}")


def keep(name: str, rows: list[dict[str, object]]) -> None:
    """Put the rows of one benchmark's run into results.json; the others stay as they are."""
    processors = {row.get("processor") for row in rows}
    others = [
        row
        for row in read_results()
        if row["benchmark"] != name or row.get("processor") not in processors
    ]
    write_results(others + rows)


def keep_e2e(row: dict[str, Any]) -> None:
    """Put a row of e2e in the place of its like; write the table and the picture anew."""
    from benchmarks.plots import draw_e2e  # matplotlib imports numpy, before kernels are chosen

    same = ("benchmark", "name", "processor")
    found = [one for one in read_results() if any(one.get(key) != row[key] for key in same)]
    write_results([*found, row])
    write_table([one for one in read_results() if one["benchmark"] == "e2e"])
    draw_e2e([one for one in read_results() if one.get("processor") == row["processor"]])


def read_results() -> list[dict[str, Any]]:
    """Return the rows of results.json; none where there is no file."""
    found: list[dict[str, Any]] = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else []
    return found


def write_results(rows: list[dict[str, Any]]) -> None:
    """Write results.json."""
    RESULTS.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
