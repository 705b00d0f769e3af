"""OBO Graphs JSON, as ontologies are published in, written as tables of nodes, edges, relations."""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kgtextvec.errors import InputError
from kgtextvec.files import whole_file
from kgtextvec.texts.containers import open_blocks
from kgtextvec.texts.findings import Findings, plain
from kgtextvec.texts.rules import CONTROL

# https://obofoundry.org/id-policy.html: PREFIX_LOCAL under this address is PREFIX:LOCAL for short.
OBO_ADDRESS = re.compile(r"http://purl\.obolibrary\.org/obo/([A-Za-z]+)_(\S+)")
NAMESPACE = "http://www.geneontology.org/formats/oboInOwl#hasOBONamespace"
NODE_COLUMNS = ("id", "category", "name", "description", "synonym", "xref")
EDGE_COLUMNS = ("subject", "predicate", "object")
RELATION_COLUMNS = ("relation_type", "name", "description")
LIST_MARK = "|"


class Value(msgspec.Struct, gc=False):
    """A definition, a synonym, a reference or a property."""

    val: str | None = None
    pred: str | None = None


class Meta(msgspec.Struct, rename="camel"):
    """What is said of a node. What isn't may be absent or null."""

    definition: Value | None = None
    synonyms: list[Value] | None = None
    xrefs: list[Value] | None = None
    basic_property_values: list[Value] | None = None
    deprecated: bool | None = None


class OntologyNode(msgspec.Struct):
    """A term, an individual or a property."""

    id: str
    lbl: str | None = None
    type: str | None = None
    meta: Meta | None = None

    @property
    def definition(self) -> str:
        """Its definition, "" for none."""
        found = self.meta.definition if self.meta else None
        return (found.val if found else None) or ""

    @property
    def synonyms(self) -> list[str]:
        """Its synonyms of any kind."""
        return values_of(self.meta.synonyms if self.meta else None)

    @property
    def deprecated(self) -> bool:
        """Whether it is no longer to be used."""
        return bool(self.meta and self.meta.deprecated)


class OntologyEdge(msgspec.Struct, gc=False):
    """A statement about two nodes."""

    sub: str
    pred: str
    obj: str


class Ontology(msgspec.Struct):
    """An ontology."""

    nodes: list[OntologyNode] | None = None
    edges: list[OntologyEdge] | None = None


class OntologyFile(msgspec.Struct):
    """A file: one ontology, or several."""

    graphs: list[Ontology]


@dataclass(frozen=True)
class OntologyTables:
    """The files that were written, and what is in them: a sentence each."""

    files: Sequence[Path]
    notes: Sequence[str]


def write_ontology(path: Path, folder: Path) -> OntologyTables:
    """Write an ontology's terms, edges and relations as tables into a folder.

    The terms are those with a name that are not deprecated, the edges those between them. The
    columns are KGX's: `category` is a term's OBO namespace, else the prefix of its id. Raises
    InputError when the file is damaged or one of the tables exists.
    """
    stem = path.name.partition(".")[0]
    targets = [folder / f"{stem}-{part}.tsv" for part in ("nodes", "edges", "relations")]
    for target in targets:
        if target.exists():
            raise InputError(f"{target}: exists, and is not overwritten. Move it away.")
    graphs = read_document(path).graphs
    found: dict[str, OntologyNode] = {}
    for node in (node for graph in graphs for node in graph.nodes or ()):
        if node.id not in found or (node.lbl and not found[node.id].lbl):
            found[node.id] = node
    terms = {one: node for one, node in found.items() if node.type != "PROPERTY"}
    kept = {one: node for one, node in terms.items() if node.lbl and not node.deprecated}
    if not kept:
        raise InputError(f"{path}: no term in it has a name (lbl). Is it the right file?")
    edges = [edge for graph in graphs for edge in graph.edges or ()]
    between = [edge for edge in edges if edge.sub in kept and edge.obj in kept]
    write_columns(targets[0], NODE_COLUMNS, map(node_row, kept.values()))
    used = dict.fromkeys(edge.pred for edge in between)
    if between:
        rows = ((short_id(one.sub), short_id(one.pred), short_id(one.obj)) for one in between)
        write_columns(targets[1], EDGE_COLUMNS, rows)
        relations = (relation_row(one, found.get(one)) for one in used)
        write_columns(targets[2], RELATION_COLUMNS, relations)
    old = sum(node.deprecated for node in terms.values())
    notes = [
        f"{len(kept):,} terms, {len(between):,} edges, {len(used):,} relations, in KGX's columns",
        f"left out: {old:,} deprecated terms, {len(terms) - len(kept) - old:,} terms without a"
        f" name, {len(edges) - len(between):,} edges of those or of properties",
    ]
    bars = sum(LIST_MARK in one for node in kept.values() for one in node.synonyms)
    if bars:
        notes.append(f"in {bars:,} synonyms, {LIST_MARK} was replaced by /: it separates synonyms")
    return OntologyTables([target for target in targets if target.exists()], notes)


def read_document(path: Path) -> OntologyFile:
    """Read a file, plain or packed. Raises InputError when it is damaged."""
    shown = plain(str(path), 1000)
    try:
        data = b"".join(open_blocks(path, Findings(), refuse=False)).removeprefix(b"\xef\xbb\xbf")
        return msgspec.json.decode(data, type=OntologyFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{shown}: can't be read as OBO Graphs JSON ({plain(str(error), 200)}). Fetch it again."
        ) from None


def node_row(node: OntologyNode) -> Sequence[str]:
    """Return a term's row."""
    meta = node.meta or Meta()
    short = short_id(node.id)
    spaces = values_of([one for one in meta.basic_property_values or () if one.pred == NAMESPACE])
    category = [*spaces, *re.findall(r"([A-Za-z]+)[:_][^:/#]*$", short), "Term"][0]
    return (
        short,
        category.replace(LIST_MARK, "/"),
        node.lbl or "",
        node.definition,
        list_field(node.synonyms),
        list_field(values_of(meta.xrefs)),
    )


def relation_row(pred: str, node: OntologyNode | None) -> Sequence[str]:
    """Return the row of a relation; without a name of its own it has the words of its id."""
    short = short_id(pred)
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.split(r"[/#:]", short)[-1]).replace("_", " ")
    name = (node and node.lbl) or words.lower()
    return short, name, (node and node.definition) or name


def short_id(address: str) -> str:
    """Return MONDO:0000001 for OBO's address of it; others as they are."""
    return OBO_ADDRESS.sub(r"\1:\2", address) if OBO_ADDRESS.fullmatch(address) else address


def values_of(values: Iterable[Value] | None) -> list[str]:
    """Return the values that there are."""
    return [one.val for one in values or () if one.val]


def list_field(values: Iterable[str]) -> str:
    """Return the distinct values as one field."""
    return LIST_MARK.join(dict.fromkeys(one.replace(LIST_MARK, "/") for one in values))


def write_columns(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table, each field on one line, with quotes where it needs them."""
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([" ".join(CONTROL.sub(" ", one).split()) for one in row] for row in rows)
