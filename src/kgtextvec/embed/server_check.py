"""Whether a server is still the one that earlier vectors came from, and one job at it at a time."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from kgtextvec.embed.shard_lock import SHARD_LOCKS
from kgtextvec.embed.store import Part, Store, keys_of
from kgtextvec.encoders import Encoder
from kgtextvec.encoders.endpoint.encoder import TRIAL_TEXTS, EndpointEncoder
from kgtextvec.encoders.endpoint.requesting import estimate_tokens
from kgtextvec.locks import hold_lock, open_to_lock, run_without_lock


@contextmanager
def turn_at_server(store: Store) -> Iterator[None]:
    """Hold a lock until the block ends, so that the limits of an endpoint count for all jobs."""
    if not hasattr(store, "folder"):  # in a bucket, which has no locks
        yield
        return
    path = store.folder / SHARD_LOCKS / "server.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with hold_lock(
        [partial(open_to_lock, path)],
        lambda: "another job has requests under way at this endpoint: waiting for its end",
        partial(run_without_lock, path),
    ):
        yield


def check_server(encoder: Encoder, store: Store) -> None:
    """Compare the server's vectors of two fixed texts with those that the store has of them.

    The first job stores them. Raises InputError when they differ: then another model is served
    under the same name, and the store would mix the vectors of two models.
    """
    if not isinstance(encoder, EndpointEncoder):
        raise TypeError(f"{encoder} asks no server")
    vectors = encoder.trial()
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in TRIAL_TEXTS]
    order = np.argsort(digests)
    keys = keys_of(digests)[order]
    found = list(store.find(keys))
    for rows, part in found:
        encoder.check_trial(vectors[order[rows]], part.vectors)
    if not found:
        tokens = estimate_tokens(TRIAL_TEXTS)[order].astype(np.int32)
        none = np.zeros(len(tokens), np.int32)
        store.write(Part(keys, vectors[order], tokens, none.astype(np.bool_), none))
