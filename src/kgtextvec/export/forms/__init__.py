"""Export forms: files that other programs read. One module each, no list here.

The workflow imports these modules, too: they import numpy, pyarrow and the like inside the
functions that write.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kgtextvec.kinds import IN_GRAPHS, Kind
from kgtextvec.settings.edges import EdgeReading

if TYPE_CHECKING:
    from kgtextvec.space import Space

WriteSpace = Callable[["Space", Path, int], None]
WriteTable = Callable[["Space", Path, str], dict[str, Any]]
ReadIds = Callable[[Sequence[Path]], dict[str, list[str]]]
ReadEdgeIds = Callable[[Sequence[Path], EdgeReading], dict[str, list[str]]]


@dataclass(frozen=True)
class TrainerFiles:
    """The files of a trainer: row i of a matrix is its id i, by the matrix's id map.

    In the names of files, {model} is the model's name, {one} and {many} are entity and entities.
    `map_lines` returns the lines of a map, given the ids by row. `sort`: an export has the rows in
    the order of sorted ids instead of the table's. `inverses`: the matrix of relations may have the
    inverse of each behind it, which the map leaves out. `tensors`: a safetensors file
    instead of a matrix.
    """

    vectors: str
    map: str
    map_lines: Callable[[Sequence[str]], Iterable[str]]
    sort: bool = False
    inverses: bool = False
    tensors: bool = False

    def vectors_of(self, kind: Kind, model: str) -> str:
        """Return the name of the matrix of a kind."""
        return self.vectors.format(model=model, one=kind.one, many=kind.many)

    def map_of(self, kind: Kind) -> str:
        """Return the name of the id map of a kind."""
        return self.map.format(one=kind.one, many=kind.many)


@dataclass(frozen=True)
class IdOrder:
    """How vectors follow the ids that a trainer has given.

    `read` takes the trainer's id maps, or its triples, and returns ids by the name of their kind,
    in the order of its rows; `files` are then written. `read_edges`, instead, reads edges in any
    form, as `graph` says.
    """

    read: ReadIds | None
    files: TrainerFiles
    read_edges: ReadEdgeIds | None = None

    def ids(self, paths: Sequence[Path], how: EdgeReading) -> dict[str, list[str]]:
        """Return ids by the name of their kind, in the order of the trainer's rows."""
        if self.read_edges is not None:
            return self.read_edges(paths, how)
        assert self.read is not None  # noqa: S101
        return self.read(paths)


@dataclass(frozen=True)
class ExportForm:
    """A form of one space, or of a bundle: entities and relation types of one space.

    `title`: whom it is for. `page`: the jinja2 template of its loading page. `write_space` writes
    a space to a file, with a number of threads. `write_table` writes one table of a bundle into a
    folder, given the model's name, and returns what the manifest says of the table (`file` and
    `rows` at least). A form with neither has verbs of its own. `id_orders`: names for `align.form`
    and how their ids are read. `kinds`: what a bundle may hold. `files`: those of
    a trainer.
    """

    title: str
    page: Path | None = None
    write_space: WriteSpace | None = None
    write_table: WriteTable | None = None
    id_orders: Mapping[str, IdOrder] = field(default_factory=dict)
    kinds: tuple[Kind, ...] = IN_GRAPHS
    files: TrainerFiles | None = None

    @property
    def scope(self) -> Literal["space", "bundle", "own"]:
        """What one export of it holds: a space, a bundle, or what verbs of its own write."""
        if self.write_space:
            return "space"
        return "bundle" if self.write_table else "own"


def trainer_form(
    title: str,
    page: Path,
    files: TrainerFiles,
    readers: Mapping[str, ReadIds],
    edge_readers: Mapping[str, ReadEdgeIds] | None = None,
) -> ExportForm:
    """Return the form of a trainer that takes a matrix and an id map of each kind.

    `readers`: names for `align.form` and what reads the trainer's ids; `edge_readers`: the same for
    edges in any form.
    """

    def write_table(space: "Space", folder: Path, model: str) -> dict[str, Any]:
        from kgtextvec.export.trainers import write_trainer

        return write_trainer(space, folder, model, files)

    id_orders = {name: IdOrder(read, files) for name, read in readers.items()}
    id_orders |= {name: IdOrder(None, files, one) for name, one in (edge_readers or {}).items()}
    return ExportForm(title, page, write_table=write_table, id_orders=id_orders, files=files)


def template_beside(module_file: str) -> Path:
    """Return the template in the folder of a form's module: forms/dglke.md.j2."""
    return Path(module_file).with_suffix(".md.j2")
