"""From runs to scores: means over seeds with their intervals, in the form of scores.json."""

from collections import defaultdict
from typing import Any

import numpy as np

NAMES = {"ner": "entity_probe", "nli": "inference_probe"}


def card_scores(probe: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return score → by → group → method → metric → {value, interval, n}; n: number of seeds.

    Groups are `all`, and the types of entities or the labels (`by: type`) when there are several.
    The layers' weights in the mix are a score of their own, `…_layers`, `by: layer`.
    """
    numbers: dict[tuple[str, ...], list[float]] = defaultdict(list)
    name = NAMES[probe]
    groups = {group for run in runs for group in run["metrics"]} - {"all"}
    for run in runs:
        for group, metrics in run["metrics"].items():
            if group != "all" and len(groups) < 2:
                continue
            by = "all" if group == "all" else "type"
            for metric, value in metrics.items():
                numbers[name, by, group, run["method"], metric].append(value)
        if run["method"] == "vectors":
            for layer, weight in enumerate(run["layer_weights"]):
                numbers[f"{name}_layers", "layer", f"{layer:02}", "vectors", "weight"].append(
                    weight
                )
    found: dict[str, Any] = {}
    for (*keys, metric), values in numbers.items():
        into = found
        for key in keys:
            into = into.setdefault(key, {})
        into[metric] = over_seeds(values)
    return found


def over_seeds(values: list[float]) -> dict[str, Any]:
    """Return the mean over seeds and its 95 % interval (Student's t), cut to 0 and 1.

    It reflects the chance of first weights and order, not that of the test set. No interval
    for one seed.
    """
    from scipy.stats import t

    mean, n = float(np.mean(values)), len(values)
    interval = None
    if n > 1:
        half = float(t.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5)
        interval = [round(max(mean - half, 0.0), 6), round(min(mean + half, 1.0), 6)]
    return {"value": round(mean, 6), "interval": interval, "n": n}
