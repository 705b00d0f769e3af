"""Settings of what is made of vectors: reduced spaces, exports, maps and notebooks."""

from typing import Annotated, Literal

from msgspec import Meta

from kgtextvec.registry import ID_ORDERS
from kgtextvec.settings.base import FilePath, Seed, Settings, about


class Reduce(Settings):
    """How vectors are reduced."""

    fit_on: Annotated[
        str, about("the table that each PCA is fitted on; it is then applied to all tables")
    ] = "entities"


class Bundle(Settings):
    """Which tables go into exports that hold one table of each kind."""

    entities: Annotated[
        str | None,
        about("a table of kind entities; by default the only one, or the one called `entities`"),
    ] = None
    relation_types: Annotated[str | None, about("the same for relation types")] = None


class Alignment(Settings, kw_only=True):
    """How vectors are put in the order of a trainer's ids."""

    form: Annotated[
        str,
        about(
            "whose form the maps and the written files have: `dglke` (row, id), `drkg` (id, row),"
            " `openke` (a count, then id, row), `pykeen` (entity_to_id, or triples whose ids it"
            " sorts), `triples` (ids in order of appearance)",
            names=ID_ORDERS,
        ),
    ]
    missing: Annotated[
        Literal["error", "mean_of_label", "random"],
        about(
            "how to fill ids without a row: error, the mean of the rows with the same label, or"
            " random numbers with the table's mean and deviation"
        ),
    ] = "error"
    scale: Annotated[
        Literal["none", "unit", "std"] | tuple[float, float],
        about(
            "`unit`: each vector has length 1; `std`: all numbers have standard deviation 1;"
            " `[low, high]`: all numbers are in that range"
        ),
    ] = "none"
    seed: Annotated[Seed, about("seed of the random vectors")] = 0


class Align(Alignment, kw_only=True):
    """Vectors in the order of a trainer's own ids."""

    to: Annotated[
        FilePath | Annotated[tuple[FilePath, ...], Meta(min_length=1)],
        about("its id maps (entities, then relations), or its triples; one path or a list"),
    ]


class MapLayout(Settings):
    """How a space is laid out in two dimensions."""

    layouts: Annotated[
        tuple[Literal["tsne", "umap"], ...], about("two-dimensional layouts", min_length=1)
    ] = ("tsne", "umap")
    max_points: Annotated[
        int, about("a larger table is sampled for its map, and the map says so", ge=10)
    ] = 150_000
    seed: Annotated[Seed, about("seed of the layouts and of the sample")] = 0


Named = Annotated[
    tuple[str, ...],
    about("names or ids whose nearest neighbours the notebook shows; by default a few"),
]


class Examples(Settings):
    """Whose neighbours the notebook shows."""

    named: Named = ()


class Report(MapLayout):
    """Maps and notebooks."""

    maps: Annotated[bool, about("draw a map per space; the notebooks need them")] = True
    notebooks: Annotated[bool, about("render a notebook per space")] = True
    named: Named = ()
