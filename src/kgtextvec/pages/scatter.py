"""Scatter plots of plotly as pictures of a page, without the library: it has 4.8 MB of script.

Names show when a point is pointed at, and a group hides when its box in the legend is cleared, both
without a script.
"""

import base64
import html
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.pages import render_template

if TYPE_CHECKING:
    from markupsafe import Markup

SCATTER_KINDS = ("scatter", "scattergl")
WIDTH, HEIGHT, TOP, MARGIN = 1000, 560, 40, 10  # of the picture, without a unit
PANEL_MARGIN = 0.04  # of a panel, on each side of its points
# Outlines around (0, 0), drawn at size 2: half a width is 1.
OUTLINES = {
    "circle": "M-1 0a1 1 0 1 0 2 0a1 1 0 1 0-2 0z",
    "square": "M-.9-.9h1.8v1.8h-1.8z",
    "triangle-up": "M0-1.15 1.1.8h-2.2z",
    "diamond": "M0-1.25 1.25 0 0 1.25-1.25 0z",
    "cross": "M-.4-1.2h.8v.8h.8v.8h-.8v.8h-.8v-.8h-.8v-.8h.8z",
    "triangle-down": "M0 1.15-1.1-.8h2.2z",
    "x": "M.57-1.13l.56.56-.56.57.56.57-.56.56-.57-.56-.57.56-.56-.56.56-.57-.56-.57.56-.56.57.56z",
    "star": "M0-1.35.35-.49 1.28-.42.57.19.79 1.09 0 .6-.79 1.09-.57.19-1.28-.42-.35-.49z",
}


def draw_scatter(figure: dict[str, Any], name: str) -> "Markup | None":
    """Draw a figure in plotly's JSON; None if it holds anything but points of one look a trace.

    `name` makes ids of the page: letters, digits and hyphens. A panel is drawn for each pair of
    axes, in the place that the layout gives its x axis, and scaled to its points. Texts are
    plotly's: their markup is dropped.
    """
    from markupsafe import Markup

    traces = figure.get("data", [])
    if not traces or not all(map(is_drawable, traces)):
        return None
    layout = figure.get("layout", {})
    height = int(layout.get("height") or HEIGHT)
    panels: dict[str, list[int]] = {}
    for i, trace in enumerate(traces):
        panels.setdefault(trace.get("xaxis") or "x", []).append(i)
    places: dict[int, list[dict[str, Any]]] = {}
    for axis, members in panels.items():
        left, right = layout.get(f"xaxis{axis[1:]}", {}).get("domain", (0, 1))
        xs = scaled([numbers(traces[i]["x"]) for i in members], left * WIDTH, right * WIDTH)
        ys = scaled([numbers(traces[i]["y"]) for i in members], height - MARGIN, TOP)
        for i, x, y in zip(members, xs, ys, strict=True):
            words = traces[i].get("hovertext") or [""] * len(x)
            places[i] = [
                {"x": f"{a:.1f}", "y": f"{b:.1f}", "words": without_markup(word)}
                for a, b, word in zip(x, y, words, strict=True)
                if np.isfinite(a) and np.isfinite(b)
            ]
    groups: dict[str, Any] = {}
    for trace in traces:
        groups.setdefault(str(trace.get("name", "")), trace["marker"])
    numbered = {group: i for i, group in enumerate(groups)}
    return Markup(  # noqa: S704
        render_template(
            "pages/templates/scatter.html",
            name=name,
            width=WIDTH,
            height=height,
            outlines=OUTLINES,
            legend=layout.get("legend", {}).get("title", {}).get("text", ""),
            groups=[
                {"number": i, "name": without_markup(group), "marker": groups[group]}
                for group, i in numbered.items()
            ],
            traces=[
                {
                    "group": numbered[str(trace.get("name", ""))],
                    "marker": trace["marker"],
                    "points": places[i],
                }
                for i, trace in enumerate(traces)
            ],
            titles=[
                {"x": round(note["x"] * WIDTH), "words": without_markup(note["text"])}
                for note in layout.get("annotations", [])
            ],
        )
    )


def is_drawable(trace: dict[str, Any]) -> bool:
    """Return whether a trace is points with one colour, size and shape that is known here."""
    marker = trace.get("marker", {})
    words = trace.get("hovertext")
    return (
        trace.get("type") in SCATTER_KINDS
        and trace.get("mode") == "markers"
        and isinstance(marker.get("color"), str)
        and re.fullmatch(r"#[0-9a-fA-F]{6}", marker["color"]) is not None
        and isinstance(marker.get("size"), int | float)
        and isinstance(marker.get("opacity"), int | float)
        and marker.get("symbol") in OUTLINES
        and (words is None or isinstance(words, list))
        and "x" in trace
        and "y" in trace
    )


def numbers(values: Any) -> NDArray[np.float64]:
    """Return the (n,) numbers of a trace: a list, or plotly's base64 of an array."""
    if isinstance(values, dict):
        values = np.frombuffer(base64.b64decode(values["bdata"]), np.dtype(values["dtype"]))
    return np.asarray(values, dtype=np.float64)


def scaled(parts: list[NDArray[np.float64]], start: float, end: float) -> list[NDArray[np.float64]]:
    """Scale all numbers of a panel to a range, from their least to their largest, and a margin."""
    together = np.concatenate(parts)
    together = together[np.isfinite(together)]
    low, high = (together.min(), together.max()) if len(together) else (0.0, 1.0)
    reach = (high - low) or 1.0
    middle = (low + high) / 2
    width = (end - start) * (1 - 2 * PANEL_MARGIN)
    return [(part - middle) / reach * width + (start + end) / 2 for part in parts]


def without_markup(text: object) -> str:
    """Return a text of plotly without its markup, lines kept."""
    lines = re.sub(r"<br\s*/?>", "\n", str(text))
    return html.unescape(re.sub(r"</?[a-z]+>", "", lines))
