"""Folds of the label probe: stratified, and near-duplicate texts in one fold."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.neighbours import nearest_in_pool

FOLDS = 5
ALIKE = 0.9  # cosine of character n-grams: texts that differ in a word of ten or so
FEWEST_WORDS = 3  # numbers tell TP53 and TP63 apart, but not sentences of one form
NEIGHBOURS_TRIED = 5  # nearest texts of each that may be near-duplicates

Codes = NDArray[np.int64]


def near_duplicates(texts: Sequence[str], characters: Any) -> tuple[Codes, int]:
    """Group texts that are nearly the same: the number of each text's group, (n,).

    Alike are texts of FEWEST_WORDS words or more that are equal but for numbers, case and
    punctuation, and texts whose `characters` (n, d), sparse unit vectors of character n-grams, have
    a cosine of ALIKE. Groups are what is connected. Also returns how many texts are in groups of
    several.
    """
    import scipy.sparse as sp
    from scipy.sparse.csgraph import connected_components

    n_texts = len(texts)
    plain = [re.sub(r"[\W\d_]+", " ", text.casefold()).strip() for text in texts]
    plain = [
        found if found.count(" ") >= FEWEST_WORDS - 1 else text
        for found, text in zip(plain, texts, strict=True)
    ]
    _, same = np.unique(plain, return_inverse=True)
    everyone = np.arange(n_texts)
    nearest = nearest_in_pool(characters, everyone, everyone, NEIGHBOURS_TRIED)
    rows, places = np.nonzero(nearest >= 0)
    others = nearest[rows, places]
    cosines = np.asarray(characters[rows].multiply(characters[others]).sum(axis=1)).reshape(-1)
    near = cosines >= ALIKE
    # Texts that are the same word for word are linked through a node of their own.
    ends = np.concatenate([others[near], n_texts + same])
    starts = np.concatenate([rows[near], everyone])
    size = n_texts + int(same.max(initial=-1)) + 1
    links = sp.coo_array((np.ones(len(ends)), (starts, ends)), shape=(size, size))
    _, group = connected_components(links, directed=False)
    _, group = np.unique(group[:n_texts], return_inverse=True)
    several = np.bincount(group)[group] > 1
    return group.astype(np.int64), int(several.sum())


def grouped_folds(labels: Codes, groups: Codes, seed: int) -> Codes:
    """Return the fold of each row, (n,): groups stay together, labels are spread evenly.

    The largest groups are dealt first, each to the fold that has the fewest rows of its commonest
    label; groups of one size in an order drawn by `seed`.
    """
    rng = np.random.default_rng(seed)
    n_labels = int(labels.max()) + 1
    table = np.bincount(groups * n_labels + labels, minlength=(int(groups.max()) + 1) * n_labels)
    table = table.reshape(-1, n_labels)
    main, sizes = table.argmax(axis=1), table.sum(axis=1)
    held = np.zeros((n_labels, FOLDS))
    total = np.zeros(FOLDS)
    fold_of = np.empty(len(sizes), np.int64)
    for group in np.lexsort((rng.random(len(sizes)), -sizes)).tolist():
        # Of the folds with the fewest of the label, the one with the fewest rows altogether.
        fold = int(np.lexsort((total, held[main[group]]))[0])
        fold_of[group] = fold
        held[:, fold] += table[group]
        total[fold] += sizes[group]
    return fold_of[groups]
