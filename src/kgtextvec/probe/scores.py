"""From runs to scores: means over seeds with their intervals, in the form of scores.json."""

from collections import defaultdict
from typing import Any

from kgtextvec.stats import mean_over_seeds

PROBE_SCORES = {"ner": "entity_probe", "nli": "inference_probe"}


def card_scores(probe: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return score → by → group → method → metric → {value, interval, n}; n: number of seeds.

    Groups are `all`, and the types of entities or the labels (`by: type`) when there are several.
    The layers' weights in the mix are a score of their own, `…_layers`, `by: layer`.
    """
    numbers: dict[tuple[str, ...], list[float]] = defaultdict(list)
    name = PROBE_SCORES[probe]
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
        into[metric] = mean_over_seeds(values, len(values))
    return found
