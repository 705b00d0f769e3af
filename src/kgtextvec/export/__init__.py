"""The export step: a space's vectors in the forms that other programs read."""

# Bumped by hand when a verb's results change: in the params of its rule.
RECIPE = {
    "export_table": 1,
    "export_bundle": 1,
    "export_aligned": 2,
    "export_biomedgps": 1,
    "export_entity2d": 1,
    "write_loaders": 1,
}
