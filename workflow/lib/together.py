"""What the config says of tables together: the graph, bundles, inverse relations."""

from collections.abc import Sequence
from functools import cached_property

from kgtextvec.errors import InputError
from kgtextvec.kinds import IN_GRAPHS, KINDS
from kgtextvec.registry import FORMS, ID_ORDERS
from kgtextvec.settings.config import Config
from kgtextvec.settings.tables import Table
from kgtextvec.texts.rules import parse_rule

NO_DESCRIPTION = ("id", "label", "name", "resource", "synonyms")


def has_descriptions(table: Table) -> bool:
    """Return whether the texts of a table of entities are more than names."""
    asked = table.text or KINDS[table.kind].text
    rule = parse_rule(asked if isinstance(asked, str) else ",".join(asked))
    return any(name.partition(":")[0] not in NO_DESCRIPTION for name in rule.columns)


class TablesTogether:
    """The part of the plan that concerns several tables at once."""

    config: Config
    tables: dict[str, Table]

    def tables_of(self, kind: str) -> list[str]:
        """Return the names of the tables of a kind."""
        return [name for name, table in self.tables.items() if table.kind == kind]

    @property
    def graph_asked(self) -> str | Sequence[str] | None:
        """The files of the graph's edges as the config names them, if there is a graph."""
        graph = self.config.graph
        return graph.file if graph else self.config.evaluate.triples

    @cached_property
    def bundle(self) -> dict[str, str | None]:
        """The table of each kind in exports that hold both; None where there is none."""
        return {kind: self.table_in_bundle(kind) for kind in KINDS}

    def tables_in_bundle(self, form: str | None = None) -> list[str]:
        """Return the tables that a form's bundle holds; without a form, those of an aligned one."""
        kinds = FORMS[form].kinds if form else IN_GRAPHS
        return [table for kind in kinds if (table := self.bundle[kind.name])]

    def inverses_in(self, form: str | None) -> str:
        """Return which inverse relations a form's bundle has; without a form, an aligned one."""
        align = self.config.align
        files = FORMS[form].files if form else (ID_ORDERS[align.form].files if align else None)
        return self.config.bundle.inverse_relations if files and files.inverses else "none"

    @cached_property
    def masked(self) -> dict[str, str]:
        """The tables of masked texts that the score `leakage` needs, with what they are made of.

        Tables of entities whose text rule has more than names and labels.
        """
        wanted = "leakage" in self.config.evaluate.scores and self.graph_asked
        if not wanted or self.config.evaluate.test_triples:
            return {}
        return {
            f"{name}-masked": name
            for name in self.tables_of("entities")
            if has_descriptions(self.tables[name])
        }

    def table_in_bundle(self, kind: str) -> str | None:
        """Return the table named in the config, the only one, or the one named as its kind."""
        asked: str | None = getattr(self.config.bundle, kind)
        names = self.tables_of(kind)
        if asked and asked not in names:
            raise InputError(
                f"config, bundle.{kind}: {asked} is not a table of kind {kind}. Choose one of"
                f" {', '.join(names) or 'none, there is no such table'}."
            )
        if asked or not names:
            return asked
        if len(names) > 1 and kind not in names:
            raise InputError(
                f"config, bundle.{kind}: say which of {', '.join(names)} goes into exports that"
                " hold one table of each kind."
            )
        return kind if kind in names else names[0]
