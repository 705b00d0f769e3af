"""evaluate: what a space's vectors are worth, compared with baselines."""

# Bumped by hand when a verb's results change: in the params of its rule and in its results.
RECIPE = {"mask_texts": 3, "evaluate_space": 7, "predict_links": 3, "collect_scores": 1}
