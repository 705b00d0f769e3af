"""Which columns of a file of edges are head, relation and tail."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

PARTS_OF_EDGE = ("head", "relation", "tail")
# Names of both ends, the usual ones first; the label of an end, where its id needs it.
ENDS = (
    ("head", "tail"),
    ("h", "t"),
    ("subject", "object"),
    ("source", "target"),
    ("head_id", "tail_id"),
    ("source_id", "target_id"),
    ("x_id", "y_id"),
    (":start_id", ":end_id"),
    ("start_id", "end_id"),
    ("subject_id", "object_id"),
    ("src", "dst"),
    ("from", "to"),
    ("node1", "node2"),
    ("x_index", "y_index"),
)
RELATION_NAMES = (
    *("relation", "r", "predicate", "relation_type", "rel", "edge_type", "metaedge", ":type"),
    *("relationship", "formatted_relation_type", "display_relation", "edge_label", "type"),
)
# What comes with such ends, before the usual order: KGX may have a column relation, too.
OWN_RELATION_NAMES = {"subject": ("predicate",), "source": ("metaedge",), ":start_id": (":type",)}
LABELS_OF_ENDS = {
    "source_id": "source_type",
    "target_id": "target_type",
    "x_id": "x_type",
    "y_id": "y_type",
    "head_id": "head_type",
    "tail_id": "tail_type",
}
WEIGHT_NAMES = ("weight", "score", "confidence", "edge_weight", "edge_impt")
TEMPLATE_PIECE = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True)
class EdgeSource:
    """Where a part of an edge comes from: columns (0 is the first), and the text around them.

    `literals` has one more than `places`. `guarded`: a label in front of an id, left out where it
    is empty or the id begins with it.
    """

    places: tuple[int, ...]
    literals: tuple[str, ...]
    guarded: bool = False

    def shown(self, names: Sequence[str] | None) -> str:
        """Return what it is, for people."""
        columns = [names[one] if names else f"column {one + 1}" for one in self.places]
        if len(columns) == 1 and not any(self.literals):
            return columns[0]
        pieces = [self.literals[0]]
        for column, literal in zip(columns, self.literals[1:], strict=True):
            pieces += ["{" + column + "}", literal]
        return "".join(pieces)

    def values(self, columns: Mapping[int, Any]) -> Any:
        """Return the strings of a block."""
        if len(self.places) == 1 and not any(self.literals):
            return columns[self.places[0]]
        pieces: list[Any] = [pa.scalar(self.literals[0])]
        for place, literal in zip(self.places, self.literals[1:], strict=True):
            pieces += [columns[place], pa.scalar(literal)]
        joined = pc.binary_join_element_wise(*pieces, "")
        if self.guarded:
            label, name = (columns[place] for place in self.places)
            bare = pc.equal(label, "")
            if pc.any(pc.match_substring(name, "::")).as_py():
                marked = pc.binary_join_element_wise(label, pa.scalar(""), "::")
                pairs = zip(name.to_pylist(), marked.to_pylist(), strict=True)
                begins = [one.startswith(mark) for one, mark in pairs]
                bare = pc.or_(bare, pa.array(begins, pa.bool_()))
            joined = pc.if_else(bare, name, joined)
        return joined


def one_column(place: int) -> EdgeSource:
    """Return the source that is one column."""
    return EdgeSource((place,), ("", ""))


def names_in(asked: str) -> list[str]:
    """Return the columns that a setting names: itself, or those of a template."""
    return TEMPLATE_PIECE.findall(asked) or [asked]


def bare_name(name: str) -> str:
    """Return a column's name as it is compared: without case, blanks, # and Neo4j's id space."""
    return re.sub(r"\([^()]*\)$", "", name.strip().removeprefix("#").strip()).lower()


def recognised_columns(names: Sequence[str]) -> dict[str, EdgeSource]:
    """Return the sources that names of columns tell: both ends or none, relation, weight."""
    places = {bare_name(name): place for place, name in reversed(list(enumerate(names)))}
    ends = next((pair for pair in ENDS if pair[0] in places and pair[1] in places), ())
    found = {}
    for part, end in zip(("head", "tail"), ends, strict=False):
        label = places.get(LABELS_OF_ENDS.get(end, ""))
        found[part] = (
            one_column(places[end])
            if label is None
            else EdgeSource((label, places[end]), ("", "::", ""), guarded=True)
        )
    relations = (*OWN_RELATION_NAMES.get(ends[0] if ends else "", ()), *RELATION_NAMES)
    for part, known in (("relation", relations), ("weight", WEIGHT_NAMES)):
        there = [name for name in known if name in places]
        if there:
            found[part] = one_column(places[there[0]])
    return found


def is_header(fields: Sequence[str]) -> bool:
    """Return whether fields are names of columns, a head, a relation and a tail among them."""
    return recognised_columns(fields).keys() >= set(PARTS_OF_EDGE)
