"""Forms of tables that `init` recognises: one module each, no list here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kgtextvec.texts.header import UNIT, key_of

# Fewer rows tell little about what a column is.
FEW_VALUES = 20
# Labels that every node of a graph may have.
ROOT_LABELS = {"thing", "namedthing", "entity", "node", "biologicalentity", "ontologyclass"}


@dataclass(frozen=True)
class TableSample:
    """The beginning of a file: the fields of its first line, and rows that follow.

    `format`: a table format's name, or `ontology`, which `what` describes. `quotechar`: the quote
    that its fields seem to have. `headers`: a header file of its own, whose fields are `first`
    then. `more`: further parts of the same table.
    """

    path: Path
    format: str
    first: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    what: str = ""
    quotechar: str = '"'
    headers: Sequence[Path] = ()
    more: Sequence[Path] = ()

    @property
    def names(self) -> set[str]:
        """The first line's fields in lower case, as names of columns."""
        return {name.strip().lower() for name in self.first}

    def named(self, *keys: str) -> str | None:
        """Return the column whose name is one of those, as `key_of` has them; None if none is."""
        found = {key_of(name): name for name in reversed(self.first)}
        return next((found[key] for key in keys if key in found), None)

    def column(self, name: str) -> list[str]:
        """Return the values of a column that has any."""
        place = list(self.first).index(name)
        return [row[place] for row in self.rows if len(row) > place and row[place].strip()]

    def all_rows(self) -> list[Sequence[str]]:
        """Return the rows of a file without a header: the first line is one of them."""
        return [self.first, *self.rows]

    def lists_in(self, name: str) -> str:
        """Return what separates lists in a column: `|` or `;`; UNIT for lists of the format."""
        values = self.column(name)
        for mark in (UNIT, "|", ";"):
            if any(mark in value for value in values):
                return mark
        return ""


@dataclass
class TableGuess:
    """What a file seems to be.

    `role`: entities, relation_types, graph, or ontology (which is no table yet). `settings`: those
    of the table or graph. `doubts`: what to look at, a sentence each. `others`: (why, settings) of
    other mappings that are as likely. `ideas`: (what for, settings) that could be added.
    """

    form: str
    role: str
    settings: dict[str, Any] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    others: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    ideas: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@dataclass(frozen=True)
class Recogniser:
    """A form of tables: what it is called, and what looks at a sample; None if it is another.

    Recognisers are asked in the order of `rank`; the first that has a guess is believed.
    """

    form: str
    rank: int
    guess: Callable[[TableSample], TableGuess | None]


def labels_in_ids(column: str, ids: Sequence[str]) -> dict[str, Any]:
    """Return the settings that take labels from ids such as Gene::2157; {} if ids are not so."""
    if not ids or not all(one.find("::") > 0 for one in ids):
        return {}
    return {"columns": {"label": column}, "list_separator": ":"}


def other_label(settings: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the other choice where rows have several labels; [] where they have not."""
    if "label_of" not in settings:
        return []
    other = "first" if settings["label_of"] == "last" else "last"
    return [(f"the {other} of several labels is the right one", settings | {"label_of": other})]


def texts_from(sample: TableSample, columns: dict[str, Any]) -> dict[str, Any]:
    """Return the setting `text`, where the default (description, else name) would not do."""
    has = {ours for ours in ("name", "description") if ours in columns or ours in sample.first}
    if has == {"name", "description"}:
        return {}
    return {"text": [one for one in ("description", "name", "id") if one in has or one == "id"][:1]}


def is_specific(label: str) -> bool:
    """Return whether a label, with or without a prefix, is none that every node has."""
    return label.rpartition(":")[2].lower() not in ROOT_LABELS


def label_settings(
    sample: TableSample, column: str, default: str
) -> tuple[dict[str, Any], list[str]]:
    """Return the settings and the doubts that follow from the values of the column of labels."""
    values = sample.column(column)
    settings: dict[str, Any] = {}
    doubts = []
    mark = sample.lists_in(column)
    lists = [value.split(mark) for value in values] if mark else [[value] for value in values]
    if mark and mark != UNIT:
        settings["list_separator"] = mark
    prefixes = {one.partition(":")[0] + ":" for row in lists for one in row if ":" in one}
    if len(prefixes) == 1 and all(":" in one for row in lists for one in row if one):
        settings["label_prefixes"] = sorted(prefixes)
    several = [row for row in lists if len(row) > 1]
    if several:
        ends = {"first": {row[0] for row in several}, "last": {row[-1] for row in several}}
        # The end with more different labels, not counting what every node is.
        specific = {end: sum(map(is_specific, found)) for end, found in ends.items()}
        settings["label_of"] = max(specific, key=lambda end: specific[end])
        example = several[0]
        doubts.append(
            f"{len(several)} of {len(sample.rows)} rows have several labels, such as"
            f" {', '.join(example[:4])}. label_of takes the {settings['label_of']}; set"
            " first, last, or a list of labels in order of preference"
        )
    empty = len(sample.rows) - len(values)
    if empty:
        settings["label"] = default
        doubts.append(f"{empty} of {len(sample.rows)} rows have no label; they get {default}")
    return settings, doubts
