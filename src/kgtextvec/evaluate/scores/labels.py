"""Label probe: how well a row's label can be predicted from its vector."""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.evaluate.folds import FOLDS, grouped_folds, near_duplicates
from kgtextvec.evaluate.leaks import COLUMN, leaking_columns
from kgtextvec.evaluate.scores import (
    VECTOR_BASELINES,
    Score,
    ScoreResult,
    ScoringContext,
)
from kgtextvec.pairs import digest_of_parts, sums_by_item
from kgtextvec.progress import say
from kgtextvec.stats import mean_with_interval, score_entry

if TYPE_CHECKING:
    from kgtextvec.evaluate.baselines import Maker
    from kgtextvec.kept_results import FoundArrays
    from kgtextvec.space import Space

SAMPLE = 10_000
FEWEST_ROWS = 10  # of a label: two in each of five folds
INVERSE_PENALTY = 100.0  # C of logistic regression, for rows of length 1 on average
LOGISTIC_STEPS = 500
SPAN_ROWS = 2_000  # up to here the span of sparse rows is found in a second or two
UNFINISHED = "unfinished"  # whether a logistic regression ran out of steps
WITHOUT_LOGISTIC = {"tfidf_chars", "tfidf_both"}  # so many terms that it takes minutes

LabelCodes = NDArray[np.int64]


def score_labels(context: ScoringContext) -> ScoreResult:
    """Predict labels by k nearest neighbours and by logistic regression, cross-validated.

    No scores if fewer than two labels have FEWEST_ROWS rows.
    """
    space, seed = context.space, context.settings.seed
    rows, notes = label_probe_rows(space, seed)
    labels = space.label_codes[rows]
    if len(np.unique(labels)) < 2:
        few = f"labels: left out, fewer than two labels have {FEWEST_ROWS} distinct texts"
        return ScoreResult(notes=[*notes, few])
    texts, where = context.baselines.texts_of(rows)
    own = [texts[place] for place in where]
    groups, n_alike = near_duplicates(own, context.baselines.tfidf_chars(rows))
    if n_alike:
        notes.append(
            f"labels: {n_alike:,} of {len(rows):,} texts have near-duplicates, which stay in one"
            " fold"
        )
    n_groups = [len(np.unique(groups[labels == label])) for label in range(labels.max() + 1)]
    if lone := [label for label in np.unique(labels).tolist() if n_groups[label] < FOLDS]:
        names = ", ".join(space.label_names[label] for label in lone)
        notes.append(f"labels: left out, since nearly all of their texts are the same: {names}")
        keep = ~np.isin(labels, lone)
        rows, groups, labels = rows[keep], groups[keep], labels[keep]
        own = [text for text, kept in zip(own, keep.tolist(), strict=True) if kept]
        if len(np.unique(labels)) < 2:
            return ScoreResult(notes=[*notes, "labels: left out, fewer than two labels remain"])
    folds = grouped_folds(labels, np.unique(groups, return_inverse=True)[1], seed)
    scores = {"majority": majority_accuracies(labels, seed)}
    hits: dict[str, NDArray[np.float64]] = {}
    for name, right in leaking_columns(space, rows, lambda: own, labels, folds).items():
        method = f"{COLUMN}{name}"
        scores[method] = accuracies({"knn": right}, labels, seed)
        hits[f"{method}.knn_accuracy"] = right
        notes.append(
            f"labels: {name}, which is in the text, alone predicts {right.mean():.0%} of labels, so"
            " these scores mean little"
        )
    neighbours = context.settings.neighbours

    def predict(method: str, vectors_of: "Maker") -> "FoundArrays":
        say(f"labels: {method}, {len(rows):,} rows")
        vectors = vectors_of(rows)
        predicted = {"knn": knn_hits(vectors, labels, folds, neighbours, seed)}
        if method not in WITHOUT_LOGISTIC:
            predicted["logistic"], unfinished = logistic_hits(vectors, labels, folds)
            predicted[UNFINISHED] = np.array([unfinished], np.float64)
        return predicted

    predict_by_all = context.baselines.shared(
        "labels", [rows, labels, folds], neighbours=neighbours
    )
    for method, found in predict_by_all(context.baselines.methods(), predict).items():
        predicted = {name: right for name, right in found.items() if name != UNFINISHED}
        scores[method] = accuracies(predicted, labels, seed)
        hits |= {
            f"{method}.{name}_accuracy": values
            for name, values in predicted.items()
            if name == "knn" or method == "vectors"
        }
        if found.get(UNFINISHED, [0.0])[0]:
            notes.append(
                f"labels: logistic regression on {method} stopped after {LOGISTIC_STEPS} steps"
            )
    asked = digest_of_parts([space.column("node_id"), np.asarray(space.label_codes)])
    return ScoreResult({"all": {"all": scores}}, notes, items=sums_by_item(rows, hits, asked))


def label_probe_rows(space: "Space", seed: int) -> tuple[NDArray[np.int64], list[str]]:
    """Choose rows, ascending: one per distinct text and label, labels of FEWEST_ROWS rows or more.

    Above SAMPLE rows a share of each label is drawn. Returns rows and notes of what was left out.
    """
    labels, notes = space.label_codes, []
    pairs = np.stack([labels, space.text_codes])
    rows = np.sort(np.unique(pairs, axis=1, return_index=True)[1])
    counts = np.bincount(labels[rows], minlength=1)
    few = np.flatnonzero((counts > 0) & (counts < FEWEST_ROWS))
    if len(few):
        names = [space.label_names[code] for code in few.tolist()]
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        notes.append(f"labels: left out for fewer than {FEWEST_ROWS} distinct texts: {shown}")
    rows = rows[counts[labels[rows]] >= FEWEST_ROWS]
    if len(rows) > SAMPLE:
        notes.append(f"labels: a sample of {SAMPLE:,} of {len(rows):,} rows, stratified by label")
        rng = np.random.default_rng(seed)
        share = SAMPLE / len(rows)
        chosen = []
        for label in np.unique(labels[rows]):
            own = rows[labels[rows] == label]
            chosen.append(rng.choice(own, max(FEWEST_ROWS, round(share * len(own))), replace=False))
        rows = np.sort(np.concatenate(chosen))
    return rows.astype(np.int64), notes


def majority_accuracies(labels: LabelCodes, seed: int) -> dict[str, Any]:
    """Score the guess that every row has the commonest label."""
    right = (labels == np.bincount(labels).argmax()).astype(np.float64)
    return accuracies({"knn": right, "logistic": right}, labels, seed)


def knn_hits(
    vectors: Any, labels: LabelCodes, folds: LabelCodes, k: int, seed: int
) -> NDArray[np.float64]:
    """Predict each row's label by the most votes of its k nearest in the other folds.

    `vectors` are unit rows, dense or sparse. Equal cosines are ordered by `seed`, as in the cold
    start. Returns (n,): 1 where the prediction is right; 1 / m where the right label is one of m
    with the most votes; else 0.
    """
    from kgtextvec.neighbours import nearest_in_pool

    rng = np.random.default_rng(seed)
    hits = np.zeros(len(labels))
    n_labels = int(labels.max()) + 1
    for fold in np.unique(folds):
        test, pool = np.flatnonzero(folds == fold), rng.permutation(np.flatnonzero(folds != fold))
        nearest = nearest_in_pool(vectors, test, pool, k)
        voter, place = np.nonzero(nearest >= 0)
        voted = labels[pool[nearest[voter, place]]]
        votes = np.bincount(voter * n_labels + voted, minlength=len(test) * n_labels)
        votes = votes.reshape(len(test), n_labels)
        first = votes == votes.max(axis=1, keepdims=True)
        hits[test] = first[np.arange(len(test)), labels[test]] / first.sum(axis=1)
    return hits


def logistic_hits(
    vectors: Any, labels: LabelCodes, folds: LabelCodes
) -> tuple[NDArray[np.float64], bool]:
    """Predict each row's label by logistic regression on the other folds.

    Returns (n,) 1.0 where it is right, and whether one regression ran out of steps.
    """
    import scipy.sparse as sp
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import PredefinedSplit, cross_val_predict

    linear = LogisticRegression(C=INVERSE_PENALTY, max_iter=LOGISTIC_STEPS)
    if not sp.issparse(vectors):
        even = centred(vectors)
    else:
        even = in_own_span(vectors) if vectors.shape[0] <= SPAN_ROWS else vectors
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        predicted = cross_val_predict(linear, even, labels, cv=PredefinedSplit(folds))
    unfinished = any(issubclass(one.category, ConvergenceWarning) for one in caught)
    return (predicted == labels).astype(np.float64), unfinished


def in_own_span(vectors: Any) -> Any:
    """Return sparse rows (n, d) by their coordinates in the space that they span: (n, ≤ n), dense.

    Products of rows stay as they are, and so does all that a linear model with a penalty on the
    squares of its weights predicts; but it has n weights to find in place of one for each term.
    """
    squares, axes = np.linalg.eigh((vectors @ vectors.T).toarray())
    some = squares > squares[-1] * 1e-12
    return axes[:, some] * np.sqrt(squares[some])


def centred(vectors: Any) -> Any:
    """Return dense vectors (n, d) with mean 0 and a mean square length of 1.

    One scale for all dims, so that a rotated space scores the same; and since models differ in how
    narrow a cone they fill, so that one penalty is fair to all.
    """
    moved = vectors - vectors.mean(axis=0, dtype=np.float64)
    scale = np.sqrt(np.square(moved).sum(axis=1).mean())
    return (moved / scale if scale > 0 else moved).astype(np.float32)


def accuracies(
    right: dict[str, NDArray[np.float64]], labels: LabelCodes, seed: int
) -> dict[str, Any]:
    """Return accuracy, with an interval over rows, and the mean accuracy over labels.

    `right` holds 1.0 where a classifier was right, (n,), else 0.0.
    """
    found = {}
    for name, hits in right.items():
        means, ends = mean_with_interval(hits[:, None], np.arange(len(hits)), seed)
        interval = None if ends is None else ends[:, 0]
        found[f"{name}_accuracy"] = score_entry(means[0], interval, len(hits))
        by_label = [hits[labels == label].mean() for label in np.unique(labels)]
        found[f"{name}_balanced"] = score_entry(float(np.mean(by_label)), None, len(hits))
    return found


SCORE = Score(
    title="Label probe",
    description="How often a row's label is predicted from its vector.",
    compute=score_labels,
    metrics={
        "knn_accuracy": "10 nearest",
        "knn_balanced": "10 nearest, balanced",
        "logistic_accuracy": "logistic",
        "logistic_balanced": "logistic, balanced",
    },
    baselines={"majority": "most common label", **VECTOR_BASELINES},
    headline=("knn_accuracy", "label accuracy"),
    spoiled_by=COLUMN,
)
