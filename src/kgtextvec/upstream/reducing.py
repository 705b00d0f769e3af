"""reduce-dimensions: a table's column `embedding` with fewer numbers, all else as it was."""

import csv
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kgtextvec.device import available_cores
from kgtextvec.errors import InputError
from kgtextvec.export.floats import LONGEST, spell_rows
from kgtextvec.files import temporary_beside, whole_file
from kgtextvec.matrices import Matrix, MatrixWriter, blocks, open_matrix, rows_per_block
from kgtextvec.progress import plural, say
from kgtextvec.space import Floats

VECTOR_COLUMN = "embedding"
LAYOUT_SEED = 0
# t-SNE in more than two dims compares all pairs: 20,000 rows need about 10 GB.
MOST_PAIRS = 20_000


@dataclass(frozen=True)
class ScriptOptions:
    """The options of the script: what to reduce to, and how."""

    dimensions: int
    method: str
    perplexity: int
    learning_rate: int
    n_iter: int
    mode: str


def reduce_table(file: Path, output: Path, how: ScriptOptions) -> None:
    """Read the table, reduce its vectors, write it again, complete or not at all."""
    with temporary_beside(output.with_name("reduce")) as folder:
        folder.mkdir()
        matrix = vectors_of_table(file, folder)
        if how.dimensions < 1:
            raise InputError(f"-d {how.dimensions}: too few. Ask for 1 or more.")
        if matrix.rows < 2:
            raise InputError(
                f"{file}: has {plural(matrix.rows, 'row')}; at least 2 are needed. Give"
                " a larger file."
            )
        reduced = reduce_by_pca(matrix, how) if how.method == "pca" else lay_out(matrix, how)
        write_again(file, reduced, output)


def script_rows(file: Path) -> Iterator[list[str]]:
    """Yield the header, then the rows, all of the header's length."""
    csv.field_size_limit(1 << 30)
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            reader = csv.reader(opened, delimiter="\t", strict=True)
            header = next(reader, [])
            if header.count(VECTOR_COLUMN) != 1:
                raise InputError(
                    f"{file}: has no column embedding (or several of that name). Give the TSV of"
                    " entities or relation-types."
                )
            yield header
            for row in reader:
                if len(row) != len(header):
                    raise InputError(
                        f"{file}: line {reader.line_num} has {len(row)} fields, the header"
                        f" {len(header)}. Correct it."
                    )
                yield row
    except FileNotFoundError:
        raise InputError(f"{file}: no such file. Correct the path.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{file}: can't be read ({error}). Give the TSV of entities or relation-types."
        ) from None


def vectors_of_table(file: Path, folder: Path) -> Matrix:
    """Read the column of vectors into a .npy file in `folder`; memory is a row's."""
    rows = script_rows(file)
    place = next(rows).index(VECTOR_COLUMN)
    count = dims = 0
    with (folder / "numbers").open("wb") as numbers:
        for row in rows:
            count += 1
            try:
                vector = pa.array(row[place].split("|")).cast(pa.float32()).to_numpy()
            except (pa.ArrowInvalid, ValueError):
                vector = np.empty(0, np.float32)
            dims = dims or len(vector)
            if not len(vector) or len(vector) != dims or not np.isfinite(vector).all():
                raise InputError(
                    f"{file}: row {count} (counting from 1): embedding isn't {dims or 'any'} finite"
                    " numbers joined by |. Make the TSV again."
                )
            numbers.write(vector.tobytes())
    with (folder / "numbers").open("rb") as numbers, (folder / "v.npy").open("wb") as out:
        writer = MatrixWriter(out, count, dims, is_hashed=False)
        while data := numbers.read(1 << 24):
            writer.write(data)
    return open_matrix(folder / "v.npy")


def reduce_by_pca(matrix: Matrix, how: ScriptOptions) -> Floats:
    """Return (rows, dimensions) by our exact PCA, or by the script's."""
    from kgtextvec.reduce.pca import moments, principal, project
    from kgtextvec.reduce.upstream import fit_upstream

    if how.dimensions > matrix.dims:
        raise InputError(f"-d {how.dimensions}: the vectors have {matrix.dims} dims. Ask for less.")
    if how.mode == "faithful":
        pca = fit_upstream(np.load(matrix.path, allow_pickle=False), how.dimensions)
    else:
        pca = principal(*moments(matrix), matrix.rows, how.dimensions)
        if pca.rank < how.dimensions:
            say(
                f"WARNING: only {pca.rank} components carry variance, {how.dimensions} were asked"
                f" for; the other {how.dimensions - pca.rank} are exact zeros."
            )
    parts = [project(pca, block) for _, block in blocks(matrix, rows_per_block(matrix.dims))]
    return np.concatenate(parts)


def lay_out(matrix: Matrix, how: ScriptOptions) -> Floats:
    """Return (rows, dimensions) by t-SNE or UMAP, seeded; vectors as they are, euclidean."""
    vectors = np.load(matrix.path, allow_pickle=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries; users can't change them
        if how.method == "umap":
            found = by_umap(vectors, how)
        elif how.mode == "faithful" or how.dimensions > 2:
            found = by_exact_tsne(vectors, how)
        else:
            found = by_tsne(vectors, how)
    return np.ascontiguousarray(found, np.float32)


def by_umap(vectors: Floats, how: ScriptOptions) -> NDArray[np.floating]:
    """umap-learn, as its defaults are."""
    from kgtextvec.report.map.layout import umap_learn

    n = len(vectors)
    if how.dimensions > n - 2:
        raise InputError(
            f"-d {how.dimensions}: UMAP of {n} rows can have {n - 2} at most. Ask for less."
        )
    umap = umap_learn().UMAP(
        n_components=how.dimensions,
        n_neighbors=min(15, n - 1),
        random_state=LAYOUT_SEED,
        n_jobs=1,
    )
    found: NDArray[np.floating] = umap.fit_transform(vectors)
    return found


def by_tsne(vectors: Floats, how: ScriptOptions) -> NDArray[np.floating]:
    """openTSNE: fast, for one or two dims."""
    from openTSNE import TSNE

    tsne = TSNE(
        n_components=how.dimensions,
        perplexity=allowed_perplexity(vectors, how),
        learning_rate=how.learning_rate,
        n_iter=max(how.n_iter - 250, 1),  # the script's steps include the first 250
        early_exaggeration_iter=min(250, how.n_iter),
        random_state=LAYOUT_SEED,
        # Threads that wait for each other at every step cost a small table more than they bring.
        n_jobs=available_cores() if len(vectors) > 10_000 else 1,
    )
    return np.asarray(tsne.fit(vectors))


def by_exact_tsne(vectors: Floats, how: ScriptOptions) -> NDArray[np.floating]:
    """scikit-learn's t-SNE over all pairs, as the script calls it."""
    from sklearn.manifold import TSNE

    if len(vectors) > MOST_PAIRS:
        raise InputError(
            f"t-SNE over all pairs (faithful, or -d above 2) takes {MOST_PAIRS:,} rows at most, and"
            f" there are {len(vectors):,}. Take -d 2 without --mode faithful, or -m pca."
        )
    tsne = TSNE(
        n_components=how.dimensions,
        perplexity=allowed_perplexity(vectors, how),
        learning_rate=how.learning_rate,
        max_iter=max(how.n_iter, 250),
        method="exact",
        random_state=LAYOUT_SEED,
    )
    found: NDArray[np.floating] = tsne.fit_transform(vectors)
    return found


def allowed_perplexity(vectors: Floats, how: ScriptOptions) -> float:
    """Return the perplexity, lowered with a warning where rows are few."""
    most = max((len(vectors) - 1) / 3, 1.0)
    if how.perplexity > most:
        say(f"WARNING: perplexity {how.perplexity} is too much for {len(vectors)} rows: {most:.1f}")
    return min(float(how.perplexity), most)


def write_again(file: Path, vectors: Floats, output: Path) -> None:
    """Write the table with other vectors; fields are quoted only where they must be."""
    rows = script_rows(file)
    header = next(rows)
    place = header.index(VECTOR_COLUMN)
    with whole_file(output) as part, part.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, delimiter="\t", lineterminator="\n")
        writer.writerow(header)
        for start in range(0, len(vectors), 4096):
            for text in joined_numbers(vectors[start : start + 4096]):
                row = next(rows)
                row[place] = text
                writer.writerow(row)


def joined_numbers(block: Floats) -> list[str]:
    """Return rows (m, d) as numbers joined by |."""
    out = np.empty((block.size + 1) * LONGEST, np.uint8)
    nothing, bounds = np.empty(0, np.uint8), np.zeros(len(block) + 1, np.int32)
    n = spell_rows(np.ascontiguousarray(block).view(np.uint32), nothing, bounds, out)
    return out[:n].tobytes().decode("ascii").splitlines()
