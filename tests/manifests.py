"""The manifest of a space, as gather-shards writes it, for tests that make spaces by hand."""

from typing import Any


def space_manifest(**given: Any) -> dict[str, Any]:
    """A complete manifest with what is given in it; `model` may name only some of its keys."""
    model = {
        "name": "tiny",
        "kind": "transformer",
        "source": "path:tiny",
        "revision": None,
        "weights_sha256": "0" * 64,
        "tokenizer_sha256": "0" * 64,
        "license": None,
        "citation": None,
        "parameters": 1_000_000,
    } | given.pop("model", {})
    counts = {"texts_embedded": 20, "texts_from_store": 0}
    counts |= {"truncated": 0, "tokens": 100, "unknown_tokens": 0} | given.pop("counts", {})
    made = {
        "table": "entities",
        "kind": "entities",
        "space": "full",
        "text": "name",
        "pooling": "mean",
        "precision": "float32",
        "mode": "correct",
        "max_tokens": 512,
        "long_text": "truncate",
        "settings": {},
        "fingerprint": "0" * 32,
        "rows": 20,
        "texts": 20,
        "dims": 8,
        "devices": ["cpu"],
        "seconds": 2.0,
        "shards": 1,
        "texts_digest": "0" * 64,
        "vectors_xxh3": "0" * 32,
        "index_digest": "0" * 64,
        "recipe": {"embed_shard": 1, "gather_shards": 1},
        "versions": {"kgtextvec": "0"},
        "command": "kgtextvec gather-shards",
    }
    return {"model": model, **made, "counts": counts} | given
