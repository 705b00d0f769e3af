"""What people look at: a table's quality, a space's map and notebook, all spaces compared."""

from importlib import import_module
from typing import Any

# A verb's own module alone is imported, and only when the verb is asked for: a quality report
# must not wait for the libraries of a map.
HOMES = {
    "compare_spaces": "compare",
    "compare_spaces_arguments": "compare",
    "draw_map": "map",
    "draw_map_arguments": "map",
    "draw_quality": "quality",
    "draw_quality_arguments": "quality",
    "render_notebook": "notebook",
    "render_notebook_arguments": "notebook",
}


def __getattr__(name: str) -> Any:
    """Return the verb `name` from its module."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
