"""From the file's columns to ours: other names, lists, labels with prefixes or without a column."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kgtextvec.errors import InputError, did_you_mean
from kgtextvec.kinds import KINDS, Kind
from kgtextvec.settings.base import changed
from kgtextvec.settings.tables import Reading
from kgtextvec.texts.blocks import Batch
from kgtextvec.texts.findings import Findings, TableError, plain
from kgtextvec.texts.header import (
    UNIT,
    Header,
    absent_column,
    match_columns,
    neo4j_type,
    place_in,
)
from kgtextvec.texts.opening import readers_of
from kgtextvec.texts.rules import parse_rule

# Columns of ours that hold one value, whatever characters it has.
SINGLE = ("id", "name", "description", "relation_type")


@dataclass(frozen=True)
class MappedColumn:
    """Where one of our columns comes from: places in the file, of which the first filled counts.

    `show` turns the values of one place into ours, such as lists into `a, b, c`; None: as they are.
    """

    places: tuple[int, ...]
    show: Callable[[list[str]], list[str]] | None = None


class ColumnMap:
    """Our columns of a table, taken from those of its file.

    `taken` and `keys` are what a reader is asked for; `ours` makes our columns of what it gives.
    """

    def __init__(
        self,
        header: Header,
        kind: Kind,
        wanted: Sequence[str],
        how: Reading,
        findings: Findings,
        line: int | None,
        one_of_many: bool = False,
    ) -> None:
        """Find the columns `wanted` and the kind's optional ones. Raises TableError.

        `one_of_many`: the table has several headers, and a column of a text that this one lacks is
        empty in its files, with a warning. `absent`: what is wrong with the columns of the settings
        that the file lacks, where another one takes their place.
        """
        self.header, self.kind, self.how = header, kind, how
        self.one_of_many = one_of_many
        self.absent: dict[tuple[str, str], str] = {}
        self.wanted = wanted
        self.labels: dict[str, str] = {}
        check_mapping(kind, wanted, how)
        self.limits = {name: limit for name in wanted if (limit := self.limit_in(name))}
        mapped = {ours: self.mapped_places(ours, line) for ours in how.columns}
        if kind.has_labels and "label" not in how.columns:
            self.check_label()
        needed = [
            name
            for name in dict.fromkeys(self.limits.get(name, (name, 0))[0] for name in wanted)
            if name not in mapped and not (name == "label" and self.has_one_label)
        ]
        optional = [one for one in kind.optional if one not in mapped]
        typed = {
            name: (place,)
            for name in (*needed, *optional)
            if name not in header.names and (place := place_in(header.names, name)) is not None
        }
        mapped |= typed
        needed = [name for name in needed if name not in typed]
        optional = [name for name in optional if name not in typed]
        if one_of_many:
            absent = [one for one in needed if one not in kind.key and one not in header.names]
            mapped |= dict.fromkeys(absent, ())
            needed = [name for name in needed if name not in absent]
        for name in [name for name, found in mapped.items() if not found]:
            findings.add(
                "absent_column",
                line,
                f"a file has no column {plain(name)}, so it is empty in that file's rows",
            )
        if self.has_one_label and "label" not in mapped and not self.read_as_other("label"):
            optional.append("label")
        try:
            found = match_columns(header, needed, optional, findings, line)
        except TableError as error:
            message = f"{str(error).rstrip('.')}.{self.names_would_do(needed)}"
            raise TableError(error.kind, message, line) from None
        places = mapped | {name: (place,) for name, place in found.items()}
        self.columns = self.mapped_columns(places)
        self.keys = [places[key][0] for key in kind.key if key in places]
        direct = all(len(one.places) == 1 and not one.show for one in self.columns.values())
        self.direct = direct and not self.has_one_label
        if self.direct:
            self.taken = {name: one.places[0] for name, one in self.columns.items()}
        else:
            used = sorted({place for one in self.columns.values() for place in one.places})
            self.taken = {str(place): place for place in used}

    @property
    def has_one_label(self) -> bool:
        """Whether the settings give a label to rows without one."""
        return self.kind.has_labels and self.how.label is not None

    def limit_in(self, name: str) -> tuple[str, int] | None:
        """Return (synonyms, 3) of synonyms:3, unless that is a column's name itself."""
        column, colon, number = name.rpartition(":")
        if not (column and colon and number.isdecimal()) or name in self.header.names:
            return None
        if int(number) < 1:
            raise InputError(
                f"text: {plain(name)!r} asks for no values. Give a number of 1 or more."
            )
        return column, int(number)

    def mapped_places(self, ours: str, line: int | None) -> tuple[int, ...]:
        """Return where the columns stand that the settings name for one of ours."""
        theirs = self.how.columns[ours]
        asked = (theirs,) if isinstance(theirs, str) else theirs
        found = [(one, place_in(self.header.names, one)) for one in asked]
        places = tuple(dict.fromkeys(place for _, place in found if place is not None))
        for one, place in found:
            if (
                place is None
                and not places
                and not (self.one_of_many and ours not in self.kind.key)
            ):
                raise TableError(
                    "columns",
                    f"columns.{plain(ours)}: {absent_column(self.header.names, one)}.",
                    line,
                )
            if place is None and not self.one_of_many:
                what = f"columns.{plain(ours)}: {absent_column(self.header.names, one)}"
                self.absent[ours, one] = what
        return places

    def check_label(self) -> None:
        """Raise TableError where the file's column `label` was named as something else of ours."""
        others = self.read_as_other("label")
        if others and not self.has_one_label:
            raise TableError(
                "columns",
                f"columns.{plain(others[0])}: takes the column label, so none is left for the"
                " labels. Set columns.label, such as label: type, or label: Gene for all rows.",
            )

    def read_as_other(self, name: str) -> list[str]:
        """Return which of our other columns the file's column of that name is read as."""
        return [
            ours
            for ours, theirs in self.how.columns.items()
            if ours != name and name in ((theirs,) if isinstance(theirs, str) else theirs)
        ]

    def names_would_do(self, needed: Sequence[str]) -> str:
        """Return the sentence that offers the names as texts, "" where that is no help."""
        names = self.header.names
        lacks = "description" in needed and place_in(names, "description") is None
        has = "name" in self.how.columns or place_in(names, "name") is not None
        if self.how.text is None and self.kind.has_labels and lacks and has:
            return " To embed the names alone, set text: [name]"
        return ""

    def mapped_columns(self, places: dict[str, tuple[int, ...]]) -> dict[str, MappedColumn]:
        """Return our columns with what makes their values."""
        found: dict[str, MappedColumn] = {}
        for name in dict.fromkeys((*places, *self.limits)):
            column, limit = self.limits.get(name, (name, 0))
            where = places[column]
            show: Callable[[list[str]], list[str]] | None = None
            if name == "label":
                lists = self.how.list_separator or self.header.lists
                if lists or self.how.label_prefixes:
                    show = self.one_label
            elif self.header.lists or self.split_at(column, where):
                show = partial(shown_lists, separator=self.split_at(column, where), most=limit)
            elif limit:
                raise InputError(
                    f"text: {{{plain(name)}}} asks for some values of a list, and {plain(column)}"
                    " holds no list. Set list_separator, or remove the number."
                )
            found[name] = MappedColumn(where, show)
        return found

    def split_at(self, column: str, places: Sequence[int]) -> str:
        """Return the separator of a column's lists, "" if it has none."""
        separator = self.how.list_separator
        if not separator or column in SINGLE:
            return ""
        types = [neo4j_type(self.header.names[place]) for place in places]
        return "" if all(one and not one.endswith("[]") for one in types) else separator

    def one_label(self, values: list[str]) -> list[str]:
        """Return one label for each value, which may list several and have prefixes."""
        known = self.labels
        for value in set(values) - known.keys():
            known[value] = self.chosen_label(value)
        return [known[value] for value in values]

    def chosen_label(self, value: str) -> str:
        """Return the label that the settings choose among those of a row."""
        separator = UNIT if UNIT in value else self.how.list_separator
        parts = value.split(separator) if separator else [value]
        stripped = []
        for part in parts:
            text = part.strip() if len(parts) > 1 else part
            for prefix in self.how.label_prefixes:
                if text.startswith(prefix):
                    text = text.removeprefix(prefix)
                    break
            if text:
                stripped.append(text)
        if not stripped:
            return ""
        asked = self.how.label_of
        if isinstance(asked, str):
            return stripped[0 if asked == "first" else -1]
        return next((one for one in asked if one in stripped), stripped[0])

    def ours(self, batch: Batch) -> Batch:
        """Return a batch with our columns."""
        if self.direct:
            return batch
        columns = {name: self.values(one, batch) for name, one in self.columns.items()}
        if self.has_one_label:
            label = self.how.label or ""
            given = columns.get("label")
            columns["label"] = (
                [one or label for one in given] if given else [label] * len(batch.lines)
            )
        return Batch(batch.lines, columns, batch.odd)

    def values(self, column: MappedColumn, batch: Batch) -> list[str]:
        """Return the values of one of our columns: of each row the first that isn't empty."""
        values: list[str] = []
        if not column.places:
            return [""] * len(batch.lines)
        for place in column.places:
            raw = batch.columns[str(place)]
            found = column.show(raw) if column.show else raw
            if not values:
                values = found
            elif not all(map(str.strip, values)):
                values = [
                    one if one.strip() else two for one, two in zip(values, found, strict=True)
                ]
        return values


def check_mapping(kind: Kind, wanted: Sequence[str], how: Reading) -> None:
    """Raise InputError at a key of `columns` that nothing uses, and at labels where there are none.

    `wanted`: the key columns and those of the text rule.
    """
    useful = dict.fromkeys((*kind.key, *kind.optional, *wanted, *kind.text.split(",")))
    for ours in how.columns:
        plain_name = [one.rpartition(":")[0] for one in wanted]
        if ours not in useful and ours not in plain_name:
            advice = did_you_mean(ours, useful) or f"These can be set: {', '.join(useful)}."
            raise InputError(
                f"columns: {plain(ours)} is not a column that is read, nor is it in the text. Write"
                f" our name, then yours, such as name: label. {advice}"
            )
    if how.label is not None and not kind.has_labels:
        raise InputError(f"label: tables of {kind.name} have no labels. Remove it.")


def shown_lists(values: list[str], separator: str, most: int) -> list[str]:
    """Return lists as `a, b, c`, at most `most` of each (0: all); other values as they are.

    A list has UNIT between its parts, or the separator.
    """
    mark = UNIT if any(UNIT in value for value in values) else separator
    if not mark:
        return values
    found = []
    for value in values:
        at = UNIT if UNIT in value else separator
        if not at or at not in value:
            found.append(value)
            continue
        parts = [one for part in value.split(at) if (one := part.strip())]
        found.append(", ".join(parts[: most or None]))
    return found


def absent_from_table(
    how: Reading, files: Sequence[Path], headers: Sequence[Path]
) -> tuple[str, str]:
    """Return (key, what is wrong) of a column that settings name and a table's first file lacks.

    ("", "") if there is none. Raises InputError when the file can't be read so far.
    """
    text = how.text or KINDS[how.kind].text
    rule = parse_rule(text if isinstance(text, str) else ",".join(text))
    if len(headers) > 1:  # a column may be in the files of one header alone
        return "", ""
    _, reader = next(readers_of(files[:1], headers, Findings(), how, None))
    names = reader.open().names
    for ours, theirs in how.columns.items():
        asked = (theirs,) if isinstance(theirs, str) else theirs
        if all(place_in(names, one) is None for one in asked):
            return "columns", f"{plain(ours)}: {absent_column(names, asked[0])}"
    for name in rule.columns if how.text else ():
        column = name if name in names else name.rpartition(":")[0] or name
        known = column in how.columns or (column == "label" and how.label is not None)
        if not known and place_in(names, column) is None:
            has_names = how.kind == "entities" and ("name" in names or "name" in how.columns)
            advice = " To embed the names alone, set text: [name]" if has_names else ""
            found = ", ".join(plain(one, 30) for one in names)
            return "text", f"has no column {plain(column)}. It has {found}.{advice}"
    return "", ""


def refuse_for_facts(how: Reading, headers: Sequence[Path]) -> None:
    """Raise InputError at settings that a table of facts has not: edges have those of `graph`."""
    ours = ("columns", "label", "label_of", "label_prefixes", "header", "delimiter", "quotechar")
    given = [name for name in changed(how, acts="vectors") if name in (*ours, "list_separator")]
    if given:
        raise InputError(
            f"{given[0]}: facts are read like edges. Set this key under graph, or remove it."
        )
    if headers:
        raise InputError(
            "header_file: facts are read like edges. List the header file among the files of edges."
        )
