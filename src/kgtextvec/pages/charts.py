"""Charts: one style for all figures, and SVG that takes the colours of the page it is part of."""

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kgtextvec.pages.theme import COLOURS, CSS_COLOURS

if TYPE_CHECKING:
    from markupsafe import Markup

# Shapes of groups, in the order of the page's own (theme.SHAPES).
MARKERS = ("o", "s", "^", "D", "P", "v", "X", "*")
PLOTLY_MARKERS = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "x",
    "star",
)
INK, SOFT, LINE, GROUND = (COLOURS[name].light for name in ("ink", "soft", "line", "ground"))
# Colours of a chart that follow the page: #rrggbb for a light ground -> CSS variable.
PAGE_COLOURS = {
    CSS_COLOURS[name].light: name
    for name in CSS_COLOURS
    if name in ("ink", "soft", "line", "ground", "other") or name.startswith("group-")
}
AXES = {
    "axes.axisbelow": True,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.color": SOFT,
    "ytick.labelcolor": INK,
}


@contextmanager
def figure_style(salt: str, **settings: Any) -> Iterator[None]:
    """Set matplotlib's style for a while; `salt` decides the ids in an SVG.

    The same numbers give the same bytes. `settings` are further rc parameters.
    """
    import matplotlib as mpl

    style = {
        "font.family": "sans-serif",
        "font.size": 9,
        "svg.fonttype": "path",
        "svg.hashsalt": salt,
        "text.color": INK,
        "text.parse_math": False,
    }
    with mpl.rc_context(style | settings), warnings.catch_warnings():
        # A character that the font lacks is drawn as a box; that is no reason to fail.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield


def draw_chart(draw: Callable[[Any], None], height: float, salt: str, width: float = 9) -> "Markup":
    """Return what `draw` draws on a figure of that size (inches) as SVG for a page.

    `salt` keeps its ids apart from those of the page's other charts.
    """
    from markupsafe import Markup
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    written = io.StringIO()
    with figure_style(salt, **AXES):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    return Markup(inline_svg(written.getvalue(), salt))  # noqa: S704


def inline_svg(svg: str, salt: str) -> str:
    """Make an SVG file part of a page: no prologue, ids of its own, the page's colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(
        r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL
    )
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{salt}-", svg)
    for colour, name in PAGE_COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    return svg
