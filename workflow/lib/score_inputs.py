"""What the scores read besides their own space: masked texts, the relation types' vectors."""

from types import SimpleNamespace
from typing import Any

from snakemake.io import ancient

from .content import Content, space_digest_in
from .inputs import Input, until_made
from .plan import Plan, Wildcards


class ScoreInputs:
    """Input functions of evaluate_space and predict_links, and params for their digests."""

    def __init__(self, plan: Plan, content: Content) -> None:
        self.plan, self.content = plan, content

    def masked_space(self, wildcards: Wildcards) -> Any:
        """Return the outputs of the job that makes the space of masked texts, if it is wanted."""
        for masked, table in self.plan.masked.items():
            if table == wildcards.table:
                names = {"model": wildcards.model, "table": masked, "space": wildcards.space}
                return self.content.space(SimpleNamespace(**names))
        return None

    def of_masked(self, name: str) -> Input:
        """Return an input: that file of the space of the table's masked texts, if it is wanted."""

        @until_made
        def value(wildcards: Wildcards) -> object:
            made = self.masked_space(wildcards)
            return ancient(getattr(made, name)) if made else []

        return value

    def relations_space(self, wildcards: Wildcards) -> Any:
        """Return the outputs of the job that makes the relation types' space, if links take it."""
        links, table = self.plan.links, self.plan.bundle["relation_types"]
        if links is None or "relations_from_text" not in links.starts:
            return None
        of = SimpleNamespace(model=wildcards.model, table=table, space=wildcards.space)
        return self.content.space(of)

    def of_relations(self, name: str) -> Input:
        """Return an input: that file of the relation types' space, if links take it."""

        @until_made
        def value(wildcards: Wildcards) -> object:
            made = self.relations_space(wildcards)
            return ancient(getattr(made, name)) if made else []

        return value

    @until_made
    def masked_texts(self, wildcards: Wildcards) -> object:
        """Return the shards of the table's masked texts, if these are wanted."""
        names = [masked for masked, table in self.plan.masked.items() if table == wildcards.table]
        return [ancient(self.content.texts(name).shards) for name in names]

    def scored_digest(self, wildcards: Wildcards) -> str:
        """Return the digest of the space, and of that of the masked texts if it is wanted."""
        made = self.masked_space(wildcards)
        more = f" {space_digest_in(made.manifest)}" if made else ""
        return self.content.space_digest(wildcards) + more

    def linked_digest(self, wildcards: Wildcards) -> str:
        """Return the digest of the space, and of the relation types' if a start takes them."""
        made = self.relations_space(wildcards)
        more = f" {space_digest_in(made.manifest)}" if made else ""
        return self.content.space_digest(wildcards) + more
