"""Matrices and id maps as trainers of knowledge-graph embeddings have them: row i is their id i."""

import csv
import gzip
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kgtextvec.errors import InputError
from kgtextvec.files import whole_file
from kgtextvec.matrices import MatrixWriter, open_matrix, rows_per_block, take_rows
from kgtextvec.progress import Progress
from kgtextvec.space import Rows, Space

Floats = NDArray[np.float32]
Blocks = Iterator[Floats]
# A map's line ends at the tab or the line end; readers strip blanks around.
UNFIT = r"[\t\r\n]|^\s|\s$|^$"


@dataclass(frozen=True)
class Layout:
    """Names of a trainer's files ({name}: the model) and the form of its id maps."""

    vectors: dict[str, str]
    maps: dict[str, str]
    map_lines: Callable[[Sequence[str]], Iterable[str]]
    sort: bool = False


def row_then_id(ids: Sequence[str]) -> Iterable[str]:
    """DGL-KE's and PyKEEN's map."""
    return (f"{row}\t{identifier}\n" for row, identifier in enumerate(ids))


def id_then_row(ids: Sequence[str]) -> Iterable[str]:
    """DRKG's map."""
    return (f"{identifier}\t{row}\n" for row, identifier in enumerate(ids))


def counted(ids: Sequence[str]) -> Iterable[str]:
    """OpenKE's map: the number of ids first."""
    yield f"{len(ids)}\n"
    yield from id_then_row(ids)


def with_header(ids: Sequence[str]) -> Iterable[str]:
    """PyKEEN's map, as its TriplesFactory saves it."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(["id", "label"])
    writer.writerows(enumerate(ids))
    text.seek(0)
    return text


DGLKE = Layout(
    {"entities": "{name}_entity.npy", "relation_types": "{name}_relation.npy"},
    {"entities": "entities.tsv", "relation_types": "relations.tsv"},
    row_then_id,
)
LAYOUTS = {
    "dglke": DGLKE,
    "triples": DGLKE,
    "drkg": Layout(DGLKE.vectors, DGLKE.maps, id_then_row),
    "openke": Layout(
        {"entities": "entity2vec.npy", "relation_types": "relation2vec.npy"},
        {"entities": "entity2id.txt", "relation_types": "relation2id.txt"},
        counted,
    ),
    "pykeen": Layout(
        {"entities": "entities.npy", "relation_types": "relations.npy"},
        {"entities": "entity_to_id.tsv.gz", "relation_types": "relation_to_id.tsv.gz"},
        with_header,
        sort=True,
    ),
}


def write_trainer(space: Space, folder: Path, form: str, name: str) -> dict[str, Any]:
    """Write the first row of each node id as the matrix and the map of a trainer's form.

    In the table's order, for pykeen by sorted ids. Returns what the manifest tells of it.
    """
    layout = LAYOUTS[form]
    rows = space.first_rows()
    ids = space.column("node_id").take(pa.array(rows))
    if layout.sort:
        order = pc.sort_indices(ids)
        rows, ids = rows[order.to_numpy()], ids.take(order)
    check_names(space, ids)
    vectors = layout.vectors[space.kind].format(name=name)
    digest = write_matrix(taken(space, rows), len(rows), space.dims, folder / vectors)
    listed = ids.to_pylist()
    write_map(layout, listed, folder / layout.maps[space.kind])
    return {
        "file": vectors,
        "map": layout.maps[space.kind],
        "rows": len(rows),
        "sha256": digest,
        "check": some_norms(folder / vectors, listed),
    }


def check_names(space: Space, ids: pa.Array) -> None:
    """Raise InputError at an id that can't stand in a map."""
    unfit = pc.match_substring_regex(ids, UNFIT)
    if pc.any(unfit).as_py():
        first = ids.filter(unfit)[0].as_py()
        raise InputError(
            f"{space.folder}: the id {first!r} is empty, holds a tab or a line end, or begins or"
            " ends with a blank; trainers' id maps can't tell it. Mend the table."
        )


def taken(space: Space, rows: Rows) -> Blocks:
    """Yield the vectors of rows, a block (m, dims) at a time."""
    size = rows_per_block(space.dims, 1 << 21)
    for start in range(0, len(rows), size):
        yield take_rows(space.matrix, rows[start : start + size])


def write_matrix(found: Blocks, rows: int, dims: int, out: Path) -> str:
    """Write blocks as one (rows, dims) float32 .npy; return its sha256. Refuses NaN and Inf."""
    done = 0
    with (
        whole_file(out) as part,
        part.open("wb") as file,
        Progress("export", rows, unit="rows") as progress,
    ):
        writer = MatrixWriter(file, rows, dims)
        for block in found:
            bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
            if len(bad):
                raise InputError(
                    f"{out}: the vector for its row {done + int(bad[0])} holds NaN or Inf. Delete"
                    " the space and rerun the step that made it."
                )
            writer.add(block)
            done += len(block)
            progress.add(len(block))
    return writer.hash.hexdigest()


def write_map(layout: Layout, ids: Sequence[str], out: Path) -> None:
    """Write an id map; equal ids give equal bytes."""
    with whole_file(out) as part, part.open("wb") as file:
        if out.suffix == ".gz":
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                packed.writelines(line.encode() for line in layout.map_lines(ids))
        else:
            file.writelines(line.encode() for line in layout.map_lines(ids))


def some_norms(path: Path, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return row, id and length of five vectors of a matrix, for the reader to compare."""
    matrix = open_matrix(path)
    rows = np.unique(np.linspace(0, max(matrix.rows - 1, 0), 5).astype(np.int64))[: matrix.rows]
    vectors = take_rows(matrix, rows).astype(np.float64)
    norms = np.sqrt((vectors**2).sum(axis=1))
    return [
        {"row": row, "id": ids[row], "norm": norm}
        for row, norm in zip(rows.tolist(), norms.tolist(), strict=True)
    ]
