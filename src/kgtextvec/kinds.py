"""The kinds of table: columns, keys, text, and what each is called in exports."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kgtextvec.errors import InputError


@dataclass(frozen=True)
class ServerRule:
    """What BioMedGPS's server wants of a field: its length in characters, perhaps a pattern."""

    field: str
    column: str
    longest: int
    pattern: str | None = None


@dataclass(frozen=True)
class Kind:
    """One kind of table. Columns are named as in the index of a space.

    `one`, `many`: the words in the file names of trainers. `letter`: its tables in the templates
    of loading pages. `key`: the columns that no two rows should have in common. `optional`: the
    columns that are read where the file has them. `text`: the default text rule. `has_labels`:
    whether a node id is `label::id`, or the id alone. `tsv`: columns of BioMedGPS's TSV and what
    fills them. `script_tsv`: those that the file of its script has. `instead_of_empty`: the column
    that fills an empty one. `server_rules`: the checks of its server.
    """

    name: str
    one: str
    many: str
    letter: str
    key: tuple[str, ...]
    optional: tuple[str, ...]
    text: str
    has_labels: bool
    tsv: Mapping[str, str]
    script_tsv: tuple[str, ...]
    server_rules: tuple[ServerRule, ...]
    instead_of_empty: Mapping[str, str] = field(default_factory=dict)

    def node_ids(self, labels: Iterable[str], ids: Iterable[str]) -> list[str]:
        """Return the node id of each row."""
        if not self.has_labels:
            return list(ids)
        return [f"{label}::{one}" for label, one in zip(labels, ids, strict=True)]

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
    text="description,name",
    has_labels=True,
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
    optional=("resource", "formatted_relation_type", "source_type", "target_type"),
    text="description",
    has_labels=False,
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
KINDS = {kind.name: kind for kind in (ENTITIES, RELATION_TYPES)}


def kind_of(name: str, where: object) -> Kind:
    """Return the kind of that name; `where` begins the message. Raises InputError if unknown."""
    if name not in KINDS:
        raise InputError(f"{where}: {name!r} is not a kind. Choose one of {', '.join(KINDS)}.")
    return KINDS[name]
