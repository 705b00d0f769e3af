"""Draw the pictures of the last runs in benchmarks/results.json.

    python -m benchmarks.plots

throughput.svg, from `lengths`: throughput against the length of texts, and what many short texts
cost; a line per precision. e2e.svg, from `e2e`: time from start to finish against the number of
texts, the product and the script of thirty lines.
"""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.bench_lengths import MODEL

HERE = Path(__file__).parent
COLOURS = {"float32": "#1b6ca8", "bfloat16": "#c8553d"}
SIDES = {"ours": "kgtextvec", "theirs": "script of 30 lines"}
E2E_COLOURS = {"ours": "#1b6ca8", "theirs": "#c8553d"}
# kind of rows, x, y, scale of y, title, x label
PANELS = (
    ("length", "tokens_a_text", "tokens_per_second", "linear", "tokens a second", "tokens a text"),
    ("length", "tokens_a_text", "texts_per_second", "log", "texts a second", "tokens a text"),
    ("names", "texts", "seconds", "log", "seconds for short names", "number of texts"),
)


def draw(run: list[dict[str, Any]], out: Path) -> None:
    """Draw a run's rows as three panels; the file's bytes depend on the rows alone."""
    mpl.use("svg")
    settings = {"svg.hashsalt": "kgtextvec", "font.size": 9, "svg.fonttype": "none"}
    with mpl.rc_context(settings):
        figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.3), layout="constrained")
        for ax, (kind, x, y, scale, title, label) in zip(axes, PANELS, strict=True):
            rows = [row for row in run if row["kind"] == kind]
            for precision, colour in COLOURS.items():
                points = [(row[x], row[y]) for row in rows if row["precision"] == precision]
                line(ax, sorted(points), precision, colour)
            ax.set(title=title, xlabel=label, xscale="log", yscale=scale)
            plain_numbers(ax, sorted({row[x] for row in rows}))
        axes[0].set(ylim=(0, None))
        axes[0].legend(frameon=False, loc="lower left")
        figure.suptitle(f"{MODEL}, one thread, CPU time", fontsize=9)
        figure.savefig(out, metadata={"Date": None})
        plt.close(figure)


def line(ax: Axes, points: list[tuple[float, float]], name: str, colour: str) -> None:
    """Draw one precision's points, joined."""
    ax.plot(*zip(*points, strict=True), "o-", color=colour, markersize=3.5, label=name)


def plain_numbers(ax: Axes, ticks: list[float]) -> None:
    """Write numbers in full, and ticks where there are measurements; no frame."""
    ax.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    ax.minorticks_off()
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    ax.grid(axis="y", alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)


def draw_e2e(run: list[dict[str, Any]], out: Path = HERE / "e2e.svg") -> None:
    """Draw wall and CPU seconds of both sides; the file's bytes depend on the rows alone.

    Draws nothing before there are pairs with both.
    """
    if not {"e2e wall", "e2e cpu"} <= {row.get("kind") for row in run}:
        return
    mpl.use("svg")
    settings = {"svg.hashsalt": "kgtextvec", "font.size": 9, "svg.fonttype": "none"}
    with mpl.rc_context(settings):
        figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.3), layout="constrained", sharey=True)
        for ax, what in zip(axes, ("wall", "cpu"), strict=True):
            rows = [row for row in run if row.get("kind") == f"e2e {what}"]
            for side, name in SIDES.items():
                points = sorted((row["texts"], row[side]) for row in rows)
                line(ax, points, name, E2E_COLOURS[side])
            title = {"wall": "seconds", "cpu": "CPU seconds, all processes"}[what]
            ax.set(title=title, xlabel="number of texts", xscale="log", yscale="log")
            plain_numbers(ax, sorted({row["texts"] for row in rows}))
        axes[0].legend(frameon=False, loc="upper left")
        figure.suptitle(run[0]["processor"], fontsize=9)
        figure.savefig(out, metadata={"Date": None})
        plt.close(figure)


def main() -> None:
    """Draw what results.json holds."""
    results = json.loads((HERE / "results.json").read_text("utf-8"))
    pictures = {"lengths": (draw, "throughput.svg"), "e2e": (draw_e2e, "e2e.svg")}
    for benchmark, (picture, name) in pictures.items():
        run = [row for row in results if row["benchmark"] == benchmark]
        if run and "processor" in run[-1]:  # the last one that was measured
            run = [row for row in run if row["processor"] == run[-1]["processor"]]
        if run:
            picture(run, HERE / name)
            print(f"written to {HERE / name}")
        else:
            print(f"{name}: not drawn, no run yet: python -m benchmarks {benchmark} --full")


if __name__ == "__main__":
    main()
