"""What the scores read besides their own space: masked texts, the relation types' vectors.

They are named as plain files, by time stamp, and not as outputs of a checkpoint: while a job waits
for one of a checkpoint, Snakemake compares neither its params nor its inputs with those of its last
run, and a score that is asked for later would never be computed.
"""

from .content import Content
from .inputs import Input
from .plan import Plan, Wildcards

SPACE_FILES = {
    "manifest": "manifest.json",
    "vectors": "embeddings.npy",
    "index": "index.parquet",
}


class ScoreInputs:
    """Input functions of evaluate_space and predict_links, and params for their digests."""

    def __init__(self, plan: Plan, content: Content) -> None:
        self.plan, self.content = plan, content

    def masked_tables(self, wildcards: Wildcards) -> list[str]:
        """Return the table of masked texts of the wildcards' table, if it is wanted."""
        return [name for name, table in self.plan.masked.items() if table == wildcards.table]

    def of_masked(self, name: str) -> Input:
        """Return an input: that file of the space of the table's masked texts, if it is wanted."""
        return lambda wildcards: [
            f"<results>/{wildcards.model}/{table}/{wildcards.space}/{SPACE_FILES[name]}"
            for table in self.masked_tables(wildcards)
        ]

    def masked_texts(self, wildcards: Wildcards) -> list[str]:
        """Return the shards of the table's masked texts, if these are wanted."""
        return [f"<results>/texts/{table}/shards" for table in self.masked_tables(wildcards)]

    def relation_tables(self) -> list[str]:
        """Return the table of relation types, if a start of link prediction takes its vectors."""
        links, table = self.plan.links, self.plan.bundle["relation_types"]
        wanted = links is not None and "relations_from_text" in links.starts
        return [table] if wanted and table else []

    def of_relations(self, name: str) -> Input:
        """Return an input: that file of the relation types' space, if links take it."""
        return lambda wildcards: [
            f"<results>/{wildcards.model}/{table}/{wildcards.space}/{SPACE_FILES[name]}"
            for table in self.relation_tables()
        ]

    def scored_digest(self, wildcards: Wildcards) -> str:
        """Return the digest of the space, and the table of masked texts if it is wanted."""
        return " ".join([self.content.space_digest(wildcards), *self.masked_tables(wildcards)])

    def linked_digest(self, wildcards: Wildcards) -> str:
        """Return the digest of the space, and the table of relation types if it is wanted."""
        return " ".join([self.content.space_digest(wildcards), *self.relation_tables()])
