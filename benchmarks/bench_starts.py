"""Link prediction from every start, on two graphs or three: which defaults the evidence supports.

    python -m benchmarks.bench_starts [--graphs sample umls hpo] [--seeds 5] [--out starts.json]

`sample` is the repository's graph (names and descriptions). `umls` comes with PyKEEN (semantic
types and relations of the UMLS; names alone). `hpo` is the cardiovascular branch of the gallery's
graph (gallery/hpo, made by `make gallery`; definitions, else names). Vectors: all-MiniLM-L6-v2,
entities and relations reduced to 64 dims by one PCA of the entities.
"""

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import kgtextvec
from benchmarks.child import ROOT, run_verb

DIMS = 64
BRANCH = "Phenotype::HP:0001626"
STARTS = (
    "random",
    "shuffled",
    "vectors",
    "as_exported",
    "as_exported_halves",
    "scaled",
    "relations_from_text",
)
Texts = dict[str, str]  # by the name that triples give
Triples = list[tuple[str, str, str]]


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a tab-separated file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def triples_of(path: Path) -> Triples:
    """Return the triples of a file with a header."""
    return [(row["head"], row["relation"], row["tail"]) for row in rows_of(path)]


def sample() -> tuple[Texts, Texts, Triples]:
    """Return the repository's own graph."""
    folder = ROOT / "resources/sample"
    entities = {
        f"{row['label']}::{row['id']}": row["description"] or row["name"]
        for row in rows_of(folder / "entities.tsv")
    }
    types = {
        row["relation_type"]: row["description"] for row in rows_of(folder / "relation_types.tsv")
    }
    return entities, types, triples_of(folder / "triples.tsv")


def umls() -> tuple[Texts, Texts, Triples]:
    """Return the graph of semantic types that PyKEEN carries; nothing of PyKEEN is imported."""
    spec = find_spec("pykeen")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("bench_starts: PyKEEN is not installed. Run: make links")
    folder = Path(spec.submodule_search_locations[0]) / "datasets/umls"
    triples = [
        (f"Type::{head}", relation, f"Type::{tail}")
        for name in ("train", "valid", "test")
        for head, relation, tail in (
            line.split("\t") for line in (folder / f"{name}.txt").read_text().splitlines()
        )
    ]
    nodes = sorted({end for head, _, tail in triples for end in (head, tail)})
    types = sorted({relation for _, relation, _ in triples})
    plain = {one: one.partition("::")[2].replace("_", " ") for one in nodes}
    return plain, {one: one.replace("_", " ") for one in types}, triples


def hpo() -> tuple[Texts, Texts, Triples]:
    """Return one branch of the gallery's graph, with the genes and diseases of its phenotypes."""
    folder = ROOT / "gallery/hpo"
    if not (folder / "triples.tsv").exists():
        sys.exit("bench_starts: gallery/hpo is not there. Run: make gallery")
    every = triples_of(folder / "triples.tsv")
    children: dict[str, list[str]] = {}
    for head, relation, tail in every:
        if relation == "is_a":
            children.setdefault(tail, []).append(head)
    below, waiting = set(), [BRANCH]
    while waiting:
        one = waiting.pop()
        if one not in below:
            below.add(one)
            waiting += children.get(one, [])
    triples = [
        (head, relation, tail)
        for head, relation, tail in every
        if tail in below and (head in below or relation != "is_a")
    ]
    nodes = {end for head, _, tail in triples for end in (head, tail)}
    entities = {
        node: row["description"] or row["name"]
        for row in rows_of(folder / "entities.tsv")
        if (node := f"{row['label']}::{row['id']}") in nodes
    }
    types = {
        "is_a": "is a kind of",
        "gene_has": "gene is associated with phenotype",
        "disease_has": "disease has phenotype",
    }
    return entities, types, triples


GRAPHS: dict[str, Callable[[], tuple[Texts, Texts, Triples]]] = {
    "sample": sample,
    "umls": umls,
    "hpo": hpo,
}


def write_space(folder: Path, kind: str, texts: Texts, vectors: NDArray[np.float32]) -> Path:
    """Write a space of nodes, or of relation types, in the order of `texts`."""
    folder.mkdir(parents=True)
    np.save(folder / "embeddings.npy", np.ascontiguousarray(vectors, np.float32))
    parts = [(node.partition("::") if kind == "entities" else ("", "", node)) for node in texts]
    index = {
        "row": np.arange(len(texts)),
        "id": [one[2] for one in parts],
        "label": [one[0] for one in parts],
        "name": list(texts.values()),
        "resource": [""] * len(texts),
        "node_id": list(texts),
        "text_sha256": [sha256(text.encode()).hexdigest() for text in texts.values()],
    }
    if kind == "relation_types":
        index["relation_type"] = list(texts)
    pq.write_table(pa.table(index), folder / "index.parquet")
    record = {"model": {"name": "minilm"}, "table": kind, "kind": kind, "space": f"pca{DIMS}"}
    record |= {"rows": len(texts), "dims": DIMS, "text": "name"}
    (folder / "manifest.json").write_text(json.dumps(record))
    return folder


def results(
    graphs: Sequence[str],
    seeds: int,
    epochs: int,
    work: Path,
    models: Sequence[str],
    starts: Sequence[str],
) -> Iterator[dict[str, Any]]:
    """Yield a row for each graph, model, start and range of degrees."""
    for graph in graphs:
        entities, types, triples = GRAPHS[graph]()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            of_entities, of_types = (
                kgtextvec.encode(list(texts.values()), work=work) for texts in (entities, types)
            )
            basis = kgtextvec.pca(of_entities, DIMS)
            space = write_space(folder / "entities", "entities", entities, basis.apply(of_entities))
            relations = write_space(
                folder / "types", "relation_types", types, basis.apply(of_types)
            )
            lines = ["head\trelation\ttail", *("\t".join(one) for one in triples)]
            (folder / "triples.tsv").write_text("\n".join(lines) + "\n")
            out = folder / "links.json"
            cost = run_verb(
                "predict-links", space, "--triples", folder / "triples.tsv", "--out", out,
                "--relations", relations, "--seeds", seeds, "--epochs", epochs,
                "--models", ",".join(models), "--starts", ",".join(starts),
                "--threads", 1, "--device", "cpu",
            )  # fmt: skip
            found = json.loads(out.read_text())
        yield {
            "name": f"predict-links, {graph}: CPU seconds",
            "ours": cost.cpu,
            "target": "stated",
            "entities": len(entities),
            "triples": len(triples),
            "counts": found["counts"],
            "scores": found["scores"],
            "runs": found["runs"],
        }


def table_of(row: dict[str, Any]) -> str:
    """Return the MRR of each model and start: all, and the lowest range of degrees."""
    lines = [f"{row['name']} {row['ours']:.0f}, {row['entities']} entities, {row['triples']} edges"]
    for model, scores in row["scores"].items():
        lowest = next(iter(scores["degree"]))
        for by, group in (("all", "all"), ("degree", lowest)):
            methods = scores[by][group]
            n = next(iter(methods.values()))["mrr"]["n"]
            cells = [f"{name} {one['mrr']['value']:.3f}" for name, one in methods.items()]
            lines.append(f"  {model.rpartition('_')[2]}, {by} {group} (n {n}): {', '.join(cells)}")
            if by == "all":
                gains = {
                    name: one.get("mrr_gain_over_random")
                    for name, one in methods.items()
                    if one.get("mrr_gain_over_random")
                }
                lines.append(f"    gains over random: {json.dumps(gains)}")
    return "\n".join(lines)


def bench(
    graphs: Sequence[str] = ("umls",),
    seeds: int = 2,
    epochs: int = 2,
    work: Path = ROOT / ".kgtextvec",
    models: Sequence[str] = ("TransE", "ComplEx", "RotatE"),
    starts: Sequence[str] = STARTS,
) -> list[dict[str, Any]]:
    """Run it; the rows hold the scores of every start."""
    return list(results(graphs, seeds, epochs, work, models, starts))


def main() -> None:
    """Run it on the graphs asked for; print a table of each, and write all numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--graphs", nargs="+", choices=GRAPHS, default=["sample", "umls"])
    parser.add_argument("--models", nargs="+", default=["TransE", "ComplEx", "RotatE"])
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=STARTS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--work", type=Path, default=ROOT / ".kgtextvec")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows = []
    how = asked.seeds, asked.epochs, asked.work, asked.models, asked.starts
    for row in results(asked.graphs, *how):
        print(table_of(row), flush=True)
        rows.append(row)
        if asked.out:
            asked.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
