"""The kinds of table: columns, keys, text, and what each is called in exports."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ServerRule:
    """What BioMedGPS's server wants of a field: its length in characters, perhaps a pattern."""

    field: str
    column: str
    longest: int
    pattern: str | None = None


# A column of a block of rows as it is read, and as people see it; empty where there is none.
Column = Callable[[str], list[str]]
Describe = Callable[[Column, Column], dict[str, list[str]]]


def describe_entities(raw: Column, shown: Column) -> dict[str, list[str]]:
    """Return the columns id, label, name and resource."""
    return {
        "id": raw("id"),
        "label": raw("label"),
        "name": shown("name"),
        "resource": shown("resource"),
    }


def describe_relation_types(raw: Column, shown: Column) -> dict[str, list[str]]:
    """Return the same columns and those of RELATION_TYPES.more_columns.

    The label is the pair of labels that a relation joins, such as Compound:Gene.
    """
    types = raw("relation_type")
    of_row = zip(types, shown("source_type"), shown("target_type"), strict=True)
    pairs = [joined_labels(*row) for row in of_row]
    first = [one.split("::")[0] if "::" in one else "" for one in types]
    formatted = shown("formatted_relation_type")
    return {
        "id": types,
        "label": [f"{one}:{two}" if one and two else "RelationType" for one, two in pairs],
        "name": [one or two for one, two in zip(shown("name"), types, strict=True)],
        "resource": [one or two for one, two in zip(shown("resource"), first, strict=True)],
        "relation_type": types,
        "formatted_relation_type": [one or two for one, two in zip(formatted, types, strict=True)],
        "source_type": [one for one, _ in pairs],
        "target_type": [two for _, two in pairs],
    }


def describe_facts(raw: Column, shown: Column) -> dict[str, list[str]]:
    """Return the same columns and those of FACTS.more_columns; the label is the relation."""
    parts = (shown("head"), shown("relation"), shown("tail"))
    return {
        "id": raw("id"),
        "label": raw("relation_id"),
        "name": list(map(" ".join, zip(*parts, strict=True))),
        "resource": [""] * len(parts[0]),
        "head": raw("head_id"),
        "relation": raw("relation_id"),
        "tail": raw("tail_id"),
    }


def joined_labels(relation_type: str, source: str, target: str) -> tuple[str, str]:
    """Return the labels that a relation joins; ("", "") if neither columns nor type have them."""
    if source and target:
        return source, target
    head, mark, pair = relation_type.rpartition("::")
    one, colon, two = pair.partition(":")
    return (one, two) if head and mark and colon and one and two else (source, target)


@dataclass(frozen=True)
class Kind:
    """One kind of table. Columns are named as in the index of a space.

    `one`, `many`: the words in the file names of trainers. `letter`: its tables in the templates
    of loading pages. `key`: the columns that no two rows should have in common. `optional`: the
    columns that are read where the file has them. `name_column`: the one with a row's name.
    `describe`: the columns of a space's index that come from the table, id, label, name, resource
    and `more_columns`. `in_triples`: the parts of a triple that name its rows.
    `text`: the default text rule. `has_labels`: whether rows have labels of their own.
    `id_forms`: what triples may call a row, the usual one first; `id_setting`: the setting that
    says which; `many_in_graph`: the rows, as a graph has them.
    `tsv`: columns of BioMedGPS's TSV and what fills them. `script_tsv`: those that the file of its
    script has. `instead_of_empty`: the column that fills an empty one. `server_rules`: the
    checks of its server.
    """

    name: str
    one: str
    many: str
    letter: str
    key: tuple[str, ...]
    optional: tuple[str, ...]
    name_column: str
    describe: Describe
    in_triples: tuple[str, ...]
    text: str
    has_labels: bool
    id_setting: str
    id_forms: tuple[str, ...]
    many_in_graph: str
    tsv: Mapping[str, str]
    script_tsv: tuple[str, ...]
    server_rules: tuple[ServerRule, ...]
    instead_of_empty: Mapping[str, str] = field(default_factory=dict)
    more_columns: tuple[str, ...] = ()

    def node_ids(self, columns: Mapping[str, list[str]], form: str | None = None) -> list[str]:
        """Return the node id of each row, by a form of `id_forms`, the first by default.

        `columns`: those of a space's index. An id that begins with its label and `::` is not given
        the label again. A row without the name that the form takes has its id.
        """
        form = form or self.id_forms[0]
        if form == "label::id":
            return [  # few ids have `::`, and to look for it takes less than to spell the label
                one if "::" in one and one.startswith(f"{label}::") else f"{label}::{one}"
                for label, one in zip(columns["label"], columns["id"], strict=True)
            ]
        ids = columns["id"]
        return [one or other for one, other in zip(columns.get(form, ids), ids, strict=True)]

    def label_in(self, node_id: str) -> str:
        """Return the label in a node id, "" if there is none.

        Gene of Gene::X, and of a relation type: Compound:Gene of A::b::Compound:Gene.
        """
        if self.has_labels:
            label, mark, _ = node_id.partition("::")
        else:
            _, mark, label = node_id.rpartition("::")
        return label if mark else ""


ENTITIES = Kind(
    name="entities",
    one="entity",
    many="entities",
    letter="e",
    key=("id", "label"),
    optional=("name", "resource"),
    name_column="name",
    describe=describe_entities,
    in_triples=("head", "tail"),
    text="description,name",
    has_labels=True,
    id_setting="node_id",
    id_forms=("label::id", "id", "name"),
    many_in_graph="nodes",
    # Node ids are unique, ids alone aren't: the server's check wants a unique `id`.
    tsv={"id": "node_id", "entity_id": "id", "entity_name": "name", "entity_type": "label"},
    script_tsv=("entity_id", "entity_name", "entity_type"),
    server_rules=(
        ServerRule("entity_id", "id", 64, r"^[A-Za-z0-9\-]+:[a-z0-9A-Z.\-_]+$"),
        ServerRule("entity_type", "label", 64, r"^[A-Za-z]+$"),
        ServerRule("entity_name", "name", 255),
    ),
)
RELATION_TYPES = Kind(
    name="relation_types",
    one="relation",
    many="relations",
    letter="r",
    key=("relation_type",),
    optional=("name", "resource", "formatted_relation_type", "source_type", "target_type"),
    name_column="relation_type",
    describe=describe_relation_types,
    more_columns=("relation_type", "formatted_relation_type", "source_type", "target_type"),
    in_triples=("relation",),
    text="description",
    has_labels=False,
    id_setting="relation_id",
    id_forms=("relation_type", "formatted_relation_type", "name"),
    many_in_graph="relations",
    tsv={
        "id": "relation_type",
        "relation_type": "relation_type",
        "formatted_relation_type": "formatted_relation_type",
    },
    script_tsv=("relation_type",),
    server_rules=(
        ServerRule("relation_type", "relation_type", 64),
        ServerRule("formatted_relation_type", "formatted_relation_type", 64),
    ),
    # The server refuses an empty one, and takes relation_type where the column is missing.
    instead_of_empty={"formatted_relation_type": "relation_type"},
)
# The columns of a fact that its text may have: names, what the graph calls them, labels of ends.
FACT_COLUMNS = (
    *("head", "relation", "tail", "head_id", "relation_id", "tail_id", "head_label", "tail_label"),
)
FACTS = Kind(
    name="facts",
    one="fact",
    many="facts",
    letter="f",
    key=("id",),
    optional=(),
    name_column="name",
    describe=describe_facts,
    in_triples=("head", "relation", "tail"),
    text="{head} {relation} {tail}",
    has_labels=False,
    id_setting="",
    id_forms=("id",),
    many_in_graph="facts",
    more_columns=("head", "relation", "tail"),
    tsv={"id": "node_id", "head": "head", "relation": "relation", "tail": "tail"},
    script_tsv=(),
    server_rules=(),
)
# What a trainer has a matrix of each of.
IN_GRAPHS = (ENTITIES, RELATION_TYPES)
KINDS = {kind.name: kind for kind in (*IN_GRAPHS, FACTS)}
