"""mask_texts: texts of hidden entities without the names of the other ends of their edges.

What is written has the form of a table's texts, so that it is embedded and reduced as they are.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa

from kgtextvec.errors import InputError
from kgtextvec.evaluate import RECIPE
from kgtextvec.evaluate.graph import Graph, graphs_of_files
from kgtextvec.evaluate.masking import (
    Spans,
    distinct_names,
    draw_spans,
    find_names,
    replace_spans,
    words_of,
)
from kgtextvec.evaluate.readers import read_texts_of
from kgtextvec.parquet_files import read_parquet
from kgtextvec.progress import say
from kgtextvec.records import TextsManifest, read_record, write_record
from kgtextvec.registry import KIND_NAMES
from kgtextvec.settings.edges import EdgesFlag, edges_of_json
from kgtextvec.settings.scores import Seeded
from kgtextvec.space import Rows

MOST_MASKED = 5_000  # entities: intervals are narrow by then, and twice as many texts are embedded
SHARD = "000-of-001"


def mask_texts(
    texts: Annotated[Path, "results/texts/TABLE"],
    *,
    triples: Annotated[list[Path], "the graph's edges; several files are read as one"],
    out_dir: Annotated[Path, "folder to write into: rows, shards and manifest of the masked texts"],
    synonyms: Annotated[Path | None, "what read-synonyms wrote"] = None,
    edges: EdgesFlag = "",
    seeded: Seeded = Seeded(),
) -> None:
    """Mask the names of an entity's neighbours in its text, and as many other words as a control.

    Of the entities that the cold start hides, MOST_MASKED at most, drawn by the seed. The first
    half of the rows has their masked texts, the second half the controls, in the same order.
    Raises InputError when a file is damaged or no triple fits the table.
    """
    table = TextRows(texts)
    graphs, _ = graphs_of_files(table, triples, (), edges_of_json(edges), seeded.seed)
    rows = entities_to_mask(graphs, seeded.seed)
    names = names_of_neighbours(table, graphs[0], rows, synonyms)
    found, where = read_texts_of(texts / "shards", table, rows)
    masked, controls, n_changed = [], [], 0
    for row, text, of_row in zip(rows.tolist(), (found[at] for at in where), names, strict=True):
        words = words_of(text)
        spans: Spans = find_names(words, distinct_names(of_row))
        others = draw_spans(len(words), spans, np.random.default_rng([seeded.seed, row]))
        masked.append(replace_spans(text, spans))
        controls.append(replace_spans(text, others))
        n_changed += bool(spans)
    write_masked(table, np.tile(rows, 2), masked + controls, out_dir)
    say(
        f"{len(rows):,} hidden entities; the texts of {n_changed:,} name another end of their edges"
    )


class TextRows:
    """The rows of results/texts/TABLE, with the columns that a space's index would have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = read_record(folder / "manifest.json", TextsManifest)
        self.rows = self.manifest["rows"]
        self.table = read_parquet(folder / "rows.parquet").combine_chunks()

    def column(self, name: str) -> pa.Array:
        """Return a column, (rows,)."""
        if name == "node_id":
            return self.node_ids
        return self.table[name].combine_chunks()

    @cached_property
    def node_ids(self) -> pa.Array:
        """What triples call the rows."""
        columns = {name: self.table[name].to_pylist() for name in ("id", "label", "name")}
        form = self.manifest.get("node_id")
        return pa.array(KIND_NAMES[self.manifest["kind"]].node_ids(columns, form), pa.string())

    @cached_property
    def label_codes(self) -> Rows:
        """The place of each row's label among all, in alphabetical order."""
        labels = self.column("label").to_numpy(zero_copy_only=False).astype(str)
        return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def entities_to_mask(graphs: Sequence[Graph], seed: int) -> Rows:
    """Return the hidden entities that ask for edges, MOST_MASKED at most, ascending."""
    rows = np.unique(np.concatenate([graph.sources[graph.asked] for graph in graphs]))
    if len(rows) > MOST_MASKED:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_MASKED, replace=False))
    if not len(rows):
        raise InputError(
            "evaluate.scores: leakage: the graph is too small to hide anything. Leave the score"
            " out, or give a larger graph."
        )
    return rows.astype(np.int64)


def names_of_neighbours(
    table: TextRows, graph: Graph, rows: Rows, synonyms: Path | None
) -> list[list[str | None]]:
    """Return, for each of `rows`, the names and synonyms of all other ends of its edges."""
    mine = np.isin(graph.sources, rows)
    pairs = np.unique(np.stack([graph.sources[mine], graph.answers[mine]]), axis=1)
    bounds = np.searchsorted(pairs[0], np.append(rows, rows[-1] + 1))
    names: list[str | None] = table.column("name").to_pylist()
    more: dict[tuple[str, str], list[str]] = {}
    if synonyms:
        read = read_parquet(synonyms, ["id", "label", "synonym"])
        columns = (read[name].to_pylist() for name in ("id", "label", "synonym"))
        for node, label, synonym in zip(*columns, strict=True):
            more.setdefault((node, label), []).append(synonym)
    ids, labels = table.column("id").to_pylist(), table.column("label").to_pylist()
    return [
        [
            name
            for end in pairs[1, bounds[i] : bounds[i + 1]].tolist()
            for name in (names[end], *more.get((ids[end], labels[end]), ()))
        ]
        for i in range(len(rows))
    ]


def write_masked(table: TextRows, rows: Rows, texts: Sequence[str], out_dir: Path) -> None:
    """Write rows.parquet, shards/ and manifest.json, of the form that read-texts gives them."""
    import hashlib

    import pyarrow.parquet as pq

    from kgtextvec.digests import TableDigest, digests_of_texts
    from kgtextvec.files import sha256_of, whole_file

    keys = digests_of_texts(text.encode() for text in texts)
    names = [key.tobytes().hex() for key in keys]
    distinct = dict(sorted(zip(names, texts, strict=True)))
    places = {name: place for place, name in enumerate(distinct)}
    shard = pa.table({"text_sha256": list(distinct), "text": list(distinct.values())})
    (out_dir / "shards").mkdir(parents=True, exist_ok=True)
    (out_dir / "manifest.json").unlink(missing_ok=True)
    with whole_file(out_dir / "shards" / f"{SHARD}.parquet") as part:
        pq.write_table(shard, part, compression="zstd")
    made = table.table.take(pa.array(rows))
    changed = {
        "row": pa.array(np.arange(len(rows))),
        "text_index": pa.array([places[name] for name in names], pa.int64()),
        "text_sha256": pa.array(names, pa.string()),
    }
    for name, column in changed.items():
        made = made.set_column(made.column_names.index(name), name, column)
    made = made.combine_chunks()
    digest = TableDigest(made.column_names)
    for batch in made.to_batches():
        digest.add(batch)
    with whole_file(out_dir / "rows.parquet") as part:
        pq.write_table(made, part, compression="zstd")
    of_shard = hashlib.sha256(bytes.fromhex("".join(distinct))).hexdigest()
    record: TextsManifest = {
        **table.manifest,
        "table": out_dir.name,
        "rows": len(rows),
        "texts": len(distinct),
        "digest": digest.hexdigest(),
        "rows_sha256": sha256_of(out_dir / "rows.parquet"),
        "shards": {SHARD: {"texts": len(distinct), "digest": of_shard}},
        "recipe": RECIPE["mask_texts"],
    }
    write_record(out_dir / "manifest.json", record)
