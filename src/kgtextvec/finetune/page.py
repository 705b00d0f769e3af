"""The page of a fine-tuning: perplexity before and after, the loss, what the run was."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.pages import render_template
from kgtextvec.pages.charts import LINE, draw_chart
from kgtextvec.pages.theme import GROUP_COLOURS

if TYPE_CHECKING:
    from markupsafe import Markup

POINTS = 400  # of a line: more steps are averaged
DIRECTIONS = {"both directions": "average", "forward": "forward", "backward": "backward"}


def render_finetune_page(about: dict[str, Any], costs: list[float]) -> str:
    """Return the page as one offline HTML text; `costs` has one loss a step."""
    return render_template(
        "finetune/templates/finetune.html",
        title=f"{about['model']}: fine-tuned from {about['from']}",
        summary=perplexity_sentence(about),
        perplexities=[
            (name, about["before"][key], about["after"][key]) for name, key in DIRECTIONS.items()
        ],
        loss=loss_description(about),
        curve=draw_loss_curve(np.array(costs)),
        figures=run_figures(about),
    )


def perplexity_sentence(about: dict[str, Any]) -> str:
    """Return a sentence on the perplexity before and after."""
    before, after = about["before"]["average"], about["after"]["average"]
    if after < before:
        return (
            f"On {about['held_out_sentences']:,} sentences that it did not learn from, the model's"
            f" perplexity fell from {before:,.2f} to {after:,.2f}."
        )
    return (
        f"The perplexity of {about['held_out_sentences']:,} held-out sentences did not fall"
        f" ({before:,.2f} before, {after:,.2f} after): the model learned nothing that helps there."
        " More text, another learning_rate or fewer epochs may."
    )


def loss_description(about: dict[str, Any]) -> str:
    """Return which softmax and dropout the losses have."""
    samples = about["settings"]["samples"]
    over = f"over {samples:,} sampled words" if samples else "over the full vocabulary"
    return f"{over}, with dropout {about['settings']['dropout']:g}"


def run_figures(about: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the figures of the run as (name, value)."""
    settings = about["settings"]
    return [
        ("text", f"{about['text']}: {about['sentences']:,} sentences, {about['words']:,} words"),
        ("words outside the vocabulary", f"{100 * about['unknown_share']:.2f} %"),
        ("held out", f"{about['held_out_sentences']:,} sentences"),
        (
            "steps",
            f"{about['steps']:,} of {settings['batch_size']} x {settings['unroll_steps']} words",
        ),
        ("learning rate", f"{settings['learning_rate']:g}, Adagrad"),
        ("gradients clipped at", f"{settings['clip_norm']:g}"),
        ("speed", f"{about['tokens_per_second']:,.0f} words a second on {about['device']}"),
    ]


def draw_loss_curve(costs: NDArray[np.float64]) -> "Markup":
    """Return the curve of the costs (n_steps,) and of their running mean as SVG."""
    steps, raw = binned(costs)
    smooth = running_mean(raw, len(raw) // 40)

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        colour = GROUP_COLOURS[0].light
        axes.plot(steps, raw, color=colour, alpha=0.45, linewidth=0.8, gid="raw")
        axes.plot(steps, smooth, color=colour, linewidth=1.8, gid="smooth")
        axes.set_ylim(bottom=max(axes.get_ylim()[0], 0))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel("step")
        axes.set_ylabel("nats per word")
        axes.grid(axis="y", color=LINE, linewidth=0.6)

    return draw_chart(draw, 3.8, "loss")


def binned(costs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (steps, costs) of at most POINTS points: means of as many steps each."""
    n = min(len(costs), POINTS)
    edges = np.linspace(0, len(costs), n + 1).astype(np.int64)
    steps = (edges[:-1] + edges[1:] + 1) / 2
    return steps, np.add.reduceat(costs, edges[:-1]) / np.diff(edges)


def running_mean(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Return the mean of each value and its neighbours, `reach` on each side where there are."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    places = np.arange(len(values))
    starts, ends = np.maximum(places - reach, 0), np.minimum(places + reach + 1, len(values))
    means: NDArray[np.float64] = (sums[ends] - sums[starts]) / (ends - starts)
    return means
