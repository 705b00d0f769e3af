"""Ranks of several trainings in the form of scores.json: means over seeds, by degree."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.evaluate.link_split import Split
from kgtextvec.evaluate.ranking import METRICS, degree_groups
from kgtextvec.stats import Float64s, mean_over_seeds

Groups = dict[str, dict[str, NDArray[np.bool_]]]
Values = dict[str, dict[str, Float64s]]


def groups_of(split: Split) -> Groups:
    """Return which queries belong to each group: by, group, then (2 t,); tails asked first.

    Degrees are those in training: of the entity that is asked from, and of the answer.
    """
    heads, tails = split.degrees[split.test[:, 0]], split.degrees[split.test[:, 2]]
    return {
        "all": {"all": np.ones(2 * len(split.test), bool)},
        "degree": degree_groups(np.append(heads, tails)),
        "answer_degree": degree_groups(np.append(tails, heads)),
    }


def group_means(metrics: Float64s, groups: Groups) -> Values:
    """Return the means of (2 t, 3) metrics in each group: by, group, then (3,)."""
    return {
        by: {group: metrics[some].mean(axis=0) for group, some in found.items()}
        for by, found in groups.items()
    }


def round_means(values: Values) -> dict[str, Any]:
    """Return means by the names of their metrics, to six decimals."""
    return {
        by: {
            group: {name: round(float(one), 6) for name, one in zip(METRICS, found, strict=True)}
            for group, found in groups.items()
        }
        for by, groups in values.items()
    }


def summarize_runs(runs: dict[str, list[Values]], groups: Groups) -> dict[str, Any]:
    """Sum up the trainings of a model: method → its values, one per seed, seeds in one order.

    Returns by → group → method → metric. For `vectors`, mrr_gain_over_… are differences to each
    other method, seed by seed.
    """
    found: dict[str, Any] = {}
    for by, of_groups in groups.items():
        for group, some in of_groups.items():
            n = int(some.sum())
            values = {
                method: np.stack([one[by][group] for one in several])
                for method, several in runs.items()
            }
            methods = {
                method: {name: mean_over_seeds(each[:, i], n) for i, name in enumerate(METRICS)}
                for method, each in values.items()
            }
            others = [method for method in values if method != "vectors"]
            for other in others if "vectors" in values else ():
                gain = values["vectors"][:, 0] - values[other][:, 0]
                methods["vectors"][f"mrr_gain_over_{other}"] = mean_over_seeds(gain, n, lowest=-1.0)
            found.setdefault(by, {})[group] = methods
    return found
