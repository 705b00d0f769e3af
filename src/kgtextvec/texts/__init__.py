"""The texts step: tables read strictly, distinct texts split into shards, all findings listed."""

# Bumped by hand when the same table and settings would give other texts or rows.
RECIPE = {"read_texts": 2, "read_synonyms": 1}
