"""What people look at: the quality report of a table, the map and the notebook of a space."""

from importlib import import_module
from typing import Any

# A verb's own module alone is imported, and only when the verb is asked for: a quality report
# must not wait for the libraries of a map.
HOMES = {
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
