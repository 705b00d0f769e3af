"""Models: get their files, unpack them, check them and save them as safetensors.

The only step that uses the network. docs/models.md describes the sources.
"""

# Bumped by hand when a verb's results change: in the params of its rule.
RECIPE = {"download_model": 2, "unpack_model": 2, "convert_model": 2}
