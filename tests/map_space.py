"""A small space folder with clusters, hostile names and columns of every kind."""

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from manifests import space_manifest

from kgtextvec.checksums import xxh3_of

HOSTILE = [
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "{{ script }} @@SCRIPT@@ &amp; \"quotes\" 'single'",
    "line\u2028separator \\u003c \x00 \U0001f9ec \u4e2d\u6587",
    "$\\frac{1}{0}$ _under_ ^hat^",
]
LABELS = ["Gene", "Disease", "Compound", "Symptom"]


def write_space(folder: Path, n: int = 120, dims: int = 24, seed: int = 0, **vectors) -> Path:
    """Write embeddings.npy, index.parquet, manifest.json and text shards; return the folder."""
    random = np.random.default_rng(seed)
    groups = np.arange(n) % len(LABELS)
    centres = random.normal(size=(len(LABELS), dims)) * 2
    values = (centres[groups] + random.normal(size=(n, dims))).astype(np.float32)
    values = vectors.get("values", values)
    names = [HOSTILE[i] if i < len(HOSTILE) else f"entity {i}" for i in range(n)]
    ids = [f"T:{i:04d}" for i in range(n)]
    texts = [f"What is told of {name}. " + "more " * (i % 90) for i, name in enumerate(names)]
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    labels = [LABELS[group] for group in groups]
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "embeddings.npy", values)
    index = {
        "row": np.arange(n),
        "id": ids,
        "label": labels,
        "name": names,
        "resource": [("A", "B", "")[i % 3] for i in range(n)],
        "node_id": [f"{label}::{id_}" for label, id_ in zip(labels, ids, strict=True)],
        "text_sha256": digests,
        "n_tokens": pa.array([5 + i % 90 for i in range(n)], pa.int32()),
        "truncated": [i % 90 > 80 for i in range(n)],
    }
    pq.write_table(pa.table(index), folder / "index.parquet")
    (folder / "manifest.json").write_text(
        json.dumps(
            space_manifest(
                rows=n,
                texts=n,
                dims=values.shape[1],
                vectors_xxh3=xxh3_of(folder / "embeddings.npy"),
            )
        )
    )
    kept = dict(zip(digests, texts, strict=True))
    order = sorted(kept)
    (folder / "shards").mkdir(exist_ok=True)
    for at, part in enumerate((order[: n // 2], order[n // 2 :])):
        pq.write_table(
            pa.table(
                {
                    "text_sha256": pa.array(part, pa.string()),
                    "text": pa.array([kept[digest] for digest in part], pa.string()),
                }
            ),
            folder / "shards" / f"{at:03d}-of-002.parquet",
        )
    return folder


def ten_nearest(values: np.ndarray) -> tuple[list[list[int]], np.ndarray]:
    """Return each row's ten rows of highest cosine and all cosines, in plain float64."""
    values = values.astype(np.float64)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    cosines = (values / lengths) @ (values / lengths).T
    others = cosines.copy()
    np.fill_diagonal(others, -np.inf)
    return [list(np.argsort(-row, kind="stable")[:10]) for row in others], cosines


def read_page(path):
    """Read a map page's data as its JavaScript does, but written anew."""
    page = path.read_text("utf-8")
    blocks = {
        name: gzip.decompress(base64.b64decode(content))
        for name, content in re.findall(
            r'<script type="application/octet-stream" id="data-([\w-]+)">([\w+/=]*)</script>', page
        )
    }

    def numbers(name, width):
        planes = np.frombuffer(blocks[name], np.uint8).reshape(width, -1).astype(np.int64)
        return sum(plane << (8 * at) for at, plane in enumerate(planes))

    about = json.loads(blocks["about"])
    count, k = about["count"], about["k"]
    codes = numbers("neighbours", 4).reshape(k, count) if k else np.zeros((0, count), np.int64)
    signed = np.where(codes % 2, -(codes + 1) // 2, codes // 2)
    falls = numbers("cosines", 2).reshape(k, count) if k else np.zeros((0, count), np.int64)
    data = {
        "about": about,
        "ids": json.loads(blocks["ids"]),
        "names": json.loads(blocks["names"]),
        "rows": numbers("rows", 4).tolist(),
        "neighbours": (signed + np.arange(count)).T,
        "cosines": ((2 * falls[:1] - np.cumsum(falls, axis=0)) / 10000 - 1).T,
        "columns": [
            np.frombuffer(blocks[f"column-{at}"], np.uint8) for at in range(len(about["columns"]))
        ],
        "layouts": {
            one["key"]: numbers(one["key"], 2).reshape(2, count).T for one in about["layouts"]
        },
    }
    if about["texts"]:
        texts = json.loads(blocks["texts"])
        data["texts"] = [texts[at] for at in numbers("text-of", 4)]
    return data
