"""Settings of a graph's edges: which columns are head, relation and tail."""

import json
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, field, to_builtins

from kgtextvec.errors import InputError
from kgtextvec.files import parse_json
from kgtextvec.settings.base import FilePath, Settings, pick, read_settings

# A path, a pattern, or a list of them: together they are one graph.
EdgeFiles = FilePath | Annotated[tuple[FilePath, ...], Meta(min_length=1)]
# A column's name, its place (1 is the first), or a template of names.
EdgeColumn = Annotated[str, Meta(min_length=1)] | Annotated[int, Meta(ge=1)]


class RowIds(Settings):
    """What a graph calls the rows of a table."""

    node_id: Literal["auto", "label::id", "id", "name"] = "auto"
    """What triples call a node, and so what exports call it. `auto`: the form that finds most nodes
    of the graph (or of `used_by`), else `label::id`. An id that begins with its label and `::` is
    not given it twice."""
    relation_id: Literal["auto", "relation_type", "formatted_relation_type", "name"] = "auto"
    """The same for relation types; by default `relation_type`."""


class NodeRows(RowIds):
    """What the rows of a table stand for."""

    merge: Literal["none", "first", "longest", "join"] = "none"
    """Rows of one node: keep them all (exports take the first), or make them one row, with the
    first text, the longest, or all texts joined by `; `."""


class EdgeColumns(Settings):
    """Which columns of a file of edges are which."""

    head: EdgeColumn | None = None
    """Where an edge starts: a column's name, its number (1 is the first), or a template such as
    `"{source_type}::{source_id}"`. By default recognised by its name."""
    relation: EdgeColumn | None = None
    """The relation."""
    tail: EdgeColumn | None = None
    """Where an edge ends."""
    weight: EdgeColumn | None = None
    """A column with weights, which are not used."""


class EdgeReading(Settings):
    """How files of edges are read."""

    columns: EdgeColumns = field(default_factory=EdgeColumns)
    """The columns by our names, where they can't be recognised: `{head: subject, relation:
    predicate, tail: object}`."""
    header: Literal["auto"] | bool | tuple[str, ...] = "auto"
    """Whether the first line names the columns; `auto`: if it has names of a head, a relation and a
    tail. A list is the names of a file without a header."""
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] | None = None
    """What separates the columns; by default a tab if the first line has one, else the comma,
    semicolon or bar."""
    quotechar: Annotated[str, Meta(max_length=1)] | None = None
    """The quote around fields, empty for none. By default none if tabs separate the columns, unless
    all fields of the first line are in quotes; else `\"`."""


class GraphEdges(EdgeReading, kw_only=True):
    """The graph whose nodes and relations the tables describe."""

    file: EdgeFiles
    """Its edges: KGX, Hetionet, PrimeKG, BioMedGPS, Neo4j, DRKG and the like; delimited text,
    Parquet or JSON lines; plain, .gz, .zst, .xz or .bz2. A list, or a pattern such as
    `edges/*-part*.csv`, is read as one graph; a file with nothing but a header (Neo4j, BioCypher)
    names the columns of files without one."""


# Flags of verbs that read edges.
GraphFiles = Annotated[list[Path], "the graph's edges; several files are read as one"]
# What `edges_as_json` returns.
EdgesFlag = Annotated[str, "how files of edges are read, as JSON: settings of `graph`"]


def edges_as_json(*given: Settings) -> str:
    """Return the settings of reading edges that aren't at their defaults as JSON; "" for none."""
    found = to_builtins(pick(EdgeReading, *given))
    if not found.get("columns", True):
        found.pop("columns")
    return json.dumps(found, ensure_ascii=False, sort_keys=True) if found else ""


def edges_of_json(text: str) -> EdgeReading:
    """Return the settings that `edges_as_json` wrote. Raises InputError."""
    if not text:
        return EdgeReading()
    try:
        values = parse_json(text)
    except ValueError as error:
        raise InputError(f"--edges: no JSON ({error}). Correct it.") from None
    return read_settings(EdgeReading, values, "--edges, ")
