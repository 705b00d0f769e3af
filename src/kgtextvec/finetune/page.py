"""The page of a fine-tuning: its losses drawn, its figures told; one offline HTML file."""

import html
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 860, 360
LEFT, RIGHT, TOP, BOTTOM = 60, 30, 20, 50
POINTS = 400  # of a line: more steps are averaged
TICKS = 5
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 900px; margin: 2em auto; padding: 0 1em;
  color: #1a1a1a; background: #fff; }
table { border-collapse: collapse; margin: 1em 0; } th, td { padding: .25em .9em .25em 0;
  text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; } td.n { text-align: right;
  font-variant-numeric: tabular-nums; } svg { width: 100%; height: auto; } svg text { font: 13px
  system-ui, sans-serif; fill: #444; } .grid { stroke: #e4e4e4; } .raw { fill: none; stroke:
  #9dbfe0; stroke-width: 1; } .smooth { fill: none; stroke: #0b559f; stroke-width: 2; }
"""


def render_page(about: dict[str, Any], costs: list[float]) -> str:
    """Return the page; whatever comes from the user is escaped."""
    before, after = about["before"], about["after"]
    measured = "".join(
        f"<tr><td>{name}</td><td class=n>{before[key]:,.2f}</td>"
        f"<td class=n>{after[key]:,.2f}</td></tr>"
        for name, key in (
            ("both directions", "average"),
            ("forward", "forward"),
            ("backward", "backward"),
        )
    )
    figures = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>"
        for name, value in told(about)
    )
    title = html.escape(f"{about['model']}: fine-tuned from {about['from']}")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title><style>{STYLE}</style></head><body>
<h1>{title}</h1>
<p>{html.escape(verdict(about))}</p>
<table><tr><th>perplexity of held-out text</th><th>before</th><th>after</th></tr>{measured}</table>
<h2>Loss while training</h2>
<p>Mean cost of a word in nats, of both directions, {html.escape(how(about))}. Thin: as it came;
bold: its running mean.</p>
{draw(np.array(costs))}
<table>{figures}</table>
</body></html>
"""


def verdict(about: dict[str, Any]) -> str:
    """Say in a sentence what came of it."""
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


def how(about: dict[str, Any]) -> str:
    """Say which softmax and dropout the losses have."""
    samples = about["settings"]["samples"]
    over = f"over {samples:,} sampled words" if samples else "over the whole vocabulary"
    return f"{over}, with dropout {about['settings']['dropout']:g}"


def told(about: dict[str, Any]) -> list[tuple[str, str]]:
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


def draw(costs: NDArray[np.float64]) -> str:
    """Return the curve of the costs, one a step, as SVG."""
    steps, raw = binned(costs)
    smooth = running_mean(raw, len(raw) // 40)
    low, high = float(raw.min()), float(raw.max())
    margin = 0.05 * (high - low) or 0.5
    low, high = max(low - margin, 0.0), high + margin

    def x(step: Any) -> Any:
        return LEFT + (step - 1) / max(len(costs) - 1, 1) * (WIDTH - LEFT - RIGHT)

    def y(cost: Any) -> Any:
        return TOP + (high - cost) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for cost in round_numbers(low, high):
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(cost):.1f}"'
            f' y2="{y(cost):.1f}"/><text x="{LEFT - 8}" y="{y(cost) + 4:.1f}" text-anchor="end">'
            f"{cost:g}</text>"
        )
    for step in round_numbers(1, max(len(costs), 2)):
        if step == round(step):
            parts.append(
                f'<text x="{x(step):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">'
                f"{round(step):,}</text>"
            )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">step</text>'
    )
    for kind, values in (("raw", raw), ("smooth", smooth)):
        at = " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in zip(steps, values, strict=True))
        parts.append(f'<polyline class="{kind}" points="{at}"/>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="loss by step">'
        f"{''.join(parts)}</svg>"
    )


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


def round_numbers(low: float, high: float) -> list[float]:
    """Return some round numbers from low to high, evenly apart."""
    rough = (high - low) / TICKS
    unit = 10.0 ** np.floor(np.log10(rough))
    apart = next(float(unit * k) for k in (1, 2, 5, 10) if unit * k >= rough)
    return [round(i * apart, 10) for i in range(int(np.ceil(low / apart)), int(high / apart) + 1)]
