"""Which layers of all-MiniLM-L6-v2 help on the gallery's graph: last, average, first_last.

    python gallery/layers.py gallery/results gallery/hpo/triples.tsv [names|definitions]

Run it after `make gallery`, whose texts it reads. Prints the MRR of the cold start, the paired
differences from `last` (95 % for both at once) and the mean cosine of two texts.
"""

import json
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from numpy import save

import kgtextvec
from kgtextvec.evaluate.scorecard import evaluate_space
from kgtextvec.pairs import compare_pairs, on_shared_items, read_item_sums
from kgtextvec.settings.scores import Scoring

LAYERS = ("last", "average", "first_last")
MODEL = "all-MiniLM-L6-v2"


def main(results: Path, triples: Path, table: str) -> None:
    """Embed the texts of a table by each setting, score and compare them."""
    source = results / "texts" / table
    rows = pq.read_table(source / "rows.parquet")
    shards = pq.read_table(source / "shards", columns=["text_sha256", "text"])
    texts = dict(zip(*(shards[name].to_pylist() for name in shards.column_names), strict=True))
    own = [texts[digest] for digest in rows["text_sha256"].to_pylist()]
    assert sha256(own[0].encode()).hexdigest() == rows["text_sha256"][0].as_py()
    labels, ids = (rows[column].to_pylist() for column in ("label", "id"))
    nodes = [f"{label}::{one}" for label, one in zip(labels, ids, strict=True)]
    index = rows.append_column("node_id", pa.array(nodes))
    sums, found = [], {}
    with tempfile.TemporaryDirectory() as name:
        for layers in LAYERS:
            vectors = kgtextvec.encode(own, MODEL, layers=layers)
            folder = Path(name) / layers
            folder.mkdir()
            save(folder / "embeddings.npy", vectors)
            pq.write_table(index, folder / "index.parquet")
            record = {"model": {"name": MODEL}, "table": table, "kind": "entities"}
            record |= {"space": "full", "rows": len(own), "dims": vectors.shape[1], "text": table}
            (folder / "manifest.json").write_text(json.dumps(record))
            out = folder / "scores.json"
            evaluate_space(
                folder,
                texts=source / "shards",
                out=out,
                triples=[triples],
                scoring=Scoring(scores=("cold_start", "geometry")),
                threads=1,
            )
            scores = json.loads(out.read_text())["scores"]
            found[layers] = [
                scores["cold_start"]["all"]["all"]["vectors"]["mrr"]["value"],
                scores["geometry"]["all"]["all"]["vectors"]["mean_cosine"]["value"],
            ]
            sums.append(read_item_sums(folder / "scores_by_row.parquet")["cold_start"])
    shared = on_shared_items(sums, ["vectors.mrr"] * len(sums))
    for place, one in enumerate(compare_pairs(*shared, [(1, 0), (2, 0)]), 1):
        print(
            f"{table}, {LAYERS[place]} minus last: {one.value:+.4f}"
            f" ({one.low_all:+.4f} to {one.high_all:+.4f}), {one.items} entities"
        )
    for layers, (mrr, cosine) in found.items():
        print(f"{table}, {layers}: MRR {mrr:.4f}, mean cosine {cosine:.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "names")
