"""evaluate-space at 10,000, 100,000 and a million entities: CPU seconds and peak memory by score.

    python -m benchmarks.bench_scores [--rows 10000 100000 1000000] [--folder FOLDER]

A made-up graph: six labels, twenty relations, eight edges an entity, most of them within clusters
of fifty. An entity's vector (400 dims, of 512 in the full space) is its cluster's and noise; its
name has four words, two of them its cluster's. One thread. Scores with baselines are computed twice
with one store, the second time as those of another space of the table. Stops unless the vectors
beat random ones, so that what was timed is the score.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.child import run_verb
from kgtextvec.matrices import MatrixWriter

DIMS, FULL_DIMS = 400, 512
LABELS, RELATIONS, EDGES, CLUSTER = 6, 20, 8, 50
AT_ONCE = 50_000
SCORES = ("geometry", "retention", "cold_start", "labels")
WITH_BASELINES = ("cold_start", "labels")
CONSONANTS, VOWELS = "bcdfghklmnprstvz", "aeiou"


def words(count: int) -> list[str]:
    """Return made-up words, by number: three syllables of two letters."""
    syllables = [a + b for a in CONSONANTS for b in VOWELS]
    n = len(syllables)
    return [
        syllables[i // n**2 % n] + syllables[i // n % n] + syllables[i % n] for i in range(count)
    ]


def write_vectors(full: Path, reduced: Path, clusters: NDArray[np.int64]) -> None:
    """Write both spaces: the cluster's direction and noise; the reduced one lacks the last dims."""
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((int(clusters.max()) + 1, DIMS), dtype=np.float32)
    with (
        (full / "embeddings.npy").open("wb") as large,
        (reduced / "embeddings.npy").open("wb") as small,
    ):
        files = [(MatrixWriter(large, len(clusters), FULL_DIMS), FULL_DIMS)]
        files.append((MatrixWriter(small, len(clusters), DIMS), DIMS))
        for start in range(0, len(clusters), AT_ONCE):
            some = clusters[start : start + AT_ONCE]
            noise = rng.standard_normal((len(some), FULL_DIMS), dtype=np.float32)
            noise[:, :DIMS] = centres[some] + 1.5 * noise[:, :DIMS]
            noise[:, DIMS:] *= 0.5
            for matrix, dims in files:
                matrix.add(noise[:, :dims])


def make_graph(root: Path, rows: int) -> tuple[Path, Path, Path, Path]:
    """Write two spaces, texts and triples; return full, reduced, texts, triples."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, LABELS, rows)
    clusters = rng.integers(0, max(rows // CLUSTER, 1), rows)
    vocabulary = words(20_000)
    own = rng.integers(0, len(vocabulary), (rows, 2))
    theirs = rng.integers(0, len(vocabulary), (int(clusters.max()) + 1, 2))
    texts = [
        f"{vocabulary[a]} {vocabulary[b]} {vocabulary[c]} {vocabulary[d]}"
        for (a, b), (c, d) in zip(theirs[clusters].tolist(), own.tolist(), strict=True)
    ]
    digests = [sha256(text.encode()).hexdigest() for text in texts]
    ids = [str(i) for i in range(rows)]
    names = [f"Label{label}" for label in labels.tolist()]
    nodes = [f"{label}::{one}" for label, one in zip(names, ids, strict=True)]
    index = pa.table(
        {
            "row": np.arange(rows),
            "id": ids,
            "label": names,
            "name": texts,
            "resource": [""] * rows,
            "node_id": nodes,
            "text_sha256": digests,
        }
    )
    spaces = []
    for space, dims in (("full", FULL_DIMS), (f"pca{DIMS}", DIMS)):
        folder = root / "toy/things" / space
        folder.mkdir(parents=True)
        pq.write_table(index, folder / "index.parquet")
        record = {
            "model": {"name": "toy"},
            "table": "things",
            "kind": "entities",
            "space": space,
            "rows": rows,
            "dims": dims,
            "text": "name",
        }
        (folder / "manifest.json").write_text(json.dumps(record))
        spaces.append(folder)
    write_vectors(*spaces, clusters)
    shards = root / "texts/things/shards"
    shards.mkdir(parents=True)
    pairs = sorted(set(zip(digests, texts, strict=True)))
    table = {"text_sha256": [d for d, _ in pairs], "text": [t for _, t in pairs]}
    pq.write_table(pa.table(table), shards / "000-of-001.parquet")
    triples = root / "triples.tsv"
    write_triples(triples, nodes, clusters, rng)
    return spaces[0], spaces[1], shards, triples


def write_triples(
    path: Path, nodes: list[str], clusters: NDArray[np.int64], rng: np.random.Generator
) -> None:
    """Write EDGES edges for each entity: three of four end near its cluster's own hub."""
    rows = len(nodes)
    hubs = rng.integers(0, rows, (int(clusters.max()) + 1, EDGES))
    with path.open("w", encoding="utf-8") as file:
        file.write("head\trelation\ttail\n")
        for edge in range(EDGES):
            tails = np.where(
                rng.random(rows) < 0.75, hubs[clusters, edge], rng.integers(0, rows, rows)
            )
            kinds = rng.integers(0, RELATIONS, len(hubs))[clusters]
            file.writelines(
                f"{nodes[head]}\trelation {kind}\t{nodes[tail]}\n"
                for head, (kind, tail) in enumerate(
                    zip(kinds.tolist(), tails.tolist(), strict=True)
                )
                if head != tail
            )


def results(counts: Sequence[int], folder: Path | None = None) -> Iterator[dict[str, Any]]:
    """Yield a row for each size and score as it is measured."""
    for rows in counts:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            full, reduced, texts, triples = make_graph(Path(name), rows)
            for score in SCORES:
                for time in range(1 + (score in WITH_BASELINES)):
                    out = Path(name) / f"{score}.json"
                    cost = run_verb(
                        "evaluate-space", reduced, "--texts", texts, "--out", out, "--full", full,
                        "--triples", triples, "--scores", score, "--threads", 1, "--device", "cpu",
                        "--store", Path(name) / "store",
                    )  # fmt: skip
                    found = json.loads(out.read_text())
                    if score == "cold_start":
                        methods = found["scores"][score]["all"]["all"]
                        values = {one: metrics["mrr"]["value"] for one, metrics in methods.items()}
                        assert values["vectors"] > 2 * values["random"], values
                    again = ", another space" if time else ""
                    yield {
                        "name": f"evaluate-space, {score}{again}, {rows} entities x {DIMS}:"
                        " CPU seconds",
                        "ours": cost.cpu,
                        "wall": cost.wall,
                        "peak": cost.peak,
                        "counts": found["counts"].get(score, {}),
                        "notes": found["notes"],
                        "target": "stated",
                    }


def bench(counts: Sequence[int] = (10_000,)) -> list[dict[str, Any]]:
    """Run it; raises AssertionError unless the vectors beat random ones."""
    return list(results(counts))


def main() -> None:
    """Run it at the sizes asked for; print each row as it is made."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="where the made-up spaces are written")
    asked = parser.parse_args()
    for row in results(asked.rows, asked.folder):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
