"""The map as a picture for papers: both layouts side by side, a legend with counts."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.pages.charts import LINE, MARKERS, SOFT, figure_style
from kgtextvec.report.map.colouring import Colouring, name_places
from kgtextvec.report.map.page import LAYOUT_NAMES, shorten

AREAS = (1.0, 0.85, 1.0, 0.75, 1.15, 1.0, 1.15, 1.5)  # so that shapes look equally heavy
ENTRIES_PER_COLUMN = 24  # of the legend
COLUMN_WIDTH = 2.35  # inches
AS_PIXELS_ABOVE = 3000  # points; as shapes they make an SVG of many megabytes


def draw_picture(
    paths: dict[str, Path],
    title: str,
    facts: str,
    note: str,
    positions: dict[str, NDArray[np.float32]],
    column: Colouring,
) -> None:
    """Draw layouts (name -> (n, 2)) coloured by `column` into `paths` (form -> file: png, svg).

    `facts` goes under the title, `note` at the foot. A rerun writes the same bytes.
    """
    with figure_style("kgtextvec"):
        figure = picture_of(title, facts, note, positions, column)
        for kind, path in paths.items():
            metadata = {"Date": None} if kind == "svg" else {"Software": None}
            figure.savefig(path, format=kind, metadata=metadata)


def picture_of(
    title: str,
    facts: str,
    note: str,
    positions: dict[str, NDArray[np.float32]],
    column: Colouring,
) -> Any:
    """Return the figure of `draw_picture`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    entries = legend_entries(column)
    columns = -(-len(entries) // ENTRIES_PER_COLUMN)
    wide = 5.2 * len(positions) + COLUMN_WIDTH * columns
    figure = Figure(figsize=(wide, 5.9), dpi=160, facecolor="white")
    FigureCanvasAgg(figure)
    legend_share = COLUMN_WIDTH * columns / wide
    left, gap, bottom, top = 0.16 / wide, 0.14 / wide, 0.32 / 5.9, 1 - 0.92 / 5.9
    share = (1 - legend_share - left) / len(positions)
    for at, (name, places) in enumerate(positions.items()):
        axes = figure.add_axes((left + at * share, bottom, share - gap, top - bottom))
        draw_layout(axes, places, column)
        axes.set_title(LAYOUT_NAMES[name], loc="left", fontsize=10, color=SOFT, pad=5)
    figure.text(left, 1 - 0.30 / 5.9, shorten(title, 90), fontsize=14, weight="bold")
    figure.text(left, 1 - 0.54 / 5.9, shorten(facts, 150), fontsize=9.5, color=SOFT)
    for number in range(columns):
        some = entries[number * ENTRIES_PER_COLUMN : (number + 1) * ENTRIES_PER_COLUMN]
        box = (
            1 - legend_share + (0.06 + number * COLUMN_WIDTH) / wide,
            (COLUMN_WIDTH - 0.2) / wide,
        )
        draw_legend(figure, some, column, (*box, top), "" if number else column.name)
    if note:
        figure.text(left, 0.10 / 5.9, shorten(note, 190), fontsize=8, color=SOFT)
    return figure


def draw_layout(axes: Any, places: NDArray[np.float32], column: Colouring) -> None:
    """Draw the points of one layout, group by group mixed, and the names of the groups."""
    count = len(places)
    area = float(np.clip(2600 / count**0.75, 0.9, 46))
    # Groups in thin layers, so that none hides another entirely.
    layers = np.random.default_rng(0).integers(0, min(12, 1 + count // 200), count)
    for layer in np.unique(layers):
        for code in np.argsort(column.counts)[::-1]:
            chosen = (column.codes == code) & (layers == layer)
            if not chosen.any():
                continue
            shape = column.shape(int(code))
            axes.scatter(
                *places[chosen].T,
                s=area * AREAS[shape],
                c=column.colour(int(code)).light,
                marker=MARKERS[shape],
                linewidths=0.3 if count < 3000 else 0,
                edgecolors="white",
                alpha=0.9 if count < 3000 else 0.7,
                rasterized=count > AS_PIXELS_ABOVE,
            )
    fit_limits(axes, places)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color(LINE)
    name_groups(axes, places, column)


def fit_limits(axes: Any, places: NDArray[np.float32]) -> None:
    """Set the limits so that all points are in and both axes have one scale."""
    box = axes.get_window_extent()
    low, high = places.min(axis=0), places.max(axis=0)
    middle = (low + high) / 2
    scale = max(*((high - low) / (box.width, box.height)), 1e-9) * 1.08
    axes.set_xlim(middle[0] - box.width * scale / 2, middle[0] + box.width * scale / 2)
    axes.set_ylim(middle[1] - box.height * scale / 2, middle[1] + box.height * scale / 2)


def name_groups(axes: Any, places: NDArray[np.float32], column: Colouring) -> None:
    """Write names where the largest groups are dense, leaving out what would overlap."""
    from matplotlib.patheffects import withStroke

    left, right = axes.get_xlim()
    unit = (right - left) / axes.get_window_extent().width * axes.figure.dpi / 72  # a point
    taken: list[tuple[float, float, float]] = []
    for code, place in enumerate(name_places(places, column)[:20]):
        name = shorten(column.groups[code], 26)
        if place is None or not name:
            continue
        half = 2.9 * unit * len(name)
        x, y = float(np.clip(place[0], left + half, right - half)), place[1]
        if any(abs(x - a) < half + w and abs(y - b) < 12 * unit for a, b, w in taken):
            continue
        taken.append((x, y, half))
        text = axes.text(x, y, name, ha="center", va="center", fontsize=8.5, weight="bold")
        text.set_path_effects([withStroke(linewidth=2.4, foreground="white", alpha=0.85)])


def legend_entries(column: Colouring) -> list[tuple[int, str, int]]:
    """Return (code, name, count) of what the legend lists: all groups."""
    return [
        (code, name or "(empty)", column.counts[code]) for code, name in enumerate(column.groups)
    ]


def draw_legend(
    figure: Any,
    entries: list[tuple[int, str, int]],
    column: Colouring,
    box: tuple[float, float, float],
    title: str,
) -> None:
    """Draw a column of the legend: shape and colour, name, count flush right.

    `box` is left, width and top in shares of the figure.
    """
    left, share, top = box
    axes = figure.add_axes((left, 0, share, top))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    step = 0.21 if len(entries) <= ENTRIES_PER_COLUMN - 4 else 0.19
    height = top * 5.9
    axes.set_ylim(height, 0)
    axes.text(0.0, 0.02, shorten(title, 30), fontsize=9, weight="bold", va="center")
    for place, (code, name, count) in enumerate(entries, start=1):
        y = 0.04 + place * step
        shape = column.shape(code)
        axes.scatter(
            [0.035],
            [y],
            s=38 * AREAS[shape],
            marker=MARKERS[shape],
            c=column.colour(code).light,
            clip_on=False,
        )
        axes.text(0.10, y, shorten(name, 25), fontsize=8.5, va="center")
        axes.text(1.0, y, f"{count:,}", fontsize=8.5, va="center", ha="right", color=SOFT)
