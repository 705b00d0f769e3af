"""Spaces for the tests of exports, made on the spot: entities and relation types of one model."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kgtextvec.checksums import xxh3_of

# (label, id, name); a name with blanks and quotes, an id under two labels, one node twice.
ENTITIES = [
    ("Gene", "ENTREZ:7157", "TP53"),
    ("Disease", "MESH:D000544", "Alzheimer's disease"),
    ("Gene", "ENTREZ:672", 'BRCA1 "early\tonset"'),
    ("Symptom", "MESH:D000544", "the same id under another label"),
    ("Compound", "DrugBank:DB00945", "aspirin, 乙酰水楊酸"),
    ("Gene", "ENTREZ:7157", "TP53 once more"),
    ("Disease", "MESH:D003920", "back\\slash\nand line"),
    ("Anatomy", "UBERON:0000955", "brain"),
]
RELATION_TYPES = [
    "Made::treats::Compound:Disease",
    "Made::binds::Compound:Gene",
    "Other::treats::Compound:Disease",
]


def vectors_of(n, dims, seed=0):
    return np.random.default_rng(seed).standard_normal((n, dims)).astype(np.float32)


def entity_space(folder: Path, entities=ENTITIES, dims=6, seed=0, vectors=None, **more) -> Path:
    labels, ids, names = (list(column) for column in zip(*entities, strict=True))
    index = {
        "id": ids,
        "label": labels,
        "name": names,
        "node_id": [f"{label}::{one}" for label, one in zip(labels, ids, strict=True)],
    }
    return write_space(folder, "entities", index, dims, seed, vectors, more)


def relation_space(
    folder: Path, relations=RELATION_TYPES, dims=6, seed=1, formatted=None, **more
) -> Path:
    index = {
        "id": relations,
        "label": [one.rpartition("::")[2] for one in relations],
        "name": relations,
        "relation_type": relations,
        "formatted_relation_type": formatted or relations,
        "node_id": relations,
    }
    return write_space(folder, "relation_types", index, dims, seed, None, more)


def write_space(folder, kind, index, dims, seed, vectors, more) -> Path:
    folder.mkdir(parents=True)
    n = len(index["id"])
    np.save(folder / "embeddings.npy", vectors_of(n, dims, seed) if vectors is None else vectors)
    columns = {name: pa.array(values, pa.string()) for name, values in index.items()}
    pq.write_table(pa.table({"row": np.arange(n), **columns}), folder / "index.parquet")
    manifest = {
        "model": {"name": "tiny", "weights_sha256": "0" * 64},
        "table": kind,
        "kind": kind,
        "space": "pca6",
        "text": "description,name",
        "rows": n,
        "dims": np.load(folder / "embeddings.npy", mmap_mode="r").shape[1],
        "vectors_xxh3": xxh3_of(folder / "embeddings.npy"),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest | more))
    return folder


def expected(folder: Path) -> dict[str, np.ndarray]:
    """The vector of each node id, by plain reading: of rows with one id the first."""
    index = pq.read_table(folder / "index.parquet").to_pydict()
    vectors = np.load(folder / "embeddings.npy")
    found: dict[str, np.ndarray] = {}
    for row, node_id in enumerate(index["node_id"]):
        found.setdefault(node_id, vectors[row])
    return found


def assert_same(ids, vectors, folder: Path) -> None:
    """Each vector is, to the bit, that of its id; no id is missing and none comes twice."""
    want = expected(folder)
    assert sorted(ids) == sorted(want)
    for one, vector in zip(ids, np.asarray(vectors), strict=True):
        assert vector.dtype == np.float32
        np.testing.assert_array_equal(vector.view(np.uint32), want[one].view(np.uint32), str(one))
