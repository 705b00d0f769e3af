"""Scatter plots of plotly as pictures of a page, against what plotly's own figure holds."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
import pytest

from kgtextvec.pages.scatter import draw_scatter


class Points(HTMLParser):
    """The points of a picture: (group, x, y, title) of each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.points: list[list] = []
        self.group, self.in_title = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        found = dict(attributes)
        if tag == "g":
            self.group = found["class"]
        if tag == "use":
            self.points.append([self.group, float(found["x"]), float(found["y"]), ""])
        self.in_title = tag == "title"

    def handle_data(self, data: str) -> None:
        if self.in_title:
            self.points[-1][3] += data
            self.in_title = False


def two_maps(n: int) -> tuple[pd.DataFrame, dict]:
    random = np.random.default_rng(3)
    rows = pd.DataFrame(
        {
            "x": random.normal(size=2 * n),
            "y": random.normal(size=2 * n).astype(np.float32) * 40,
            "map": ["t-SNE"] * n + ["UMAP"] * n,
            "label": random.choice(["Gene", "&lt;i&gt;A &amp; B"], 2 * n),
            "what": [f"&lt;/script&gt; {i}<br>ID:{i}" for i in range(2 * n)],
        }
    )
    figure = px.scatter(
        rows, x="x", y="y", facet_col="map", hover_name="what", color="label", symbol="label",
        color_discrete_sequence=["#0072b2", "#d55e00"], symbol_sequence=["circle", "square"],
    )  # fmt: skip
    figure.update_traces(marker={"size": 6, "opacity": 0.75})
    figure.update_xaxes(matches=None)
    figure.update_yaxes(matches=None)
    return rows, json.loads(figure.to_json())


def test_points_lie_as_in_the_data_with_their_names_and_groups():
    rows, figure = two_maps(40)
    points = Points(draw_scatter(figure, "picture-1")).points
    by_name = {title: (group, x, y) for group, x, y, title in points}
    assert len(points) == len(rows) == len(by_name)
    for name, part in rows.groupby("map"):
        drawn = [by_name[f"</script> {i}\nID:{i}"] for i in part.index]
        # A panel keeps proportions: its coordinates are the data's, scaled and moved (y upwards).
        for values, place, sign in ((part["x"], 1, 1), (part["y"], 2, -1)):
            slope, start = np.polyfit(values, [point[place] for point in drawn], 1)
            assert np.sign(slope) == sign
            fitted = slope * values + start
            np.testing.assert_allclose(fitted, [point[place] for point in drawn], atol=0.06)
        left, right = (0, 500) if name == "t-SNE" else (500, 1000)
        assert all(left < point[1] < right for point in drawn)
        pairs = {(point[0], label) for point, label in zip(drawn, part["label"], strict=True)}
        assert len(pairs) == len({group for group, _ in pairs}) == part["label"].nunique()


def test_words_of_the_data_stay_words():
    text = draw_scatter(two_maps(5)[1], "picture-1")
    assert "&lt;i&gt;A &amp; B" in text and "<i>" not in text and "</script" not in text
    assert not re.findall(r'(?:href|src)="(?!#)', text)


@pytest.mark.parametrize(
    "figure",
    [
        go.Figure(go.Bar(x=[1], y=[2])),
        go.Figure(go.Scatter(x=[1, 2], y=[2, 3], mode="lines")),
        go.Figure(go.Scatter(x=[1], y=[2], mode="markers", marker={"color": [3.0]})),
        go.Figure(),
    ],
)
def test_other_figures_are_left_to_plotly(figure):
    assert draw_scatter(json.loads(figure.to_json()), "picture-1") is None


def test_one_point_alone_and_numbers_that_are_missing():
    marker = {"color": "#0072b2", "size": 4, "opacity": 1, "symbol": "cross"}
    trace = {"type": "scatter", "mode": "markers", "marker": marker, "x": [3, None], "y": [1, 2]}
    ((_, x, y, title),) = Points(draw_scatter({"data": [trace]}, "p")).points
    assert 0 < x < 1000 and 0 < y < 560 and title == ""
