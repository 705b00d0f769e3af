"""A graph split into triples to train on and others to predict, of entities seen in training."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgtextvec.errors import InputError
from kgtextvec.evaluate.graph import Triples
from kgtextvec.space import Rows

SET_ASIDE = 10  # one triple of so many is predicted
MOST_TEST_TRIPLES = 2_500  # an MRR's standard error is below 0.01 by then


@dataclass(frozen=True)
class Split:
    """Triples as numbers (m, 3) of head, relation and tail: `train` and `test`.

    Entity i is the table's row `rows[i]` (n,), ascending; relation j is `names[j]`. `degrees` (n,)
    counts an entity's triples in `train`, at least one each. `counts`: of the triples
    read and of the split.
    """

    rows: Rows
    names: list[str]
    train: Rows
    test: Rows
    degrees: Rows
    counts: dict[str, int]


def split_for_links(triples: Triples, seed: int) -> Split:
    """Set aside a share of the triples, drawn by `seed`, whose ends and relation stay in training.

    Triples are gone through in an order drawn at random; one is set aside if both ends and the
    relation have another one left. Raises InputError when none can be.
    """
    rows, names, numbered = number_triples(triples)
    degrees = np.bincount(numbered[:, [0, 2]].reshape(-1), minlength=len(rows))
    uses = np.bincount(numbered[:, 1], minlength=len(names))
    wanted = min(MOST_TEST_TRIPLES, len(numbered) // SET_ASIDE)
    taken = np.zeros(len(numbered), bool)
    for i in np.random.default_rng(seed).permutation(len(numbered)):
        if not wanted:
            break
        head, relation, tail = numbered[i]
        if degrees[head] > 1 and degrees[tail] > 1 and uses[relation] > 1:
            taken[i] = True
            degrees[[head, tail]] -= 1
            uses[relation] -= 1
            wanted -= 1
    if not taken.any():
        raise InputError(
            f"evaluate.triples: of {len(numbered)} triples none can be set aside for link"
            " prediction. It needs ten or more, and entities with two or more. Give more"
            " triples, or leave it out."
        )
    return as_split(rows, names, numbered[~taken], numbered[taken], triples.counts)


def split_for_links_as_given(triples: Triples, test: Triples) -> Split:
    """Predict the triples of `test`, and train on the others of `triples`.

    A triple of `test` with an end or a relation that isn't in training is left out and counted.
    Raises InputError when none is left.
    """
    heads, tails = np.append(triples.heads, test.heads), np.append(triples.tails, test.tails)
    relations = np.append(triples.relations, test.relations)
    rows, names, numbered = number_triples(Triples(heads, tails, relations, {}))
    asked = np.arange(len(numbered)) >= len(triples.heads)
    _, which = np.unique(numbered, axis=0, return_inverse=True)
    trained = ~np.isin(which, which[asked])
    seen = np.zeros(len(rows), bool)
    seen[numbered[trained][:, [0, 2]]] = True
    known = np.isin(numbered[:, 1], numbered[trained, 1])
    fits = asked & known & seen[numbered[:, 0]] & seen[numbered[:, 2]]
    if not fits.any():
        raise InputError(
            "evaluate.test_triples: no triple has both ends and its relation among those of"
            " evaluate.triples. Name two files of one graph, with the same ids."
        )
    counts = triples.counts | {f"test_{name}": n for name, n in test.counts.items()}
    counts["left_out_unseen"] = int((asked & ~fits).sum())
    place = np.cumsum(seen) - 1
    numbered[:, [0, 2]] = place[numbered[:, [0, 2]]]
    return as_split(rows[seen], names, numbered[trained], numbered[fits], counts)


def number_triples(triples: Triples) -> tuple[Rows, list[str], Rows]:
    """Return rows of the entities, names of the relations, and triples (m, 3) of their places."""
    rows, ends = np.unique(np.append(triples.heads, triples.tails), return_inverse=True)
    names, relations = np.unique(triples.relations.astype(str), return_inverse=True)
    heads, tails = ends[: len(triples.heads)], ends[len(triples.heads) :]
    return rows, names.tolist(), np.stack([heads, relations, tails], axis=1).astype(np.int64)


def as_split(
    rows: Rows, names: list[str], train: Rows, test: Rows, counts: dict[str, int]
) -> Split:
    """Return the split with its counts, among them those that show how easy it is."""
    degrees = np.bincount(train[:, [0, 2]].reshape(-1), minlength=len(rows)).astype(np.int64)
    linked = np.isin(pair_codes(test, len(rows)), pair_codes(train, len(rows)))
    sizes = {
        "entities": len(rows),
        "relations": len(names),
        "train": len(train),
        "test": len(test),
        "test_pairs_linked_in_training": int(linked.sum()),
    }
    return Split(rows, names, train, test, degrees, counts | sizes)


def pair_codes(triples: Rows, n: int) -> NDArray[np.int64]:
    """Return a number (m,) for the two ends of each triple, equal whichever is the head."""
    ends = np.sort(triples[:, [0, 2]], axis=1)
    found: NDArray[np.int64] = ends[:, 0] * n + ends[:, 1]
    return found
