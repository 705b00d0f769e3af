"""Columns of a text rule that tell the label: found by measuring, not by their names."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

if TYPE_CHECKING:
    from kgtextvec.space import Space

LEAK = 0.5  # of the errors that the commonest label makes: a column that avoids so many tells it
COLUMN = "column_"  # of the methods' names


def leaking_columns(
    space: "Space",
    rows: NDArray[np.int64],
    texts: Callable[[], Sequence[str]],
    labels: NDArray[np.int64],
    folds: NDArray[np.int64],
) -> dict[str, NDArray[np.float64]]:
    """Return the columns in the text rule that tell the label: 1.0 where they do, (n,) each.

    A column predicts, for each of its values, the commonest label of the other folds' rows with
    that value. It leaks if it avoids LEAK of the errors of always predicting the commonest label.
    Of ids, the part before the number counts too. `texts` returns the rows' texts; they are read
    only if a column of a template isn't in the index.
    """
    found = {}
    by_chance = value_hits(["" for _ in rows], labels, folds).mean()
    for name, values in columns_of_rule(space, rows, texts).items():
        hits = value_hits(values, labels, folds)
        if by_chance < 1 and (hits.mean() - by_chance) / (1 - by_chance) >= LEAK:
            found[name] = hits
    return found


def columns_of_rule(
    space: "Space", rows: NDArray[np.int64], texts: Callable[[], Sequence[str]]
) -> dict[str, list[str]]:
    """Return the values of each column in the text rule, (n,): of the index, or cut from texts."""
    rule = space.manifest.get("text", "")
    named = re.findall(r"\{(\w+)\}", rule) or [name for name in rule.split(",") if name]
    known = set(pq.read_schema(space.index_path).names)
    found = {
        name: space.column(name).take(rows).cast("string").fill_null("").to_pylist()
        for name in dict.fromkeys(named)
        if name in known
    }
    for name in ("id", "node_id"):
        if name in found:
            found[f"{name}_prefix"] = [re.split(r"[:\d]", one)[0] for one in found[name]]
    cut = [name for name in dict.fromkeys(named) if name not in known]
    if cut and "{" in rule:
        found |= cut_from_texts(rule, cut, texts())
    return found


def cut_from_texts(rule: str, columns: Sequence[str], texts: Sequence[str]) -> dict[str, list[str]]:
    """Return columns' values as the template put them into texts; "" where a text has other form.

    A column that is empty in a row takes what stands around it along, so that its text is of
    another form.
    """
    pieces = re.split(r"\{(\w+)\}", rule)
    literals, names = pieces[::2], pieces[1::2]
    pattern = re.escape(literals[0].lstrip())
    for place, literal in enumerate(literals[1:]):
        pattern += f"(?P<c{place}>.*?)" + re.escape(literal)
    form = re.compile(pattern.rstrip("\\ ") + "$", re.DOTALL)
    parsed = [form.match(text) for text in texts]
    return {
        name: [one[f"c{names.index(name)}"] if one else "" for one in parsed] for name in columns
    }


def value_hits(
    values: Sequence[str], labels: NDArray[np.int64], folds: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Predict labels by the commonest one of equal values in the other folds: 1.0 if right, (n,).

    A value that the other folds lack predicts their commonest label.
    """
    _, codes = np.unique(np.asarray(values, dtype=object).astype(str), return_inverse=True)
    n_labels, n_values = int(labels.max()) + 1, int(codes.max()) + 1
    hits = np.zeros(len(labels))
    for fold in np.unique(folds):
        train, test = folds != fold, folds == fold
        cells = np.bincount(codes[train] * n_labels + labels[train], minlength=n_values * n_labels)
        table = cells.reshape(n_values, n_labels)
        best = np.where(table.any(axis=1), table.argmax(axis=1), table.sum(axis=0).argmax())
        hits[test] = best[codes[test]] == labels[test]
    return hits
