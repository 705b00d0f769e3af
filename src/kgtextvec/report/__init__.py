"""What people look at: a table's quality, a space's map and notebook, all spaces compared."""

# Bumped when a verb's results change; nothing else in the code causes a rerun.
RECIPE = {
    "draw_quality": 3,
    "draw_map": 2,
    "render_notebook": 3,
    "compare_spaces": 5,
    "draw_index": 2,
}
