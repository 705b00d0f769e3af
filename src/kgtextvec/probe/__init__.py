"""probe: what a model's word vectors know, asked by small models trained on top of them."""

# Bumped by hand when a verb's results change: in the params of its rule and in its results.
RECIPE = {"cache_tokens": 1, "probe_model": 2}
PROBE_PACKAGES = ("numpy", "torch", "transformers", "nervaluate")  # their versions are recorded
