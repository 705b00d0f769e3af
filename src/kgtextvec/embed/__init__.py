"""The embed step: texts of a shard to vectors, and the shards back to the table's rows."""

# Bumped by hand when a verb's results change: in the params of its rule, and embed_shard's in the
# key of the vector store. embed_shard has a number for each kind of model.
EMBED_RECIPE = {"transformer": 2, "elmo": 1, "endpoint": 1, "words": 1}
RECIPE = {"embed_shard": EMBED_RECIPE, "gather_shards": 1}
