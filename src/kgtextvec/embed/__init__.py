"""The embed step: texts of a shard to vectors, and the shards back to the table's rows."""

from kgtextvec.embed.gather import gather_shards, gather_shards_arguments
from kgtextvec.embed.shard import embed_shard, embed_shard_arguments

__all__ = ["embed_shard", "embed_shard_arguments", "gather_shards", "gather_shards_arguments"]
