"""Models: get their files, unpack them, check them and save them as safetensors.

The only step that uses the network. docs/models.md describes the sources.
"""

# Bumped by hand when a verb's results change: in the params of its rule.
RECIPE = {"convert_model": 1}
