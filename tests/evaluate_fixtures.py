"""Space folders, texts and graphs for the tests of evaluate."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def make_space(root, vectors, labels, texts=None, space="full", table="things", **manifest) -> Path:
    """Write a space and its texts; return the space's folder. Entity i is `label::i`."""
    vectors = np.ascontiguousarray(vectors, np.float32)
    texts = [f"text {i}" for i in range(len(vectors))] if texts is None else texts
    digests = [sha256(text.encode()).hexdigest() for text in texts]
    folder = root / "toy" / table / space
    folder.mkdir(parents=True)
    np.save(folder / "embeddings.npy", vectors)
    ids = [str(i) for i in range(len(vectors))]
    index = {
        "row": np.arange(len(vectors)),
        "id": ids,
        "label": list(labels),
        "name": ids,
        "resource": [""] * len(ids),
        "node_id": [f"{label}::{i}" for label, i in zip(labels, ids, strict=True)],
        "text_sha256": digests,
    }
    pq.write_table(pa.table(index), folder / "index.parquet")
    told = {
        "model": {"name": "toy"},
        "table": table,
        "kind": "entities",
        "space": space,
        "rows": len(vectors),
        "dims": vectors.shape[1],
        "text": "name",
    }
    (folder / "manifest.json").write_text(json.dumps(told | manifest))
    shards = root / "texts" / table / "shards"
    shards.mkdir(parents=True, exist_ok=True)
    pairs = sorted(set(zip(digests, texts, strict=True)))
    for part, name in ((pairs[::2], "000-of-002"), (pairs[1::2], "001-of-002")):
        shard = {"text_sha256": [d for d, _ in part], "text": [t for _, t in part]}
        schema = pa.schema([("text_sha256", pa.string()), ("text", pa.string())])
        pq.write_table(pa.table(shard, schema=schema), shards / f"{name}.parquet")
    return folder


def shards_of(folder: Path) -> Path:
    """Return the folder of the texts that make_space wrote for a space."""
    return folder.parents[2] / "texts" / folder.parent.name / "shards"


def write_triples(path: Path, triples) -> Path:
    """Write triples of words, with a header."""
    lines = ["head\trelation\ttail", *("\t".join(one) for one in triples)]
    path.write_text("\n".join(lines) + "\n")
    return path


def clusters(n_clusters=8, size=40, dims=8):
    """Things of cluster j have the vector of axis j and like answer j, and nothing else.

    Returns vectors, labels and triples. The answers are fewer than ten, so that none gets hidden.
    """
    things = np.repeat(np.eye(n_clusters, dims), size, axis=0)
    vectors = np.vstack([things, np.eye(n_clusters, dims)])
    n_things = n_clusters * size
    labels = ["Thing"] * n_things + ["Answer"] * n_clusters
    triples = [(f"Thing::{i}", "likes", f"Answer::{n_things + i // size}") for i in range(n_things)]
    return vectors, labels, triples
