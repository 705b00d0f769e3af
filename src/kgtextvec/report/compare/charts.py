"""The charts of the compare page: the headline of each space, by dims and by cost."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from kgtextvec.pages.charts import GROUND, INK, LINE, MARKERS, SOFT, draw_chart
from kgtextvec.pages.numbers import format_bytes, format_rate, format_score
from kgtextvec.pages.theme import GROUP_COLOURS, OTHERS_COLOUR, group_colour, group_shape
from kgtextvec.report.compare.scores import ComparedSpace, ScoreValue, baselines_of
from kgtextvec.report.compare.verdict import Headline

if TYPE_CHECKING:
    from markupsafe import Markup

FEWEST_TICKS = 3
WIDTH = 5.2  # inches: letters stay readable where a page is 400 pixels wide
LINES = ("TF-IDF of words", "popularity", "most common label")  # after the strongest baseline
AROUND = 1.6  # room around the points on a logarithmic axis
APART = 1.12  # from the first to the last of the points that stand at one place
Pick = Callable[[ComparedSpace], float | None]


def draw_bars(spaces: Sequence[ComparedSpace], asked: Headline, salt: str) -> "Markup":
    """Draw the headline of each space and of each baseline as bars with intervals, best first."""
    own = [(space.name, found) for space in spaces if (found := asked.of(space))]
    own.sort(key=lambda one: (-one[1].value, one[0]))
    baselines = [
        (name, found[asked.metric])
        for name, found in baselines_of(spaces, asked.score, [asked.metric])
    ]
    bars = [
        *((*one, GROUP_COLOURS[0].light) for one in own),
        *((*one, OTHERS_COLOUR.light) for one in baselines),
    ]

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for place, (_, found, colour) in enumerate(bars):
            axes.barh(place, found.value, height=0.68, color=colour)
            whiskers(axes, found.value, place, found, across=True)
            end = found.value if found.high is None else found.high
            axes.annotate(
                format_score(found.value),
                (end, place),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
            )
        axes.set_yticks(range(len(bars)), [name for name, _, _ in bars])
        axes.set_ylim(len(bars) - 0.4, -0.6)
        axes.set_xlim(0, max(1e-9, *(found.high or found.value for _, found, _ in bars)) * 1.1)
        axes.set_xlabel(f"{asked.name}, with 95 % intervals")
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=LINE, linewidth=0.6)

    return draw_chart(draw, 0.7 + 0.25 * len(bars), salt, WIDTH)


def draw_dims(
    spaces: Sequence[ComparedSpace], asked: Headline, colours: dict[str, int], salt: str
) -> "Markup":
    """Draw the headline by dims: a line per model, horizontal lines for baselines."""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        draw_points(axes, spaces, asked, colours, lambda space: space.dims, joined=True)
        by_method: dict[str, ScoreValue] = {}
        for name, found in baselines_of(spaces, asked.score, [asked.metric]):
            by_method.setdefault(name.split(",")[0], found[asked.metric])
        strongest = max(by_method, key=lambda name: by_method[name].value, default="")
        lines = [strongest, *(name for name in LINES if name != strongest)]
        lines = [name for name in lines if name in by_method]
        for name, style in zip(lines, ("--", ":", "-."), strict=False):
            value = by_method[name].value
            axes.axhline(value, color=SOFT, linestyle=style, linewidth=1.2, label=name, zorder=1)
        dims = [float(space.dims) for space in spaces if space.dims and asked.of(space)]
        log_axis(axes, dims, spread_out(sorted(set(dims)), 0.065), lambda n: f"{n:,.0f}")
        axes.set_xlabel("dims")
        axes.set_ylabel(asked.name)
        draw_legend_below(figure)

    return draw_chart(draw, 3.2 + legend_height(colours), salt, WIDTH)


def draw_cost(
    spaces: Sequence[ComparedSpace], asked: Headline, colours: dict[str, int], salt: str
) -> "Markup":
    """Draw the headline by cost: texts per second (where measured) and bytes of the vectors."""
    panels: list[tuple[str, Pick, Callable[[float], str]]] = [
        ("texts per second (more is cheaper)", lambda space: space.speed, format_rate),
        ("bytes of the vectors (fewer is cheaper)", lambda space: space.n_bytes, format_bytes),
    ]

    def draw(figure: Any) -> None:
        axes = figure.subplots(len(shown), 1, sharey=True, squeeze=False)[:, 0]
        for one, (words, pick, written) in zip(axes, shown, strict=True):
            draw_points(one, scored, asked, colours, pick)
            found = [float(value) for space in scored if (value := pick(space))]
            log_axis(one, found, round_numbers(found), written)
            one.set_xlabel(words)
            one.set_ylabel(asked.name)
        draw_legend_below(figure)

    scored = [space for space in spaces if asked.of(space)]
    shown = [panel for panel in panels if any(map(panel[1], scored))]
    height = 2.6 * len(shown) + legend_height(colours)
    return draw_chart(draw, height, salt, WIDTH)


def draw_points(
    axes: Any,
    spaces: Sequence[ComparedSpace],
    asked: Headline,
    colours: dict[str, int],
    pick: Pick,
    joined: bool = False,
) -> None:
    """Draw a point per space at (pick, headline): filled for full spaces, hollow for reduced.

    Each is moved a little along x, by its place in the list, so that no interval hides another.
    """
    for model in dict.fromkeys(space.model for space in spaces):
        number = colours[model]
        colour, marker = group_colour(number).light, MARKERS[group_shape(number)]
        points = sorted(
            (
                (
                    float(x) * APART ** ((place + 0.5) / len(spaces) - 0.5),
                    *(found.value, space.space != "full", found),
                )
                for place, space in enumerate(spaces)
                if space.model == model and (x := pick(space)) and (found := asked.of(space))
            ),
            key=lambda point: point[:3],
        )
        if joined:
            axes.plot([p[0] for p in points], [p[1] for p in points], color=colour, linewidth=1.2)
        for x, y, reduced, found in points:
            whiskers(axes, x, y, found, across=False, colour=colour)
            face = GROUND if reduced else colour
            axes.plot(
                x, y, marker=marker, markersize=6.5, markeredgecolor=colour, markerfacecolor=face,
                linestyle="none", zorder=4,
            )  # fmt: skip
        if points:
            axes.plot([], [], marker=marker, markersize=6.5, color=colour, label=model)
    axes.grid(color=LINE, linewidth=0.6)


def whiskers(
    axes: Any, x: float, y: float, found: ScoreValue, across: bool, colour: str = INK
) -> None:
    """Draw a number's interval, if it has one, through (x, y)."""
    if found.low is None or found.high is None:
        return
    style = {"color": colour, "linewidth": 1.1, "zorder": 3}
    if across:
        axes.plot([found.low, found.high], [y, y], **style)
        for end in (found.low, found.high):
            axes.plot([end, end], [y - 0.16, y + 0.16], **style)
    else:
        axes.plot([x, x], [found.low, found.high], marker="_", markersize=5, **style)


def log_axis(
    axes: Any, values: Sequence[float], ticks: Sequence[float], written: Callable[[float], str]
) -> None:
    """Make x logarithmic around `values` (all above 0), with `ticks` written as asked."""
    axes.set_xscale("log")
    axes.set_xlim(min(values) / AROUND, max(values) * AROUND)
    axes.set_xticks(ticks, [written(tick) for tick in ticks])
    axes.set_xticks([], minor=True)


def spread_out(values: Sequence[float], share: float) -> list[float]:
    """Return those of rising `values` that are `share` of their (log) range apart."""
    kept: list[float] = []
    for value in values:
        if not kept or value / kept[-1] > (values[-1] / values[0]) ** share:
            kept.append(value)
    return kept


def round_numbers(values: Sequence[float]) -> list[float]:
    """Return round numbers around `values`: as many of each power of ten as make a scale."""
    low, high = min(values) / AROUND, max(values) * AROUND
    found: list[float] = []
    for steps in ((1.0,), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)):
        every = [step * 10.0**power for power in range(-3, 16) for step in steps]
        found = [value for value in every if low <= value <= high]
        if len(found) >= FEWEST_TICKS:
            break
    return spread_out(found, 0.2) if len(found) > FEWEST_TICKS else found


def legend_height(colours: dict[str, int]) -> float:
    """Return the inches that a legend of all models and baselines takes."""
    return 0.2 * (len(colours) + 1 + len(LINES))


def draw_legend_below(figure: Any) -> None:
    """List models and baselines once, below the charts."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    for axes in figure.axes[1:]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles, labels = [*handles, handle], [*labels, label]
    figure.legend(handles, labels, loc="outside lower left", frameon=False, fontsize=8.5)
