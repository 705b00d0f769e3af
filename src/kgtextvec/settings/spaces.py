"""Settings of what is made of vectors: reduced spaces, exports, maps and notebooks."""

from typing import Annotated, Literal

from msgspec import Meta

from kgtextvec.registry import ID_ORDERS
from kgtextvec.settings.base import FilePath, Seed, Settings, named_in


class Reduce(Settings):
    """How vectors are reduced."""

    fit_on: str = "entities"
    """The table that each PCA is fitted on; it is then applied to all tables."""


class InverseRelations(Settings):
    """Vectors of inverse relations, for PyKEEN."""

    inverse_relations: str = "none"
    """Inverse relations in PyKEEN's files (`create_inverse_triples=True`): `none`; `negated`, the
    negated vectors; or the name of a table of relation types whose texts say the inverse, such as
    `text: "inverse of {description}"`."""


class Bundle(InverseRelations):
    """Which tables go into exports that hold one table of each kind."""

    entities: str | None = None
    """A table of kind entities; by default the only one, or the one called `entities`."""
    relation_types: str | None = None
    """The same for relation types."""
    facts: str | None = None
    """The same for facts, in `faiss` and `pgvector`."""


class Alignment(Settings, kw_only=True):
    """How vectors are put in the order of a trainer's ids."""

    form: Annotated[str, named_in(ID_ORDERS)]
    """Whose form the maps and the written files have: `dglke` (row, id), `drkg` (id, row), `openke`
    (a count, then id, row), `pykeen` (entity_to_id, or triples whose ids it sorts), `triples`
    (edges in any form: ids in order of appearance). `dglke`, `pykeen` and `pyg` read triples
    as these programs do, header and quotes included; `pyg` also takes JSON of nodes by label."""
    missing: Literal["error", "mean_of_label", "random"] = "error"
    """How to fill ids without a row: error, the mean of the rows with the same label, or random
    numbers with the table's mean and deviation."""
    scale: Literal["none", "unit", "std"] | tuple[float, float] = "none"
    """`unit`: each vector has length 1; `std`: all numbers have standard deviation 1; `[low,
    high]`: all numbers are in that range."""
    seed: Seed = 0
    """Seed of the random vectors."""


class Align(Alignment, kw_only=True):
    """Vectors in the order of a trainer's own ids."""

    to: FilePath | Annotated[tuple[FilePath, ...], Meta(min_length=1)]
    """Its id maps (entities, then relations), or its triples; one path or a list."""


class MapLayout(Settings):
    """How a space is laid out in two dimensions."""

    layouts: Annotated[tuple[Literal["tsne", "umap"], ...], Meta(min_length=1)] = ("tsne", "umap")
    """Two-dimensional layouts."""
    max_points: Annotated[int, Meta(ge=10)] = 150000
    """Rows that t-SNE and UMAP lay out, at most; the map of a larger table places the other rows
    next to the laid-out rows most like them."""
    max_drawn: Annotated[int, Meta(ge=10)] = 3000000
    """Rows that a map draws, at most; a larger table is sampled, and the map says so."""
    seed: Seed = 0
    """Seed of the layouts and of the sample."""


Named = Annotated[
    tuple[str, ...],
    Meta(description="Names or ids whose nearest neighbours the notebook shows; by default a few."),
]


class Examples(Settings):
    """Whose neighbours the notebook shows."""

    named: Named = ()


class Report(MapLayout):
    """Maps and notebooks."""

    maps: bool = True
    """Draw a map per space; the notebooks need them."""
    notebooks: bool = True
    """Render a notebook per space."""
    named: Named = ()
