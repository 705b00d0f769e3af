"""The embed step: texts of a shard to vectors, and the shards back to the table's rows."""

# Bumped by hand when a verb's results change: in the params of its rule, and embed_shard's in the
# key of the vector store.
RECIPE = {"embed_shard": 1, "gather_shards": 1}
