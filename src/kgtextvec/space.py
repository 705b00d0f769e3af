"""A space in Python: its vectors, memory-mapped, its index, and vectors by id.

    space = kgtextvec.open("results/biobert/entities/pca400")
    space.vectors, space.index, space.manifest
    space.get("Gene::ENTREZ:7157")
    space.align(["Gene::ENTREZ:7157", "Disease::MESH:D000544"])

See docs/python.md. Nothing here needs torch.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kgtextvec.checksums import VectorsCheck, compared_meanwhile
from kgtextvec.errors import InputError
from kgtextvec.files import refuse_other_digest, sha256_of
from kgtextvec.matrices import blocks, open_matrix, refuse_non_finite, rows_per_block, take_rows
from kgtextvec.parquet_files import parquet_errors, read_parquet
from kgtextvec.records import SpaceManifest, read_record
from kgtextvec.registry import KIND_NAMES

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

MISSING = ("error", "mean_of_label", "random")
NO_ROW, AMBIGUOUS = -1, -2


class MissingRowError(InputError, KeyError):
    """An id that no row has, or that rows under several labels have."""

    __str__ = InputError.__str__


class Space:
    """A space's folder, opened. Row i of `vectors` is row i of `index` and of the table.

    `matrix` is the .npy file, to be read in blocks; `manifest` is manifest.json as a plain dict.
    Columns of the index are read when they are asked for.
    """

    def __init__(self, path: Path | str, verify: bool = False) -> None:
        """Open a folder (or its embeddings.npy or manifest.json).

        Headers, sizes, numbers of rows and dims are compared; with `verify` every byte, against
        the digests in the manifest. Raises InputError when a file is missing or damaged, or when
        files disagree.
        """
        path = Path(path)
        inside = path.name in {"embeddings.npy", "manifest.json"} and not path.is_dir()
        self.folder = path.parent if inside else path
        self.manifest: SpaceManifest = read_record(self.folder / "manifest.json", SpaceManifest)
        self.matrix = open_matrix(self.folder / "embeddings.npy")
        self.kind = KIND_NAMES[self.manifest["kind"]]
        self.rows, self.dims = self.matrix.rows, self.matrix.dims
        self._check: VectorsCheck | None = None
        self.index_path = self.folder / "index.parquet"
        with parquet_errors(self.index_path):
            index_rows = pq.read_metadata(self.index_path).num_rows
        for name, rows in (("index.parquet", index_rows), ("manifest.json", self.manifest["rows"])):
            if rows != self.rows:
                raise InputError(
                    f"{self.folder}: embeddings.npy has {self.rows} rows, {name} has {rows} rows."
                    " Delete the space and rerun the step that made it."
                )
        if self.manifest["dims"] != self.dims:
            raise InputError(
                f"{self.folder}: embeddings.npy has {self.dims} dims, manifest.json has"
                f" {self.manifest['dims']}. Delete the space and rerun the step that made it."
            )
        if verify:
            with self.vectors_checked():
                self.check_index()

    def check_index(self) -> None:
        """Raise InputError unless index.parquet has the bytes that the manifest records."""
        recorded = self.manifest.get("index_sha256")
        if recorded is not None:
            refuse_other_digest(self.index_path, recorded, sha256_of(self.index_path))

    @contextmanager
    def vectors_checked(self) -> Iterator[None]:
        """Hash embeddings.npy in a thread of its own meanwhile, and compare at the end.

        Reading and hashing overlap with the work, which need not read the rows in order. Raises
        InputError when the file isn't the one that the manifest describes: write what is made of
        the vectors under a temporary name (`whole_file`) around this.
        """
        with compared_meanwhile([self.check_of_vectors()]):
            yield

    def compare_vectors(self) -> None:
        """Raise InputError unless embeddings.npy is the one that the manifest describes.

        It is not read again if whoever read it last compared every byte.
        """
        if self._check is None or not self._check.is_equal:
            with self.vectors_checked():
                pass

    def blocks_compared(self, rows: Rows, size: int) -> Iterator[Floats]:
        """Yield the vectors of ascending rows (n,), in blocks of up to `size` rows of the matrix.

        The matrix is read once, from its first row to its last, and hashed meanwhile. Use a block
        up, or copy it, before the next one. Raises InputError after the last one as
        `vectors_checked` does.
        """
        check = self.check_of_vectors()
        for first, block in blocks(self.matrix, size, check):
            begin, end = np.searchsorted(rows, (first, first + len(block)))
            here = rows[begin:end] - first
            if len(here):
                yield block if len(here) == len(block) else block[here]
        check.compare()

    def check_of_vectors(self) -> VectorsCheck:
        """Return what compares embeddings.npy with the manifest, to be given its bytes."""
        self._check = VectorsCheck(self.matrix.path, self.manifest)
        return self._check

    def __len__(self) -> int:
        return self.rows

    def __repr__(self) -> str:
        return f"<Space {self.folder}: {self.rows:,} x {self.dims}>"

    @cached_property
    def vectors(self) -> Floats:
        """All vectors, (rows, dims) float32, memory-mapped and read-only."""
        found: Floats = np.load(self.matrix.path, mmap_mode="r", allow_pickle=False)
        return found

    @cached_property
    def index(self) -> "pd.DataFrame":
        """What each row is: id, label, name, node_id, text_sha256, … (a pandas table)."""
        found: pd.DataFrame = self.read_index().to_pandas()
        return found

    def read_index(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read columns of the index, all if None. Raises InputError when one is missing."""
        return read_parquet(self.index_path, columns)

    def column(self, name: str) -> pa.Array:
        """Return a column of the index, (rows,); it is read once."""
        if name not in self._columns:
            self._columns[name] = self.read_index([name])[name].combine_chunks()
        return self._columns[name]

    @cached_property
    def _columns(self) -> dict[str, pa.Array]:
        return {}

    @cached_property
    def label_names(self) -> list[str]:
        """The labels, each once, in alphabetical order."""
        names: list[str] = self._labels[0].tolist()
        return names

    @cached_property
    def label_codes(self) -> Rows:
        """The place of each row's label in `label_names`, (rows,) int64."""
        return self._labels[1].astype(np.int64)

    @cached_property
    def _labels(self) -> tuple[NDArray[np.str_], Rows]:
        labels = self.column("label").to_numpy(zero_copy_only=False).astype(str)
        names, codes = np.unique(labels, return_inverse=True)
        return names, codes

    @cached_property
    def text_codes(self) -> Rows:
        """A number for each distinct text, (rows,) int64: equal for rows of equal text."""
        return self._codes_of("text_sha256")

    def _codes_of(self, name: str) -> Rows:
        """Return numbers for a column's values, (rows,) int64, in the order of appearance."""
        codes = pc.dictionary_encode(self.column(name)).indices
        found: Rows = codes.to_numpy(zero_copy_only=False).astype(np.int64)
        return found

    def first_rows(self, name: str = "node_id") -> Rows:
        """Return the first row of each distinct value of a column, (n,) int64, ascending."""
        # A first row has a code above all before it.
        highest = np.maximum.accumulate(self._codes_of(name))
        found: Rows = np.flatnonzero(np.diff(highest, prepend=-1) > 0)
        return found

    def get(self, node_id: str) -> Floats:
        """Return the vector (dims,) of a node id (`label::id`), a relation type or a bare id.

        Of rows with the same node id the first one counts. Raises MissingRowError, which is a
        KeyError, when no row has it, or rows of several labels do.
        """
        row = int(self.find([node_id])[0])
        if row >= 0:
            found: Floats = self.vectors[row]
            return found
        raise MissingRowError(f"{self.folder}: {self.why_no_row(node_id, row)}.")

    def align(self, ids: Sequence[str], missing: str = "error", seed: int = 0) -> Floats:
        """Return the vectors of ids in their order: (len(ids), dims) float32, a new matrix.

        `missing`: what becomes of ids without a row. error: a MissingRowError that lists the first
        of them; mean_of_label: the mean of the rows with that label (of all rows, if there is no
        such label); random: normal with the mean and deviation of the table's columns, by `seed`
        and id alone.
        """
        ids = list(ids)
        rows = self.find(ids)
        found = np.empty((len(rows), self.dims), np.float32)
        have = rows >= 0
        found[have] = take_rows(self.matrix, rows[have])
        if not have.all():
            fill = Fill(self, missing, seed)
            fill.refuse(ids, rows)
            for place in np.flatnonzero(~have).tolist():
                found[place] = fill.vector(ids[place])
        return found

    def find(self, ids: Sequence[str]) -> Rows:
        """Return the row of each id, (n,) int64: NO_ROW where none has it, AMBIGUOUS where several.

        An id is a node id or, where it is none, a bare id, which must stand under one label only,
        or `label::id` in a table whose node ids are of another form.
        """
        ids = list(ids)
        wanted = pa.array(ids, pa.string())
        rows = as_rows(pc.index_in(wanted, value_set=self.column("node_id")))
        left = np.flatnonzero(rows == NO_ROW)
        if len(left) and self.kind.has_labels:
            rest = wanted.take(pa.array(left))
            rows[left] = rows_of_bare_ids(rest, self.column("id"), self.column("node_id"))
            left = np.flatnonzero(rows == NO_ROW)
            if len(left) and self.manifest.get("node_id"):
                marked = pc.binary_join_element_wise(self.column("label"), self.column("id"), "::")
                rows[left] = as_rows(pc.index_in(wanted.take(pa.array(left)), value_set=marked))
        return rows

    def why_no_row(self, identifier: str, row: int) -> str:
        """Say why an id has no row of its own."""
        if row == AMBIGUOUS:
            under = self.column("label").filter(pc.equal(self.column("id"), identifier))
            labels = ", ".join(sorted(set(under.to_pylist())))
            return f"{identifier!r} occurs under several labels ({labels}); write label::id"
        example = self.column("node_id")[0].as_py() if self.rows else "none, the table is empty"
        return f"no row has the id {identifier!r} (an id that one has: {example})"


def rows_of_bare_ids(wanted: pa.Array, ids: pa.Array, node_ids: pa.Array) -> Rows:
    """Return the row of each wanted id, (n,): NO_ROW where none has it, AMBIGUOUS where several do.

    `ids` and `node_ids` (rows,) are a table's. Rows with one node id are one node, found in the
    first of them.
    """
    rows = as_rows(pc.index_in(wanted, value_set=ids))
    held = pc.is_in(ids, value_set=wanted)
    holders = pa.table({"id": ids.filter(held), "node": node_ids.filter(held)})
    nodes = holders.group_by("id").aggregate([("node", "count_distinct")])
    several = nodes.filter(pc.greater(nodes["node_count_distinct"], 1))["id"].combine_chunks()
    rows[pc.is_in(wanted, value_set=several).to_numpy(zero_copy_only=False)] = AMBIGUOUS
    return rows


def as_rows(found: pa.Array) -> Rows:
    """Return the answer of index_in as numbers, NO_ROW for null."""
    rows: Rows = pc.fill_null(found, NO_ROW).to_numpy(zero_copy_only=False).astype(np.int64)
    return rows


def checked_space(path: Path | str) -> Space:
    """Open a space as the steps do: its index is compared with the manifest, byte for byte.

    A step that reads the vectors does so in `vectors_checked`, or hashes what it reads.
    """
    space = Space(path)
    space.check_index()
    return space


class Averages(NamedTuple):
    """Mean vector by label, mean vector and deviation of each column, (dims,) float64 each."""

    by_label: dict[str, NDArray[np.float64]]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]


class Fill:
    """Vectors for ids without a row, by one of the policies in MISSING."""

    def __init__(self, space: Space, missing: str, seed: int) -> None:
        if missing not in MISSING:
            raise InputError(
                f"missing: {missing!r} is not a policy. Choose one of {', '.join(MISSING)}."
            )
        self.space, self.missing, self.seed = space, missing, seed

    def refuse(self, ids: Sequence[str], rows: Rows) -> None:
        """Raise MissingRowError for rows (n,) below 0, if that is the policy."""
        lacking = np.flatnonzero(rows < 0).tolist()
        if self.missing != "error" or not lacking:
            return
        first = ", ".join(ids[place] for place in lacking[:5])
        why = self.space.why_no_row(ids[lacking[0]], int(rows[lacking[0]]))
        raise MissingRowError(
            f"{self.space.folder}: {len(lacking):,} of {len(ids):,} ids have no row: {first}"
            f"{', …' if len(lacking) > 5 else ''}. {why}. Add them to the table, or set missing:"
            " mean_of_label or random."
        )

    @cached_property
    def averages(self) -> Averages:
        """What the table's rows have on average, read in one go over the matrix."""
        matrix = self.space.matrix
        labels = pc.dictionary_encode(self.space.column("label"))
        codes = labels.indices.to_numpy()
        names = labels.dictionary.to_pylist()
        total = np.zeros((len(names), matrix.dims))
        squares = np.zeros(matrix.dims)
        for first, block in blocks(matrix, rows_per_block(matrix.dims)):
            if not np.isfinite(block.sum(dtype=np.float64)):
                refuse_non_finite(matrix, first, block)
            here = codes[first : first + len(block)]
            for code in np.unique(here):
                total[code] += block[here == code].sum(axis=0, dtype=np.float64)
            squares += np.einsum("ij,ij->j", block, block, dtype=np.float64)
        n = max(matrix.rows, 1)
        mean = total.sum(axis=0) / n
        counts = np.bincount(codes, minlength=len(names))
        by_label = {
            name: total[code] / counts[code] for code, name in enumerate(names) if counts[code]
        }
        return Averages(by_label, mean, np.sqrt(np.maximum(squares / n - mean**2, 0)))

    def knows(self, identifier: str) -> bool:
        """Whether the table has rows of the label in an id."""
        return self.space.kind.label_in(identifier) in self.averages.by_label

    def vector(self, identifier: str) -> Floats:
        """Return the vector (dims,) for an id without a row."""
        by_label, mean, deviation = self.averages
        if self.missing == "mean_of_label":
            return by_label.get(self.space.kind.label_in(identifier), mean).astype(np.float32)
        words = hashlib.sha256(f"{self.seed} {identifier}".encode()).digest()
        random = np.random.default_rng(np.frombuffer(words, np.uint32))
        return random.normal(mean, deviation).astype(np.float32)
