"""The verb draw-map: a space laid out in two dimensions, as a page and as pictures."""

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kgtextvec.errors import InputError
from kgtextvec.files import file_or_none, read_json, whole_file
from kgtextvec.progress import say
from kgtextvec.triples import read_columns

LAYOUT_METHODS = ("tsne", "umap")
MAX_POINTS = 150_000


def draw_map_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `draw_map`."""
    parser.add_argument(
        "space_dir", type=Path, help="folder with embeddings.npy, index.parquet, manifest.json"
    )
    parser.add_argument(
        "--out-dir",
        type=Path,
        default=None,
        help="folder for map.html, map.png, map.svg, layout.parquet (default: the space folder)",
    )
    parser.add_argument("--title", default="", help="title (default: model, table and space)")
    parser.add_argument("--seed", type=int, default=0, help="seed of sample and layouts")
    parser.add_argument(
        "--max-points", type=int, default=MAX_POINTS, help="draw a sample above this many rows"
    )
    parser.add_argument(
        "--layouts", default=",".join(LAYOUT_METHODS), help="tsne, umap or both, with a comma"
    )
    parser.add_argument("--color-by", default="label", help="index column that gives the colours")
    parser.add_argument(
        "--texts",
        type=Path,
        default=None,
        help="folder of text shards (results/texts/TABLE/shards): show the texts on the page",
    )
    parser.add_argument(
        "--triples",
        type=file_or_none,
        nargs="?",
        help="head, relation, tail with tabs between: colour by degree too",
    )


def draw_map(
    space_dir: Path,
    out_dir: Path | None = None,
    title: str = "",
    seed: int = 0,
    max_points: int = MAX_POINTS,
    layouts: str = "tsne,umap",
    color_by: str = "label",
    texts: Path | None = None,
    triples: Path | None = None,
) -> None:
    """Lay a space out and write map.html, map.png, map.svg and layout.parquet: all or none.

    The neighbours that the page lists are those of highest cosine in `embeddings.npy` among the
    points drawn. Same input and seed give the same bytes. Raises InputError for a space that is
    incomplete or holds NaN, an unknown layout or column, no rows.
    """
    from kgtextvec.report.map.colouring import colourings
    from kgtextvec.report.map.layout import PERPLEXITY, compute_layouts, nearest, unit_vectors
    from kgtextvec.report.map.page import LIST_LENGTH, MapData, render_map_page
    from kgtextvec.report.map.picture import draw_picture

    wanted = layout_names(layouts)
    if max_points < 1:
        raise InputError(f"draw-map, --max-points: {max_points} is too few. Give 1 or more.")
    vectors, index, manifest = read_space(space_dir)
    if triples and "degree" not in index.column_names:
        index = index.append_column("degree", pa.array(degrees(triples, index)))
    if color_by not in index.column_names:
        raise InputError(
            f"{space_dir / 'index.parquet'}: no column '{color_by}' to colour by."
            f" There are {', '.join(index.column_names)}."
        )
    rows = sampled(len(vectors), max_points, seed)
    shown = index.take(pa.array(rows))
    say(f"draw-map: {len(rows):,} of {len(vectors):,} rows, {vectors.shape[1]} dimensions")
    units = unit_vectors(finite(vectors, rows, space_dir))
    k = max(3 * PERPLEXITY if "tsne" in wanted else 0, 14 if "umap" in wanted else 0, LIST_LENGTH)
    found, cosines = nearest(units, k, seed)
    positions = compute_layouts(units, found, cosines, wanted, seed)
    columns = colourings(shown, color_by)
    title = title or default_title(manifest, space_dir)
    facts = facts_of(manifest, len(vectors), vectors.shape[1])
    note = note_of(len(rows), len(vectors), max_points)
    page = render_map_page(
        MapData(
            title=title,
            facts=facts,
            note=note,
            rows=rows,
            ids=as_texts(shown, "id"),
            names=as_texts(shown, "name"),
            texts=find_texts(texts, as_texts(shown, "text_sha256")) if texts else None,
            columns=columns,
            positions=positions,
            neighbours=found,
            cosines=cosines,
        )
    )
    out = out_dir or space_dir
    with ExitStack() as stack:
        parts = {
            name: stack.enter_context(whole_file(out / name))
            for name in ("layout.parquet", "map.html", "map.png", "map.svg")
        }
        about = {"seed": seed, "layouts": list(wanted), "rows": len(vectors), "drawn": len(rows)}
        write_layout(parts["layout.parquet"], len(vectors), rows, positions, about)
        parts["map.html"].write_text(page, "utf-8")
        pictures = {"png": parts["map.png"], "svg": parts["map.svg"]}
        draw_picture(pictures, title, facts, note, positions, columns[0])
    say(f"draw-map: {out / 'map.html'}, {len(page) / 1e6:,.1f} MB")


def degrees(triples: Path, index: pa.Table) -> NDArray[np.int64]:
    """Count the distinct triples at each row's node, (n,); a node is `label::id` or a bare id.

    Raises InputError when the file of triples can't be read.
    """
    read = read_columns(triples)
    once = read.group_by(read.column_names, use_threads=False).aggregate([])
    ends = pa.chunked_array([*once["head"].chunks, *once["tail"].chunks], pa.string())
    counted = ends.value_counts()
    names, counts = counted.field("values"), counted.field("counts").to_numpy()
    found = np.zeros(index.num_rows, np.int64)
    for column in ("node_id", "id"):
        place = pc.index_in(index[column].combine_chunks(), value_set=names)
        row = place.fill_null(-1).to_numpy(zero_copy_only=False)
        found += np.where(row >= 0, counts[row], 0) if len(counts) else 0
    return found


def layout_names(layouts: str) -> tuple[str, ...]:
    """Split --layouts. Raises InputError for one we don't have, or none."""
    names = tuple(dict.fromkeys(name.strip() for name in layouts.split(",") if name.strip()))
    if not names or not set(names) <= set(LAYOUT_METHODS):
        raise InputError(
            f"draw-map, --layouts: '{layouts}' is not a choice. Give tsne, umap or tsne,umap."
        )
    return names


def read_space(space: Path) -> tuple[NDArray[np.float32], pa.Table, dict[str, Any]]:
    """Read a space folder: vectors (n, dims), memory-mapped, the index and the manifest.

    Raises InputError when a file is absent or damaged, or when they don't fit each other.
    """
    manifest = read_json(space / "manifest.json")
    try:
        vectors = np.load(space / "embeddings.npy", mmap_mode="r", allow_pickle=False)
        index = pq.read_table(space / "index.parquet")
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: not there. Make the space {space} first.") from None
    except (ValueError, pa.ArrowInvalid, EOFError) as error:
        raise InputError(
            f"{space}: can't be read ({error}). Delete the folder and rerun."
        ) from None
    if vectors.ndim != 2 or len(vectors) != len(index):
        raise InputError(
            f"{space}: embeddings.npy has shape {vectors.shape}, but index.parquet"
            f" {len(index)} rows. Delete the folder and rerun."
        )
    if not len(vectors):
        raise InputError(f"{space}: no rows, so there is nothing to draw. Look at the table.")
    return vectors, index, manifest


def sampled(n: int, most: int, seed: int) -> NDArray[np.int64]:
    """Return all row numbers, or a seeded sample of `most` of them, rising."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def finite(
    vectors: NDArray[np.float32], rows: NDArray[np.int64], space: Path
) -> NDArray[np.float32]:
    """Read rows of the vectors. Raises InputError when one holds NaN or infinity."""
    taken = np.asarray(vectors[rows], dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(taken).all(axis=1))
    if len(bad):
        raise InputError(
            f"{space / 'embeddings.npy'}: row {rows[bad[0]]} holds NaN or infinity."
            " Delete the file and rerun."
        )
    return taken


def as_texts(index: pa.Table, name: str) -> list[str]:
    """Return an index column as strings, empty where it is absent or null."""
    if name not in index.column_names:
        return [""] * len(index)
    return ["" if value is None else str(value) for value in index[name].to_pylist()]


def find_texts(shards: Path, digests: list[str]) -> list[str]:
    """Find the texts of sha256 `digests` in a folder of shards; "" where there is none.

    Raises InputError when the folder has no shard.
    """
    files = sorted(shards.glob("*.parquet"))
    if not files:
        raise InputError(f"{shards}: no shard (*.parquet) in it. Give a table's shards folder.")
    wanted = pa.array(sorted(set(digests)))
    texts: dict[str, str] = {}
    for file in files:
        table = pq.read_table(
            file,
            columns=["text_sha256", "text"],
            filters=pc.field("text_sha256").isin(wanted),
        )
        texts.update(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    return [texts.get(digest, "") for digest in digests]


def default_title(manifest: dict[str, Any], space: Path) -> str:
    """Return a title from the manifest, or from the folder's place in results."""
    table = str(manifest.get("table") or space.resolve().parent.name).replace("_", " ")
    model = manifest.get("model")
    model = model.get("name") if isinstance(model, dict) else model
    return f"{table[:1].upper()}{table[1:]} by {model or space.resolve().parent.parent.name}"


def facts_of(manifest: dict[str, Any], rows: int, dims: int) -> str:
    """Return the line under the title: what the points are."""
    facts = [f"{rows:,} vectors of {dims:,} dimensions"]
    if manifest.get("space"):
        facts.append(f"space {manifest['space']}")
    if manifest.get("pooling"):
        facts.append(f"pooling {manifest['pooling']}")
    if isinstance(manifest.get("texts"), int):
        facts.append(f"{manifest['texts']:,} distinct texts")
    return " · ".join(facts)


def note_of(drawn: int, rows: int, most: int) -> str:
    """Return what to say on the picture when not all rows are drawn."""
    if drawn == rows:
        return ""
    return (
        f"A seeded sample: {drawn:,} of {rows:,} rows are drawn (--max-points {most:,}),"
        " and neighbours are looked for among them."
    )


def write_layout(
    path: Path,
    count: int,
    rows: NDArray[np.int64],
    positions: dict[str, NDArray[np.float32]],
    about: dict[str, Any],
) -> None:
    """Write layout.parquet: row, then x and y of each layout, NaN where none was made."""
    columns: dict[str, Any] = {"row": np.arange(count, dtype=np.int64)}
    for name in LAYOUT_METHODS:
        places = np.full((count, 2), np.nan, dtype=np.float32)
        if name in positions:
            places[rows] = positions[name]
        columns[f"{name}_x"], columns[f"{name}_y"] = places.T.copy()
    table = pa.table(columns)
    pq.write_table(table.replace_schema_metadata({"kgtextvec": json.dumps(about)}), path)
