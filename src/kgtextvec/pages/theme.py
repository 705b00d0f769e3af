"""The colours of all pages and pictures, each for a light and a dark ground.

`templates/theme.css` makes a CSS variable of each; charts and maps take them from here.
"""

from typing import NamedTuple


class Colour(NamedTuple):
    """A colour as #rrggbb, for a light and for a dark ground."""

    light: str
    dark: str


COLOURS = {
    "ground": Colour("#ffffff", "#16191e"),
    "panel": Colour("#f5f6f8", "#1f242b"),
    "raised": Colour("#ffffff", "#2a2f38"),
    "line": Colour("#d5d9df", "#3a424d"),
    "control": Colour("#7b8494", "#7e8796"),
    "ink": Colour("#1c2128", "#e6e9ed"),
    "soft": Colour("#545d68", "#a9b2bd"),
    "accent": Colour("#0b5cab", "#7db8f2"),
    "on-accent": Colour("#ffffff", "#0d1117"),
    "red": Colour("#a3260f", "#ff9c8a"),
    "amber": Colour("#7a4b00", "#f0c074"),
    "green": Colour("#17653b", "#7fd6a2"),
}
# Chosen by search for the largest least distance in OKLab, seen normally and (Machado et al.
# 2009) without red, green or blue cones; on white, at least 2.4:1.
GROUP_COLOURS = (
    Colour("#0072b2", "#3c69e1"),
    Colour("#ff8700", "#ff8700"),
    Colour("#69b4a5", "#4bc3a5"),
    Colour("#a52d5a", "#966987"),
    Colour("#b487ff", "#a596ff"),
    Colour("#d24b00", "#d24b0f"),
    Colour("#3c1e96", "#87f0ff"),
    Colour("#780f00", "#f0e169"),
)
OTHERS_COLOUR = Colour("#8b919b", "#79818d")
STEP_COLOURS = (
    Colour("#9ecae1", "#2f5f9f"),
    Colour("#6baed6", "#3f7fc4"),
    Colour("#3787c0", "#6aa7e0"),
    Colour("#105ba4", "#a3cdf2"),
    Colour("#082a54", "#eaf4ff"),
)
SHAPES = 8  # circle, square, triangle, diamond, cross, triangle down, x, star
# In a page's CSS the colour NAME is var(--NAME).
CSS_COLOURS = {
    **COLOURS,
    **{f"group-{i}": colour for i, colour in enumerate(GROUP_COLOURS)},
    "other": OTHERS_COLOUR,
}


def group_colour(code: int) -> Colour:
    """Return the colour of group number `code`; they repeat after eight groups."""
    return GROUP_COLOURS[code % len(GROUP_COLOURS)]


def group_shape(code: int) -> int:
    """Return the shape of group number `code`, 0 to 7; with its colour unique among 64 groups."""
    return (code + code // len(GROUP_COLOURS)) % SHAPES
