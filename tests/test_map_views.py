"""What leaves the map page: a link to the view, the view as PNG and SVG, names of points in it."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from map_browser import opened, still
from map_space import HOSTILE, LABELS, read_page, write_space
from playwright.sync_api import Browser, Page

from kgtextvec.pages.theme import GROUP_COLOURS, group_colour
from kgtextvec.report.map import draw_map
from kgtextvec.report.map.colouring import colour_by_names
from kgtextvec.report.map.picture import picture_of
from kgtextvec.settings.spaces import MapLayout

pytestmark = pytest.mark.slow

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def map_page(browser: Browser, mapped_space: Path) -> Iterator[Page]:
    """The map of a small space; afterwards: no message."""
    page, seen = opened(browser, mapped_space / "map.html")
    yield page
    assert seen.told == []
    page.context.close()


def saved(page: Page, button: str, tmp_path: Path) -> Path:
    with page.expect_download() as waiting:
        page.locator(button).click()
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def test_a_view_saved_as_svg_has_all_points_in_their_colours_and_names(
    map_page: Page, tmp_path: Path
) -> None:
    root = ET.fromstring(saved(map_page, "#save-svg", tmp_path).read_text("utf-8"))  # noqa: S314
    points = root.findall(f"{SVG}path")
    assert len(points) == 120
    fills = [point.get("fill") for point in points]
    assert {fill: fills.count(fill) for fill in fills} == {
        group_colour(code).light: 30 for code in range(len(LABELS))
    }
    names = {text.text for text in root.findall(f"{SVG}text")}
    known = {*LABELS, *(f"entity {i}" for i in range(120))}
    assert {*LABELS} < names and len(names & known) > len(LABELS) + 8
    # Hostile names are text and nothing else.
    assert names - known <= {name if len(name) <= 30 else f"{name[:29]}…" for name in HOSTILE}


def test_zooming_in_shows_the_names_of_most_points(map_page: Page, tmp_path: Path) -> None:
    map_page.evaluate(
        "() => { const app = kgtextvecMap;"
        " const [x, y] = app.world(app.data.ids.indexOf('T:0057')); app.camera.show(x, y, 12); }"
    )
    still(map_page)
    root = ET.fromstring(saved(map_page, "#save-svg", tmp_path).read_text("utf-8"))  # noqa: S314
    points, names = (len(root.findall(f"{SVG}{kind}")) for kind in ("path", "text"))
    assert points >= 3 and names >= 0.6 * points


def test_names_do_not_overlap(map_page: Page, tmp_path: Path) -> None:
    root = ET.fromstring(saved(map_page, "#save-svg", tmp_path).read_text("utf-8"))  # noqa: S314
    boxes = []
    for text in root.findall(f"{SVG}text"):
        x, y, wide = float(text.get("x")), float(text.get("y")), 5.5 * len(text.text)
        start = {"start": x, "middle": x - wide / 2, "end": x - wide}[text.get("text-anchor")]
        boxes.append((start, y - 6, start + wide, y + 6))
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            apart = one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3]
            assert apart or other[1] >= one[3], (one, other)


def test_a_view_saved_as_png_is_the_picture_on_the_screen(map_page: Page, tmp_path: Path) -> None:
    from matplotlib.image import imread

    picture = imread(saved(map_page, "#save-png", tmp_path))
    box = map_page.locator("#points").bounding_box()
    assert picture.shape[:2] == (round(box["height"]), round(box["width"]))
    flat = (picture[..., :3] * 255).round().astype(int).reshape(-1, 3)
    assert len({tuple(pixel) for pixel in flat.tolist()}) > 50, "points and names, not one colour"


def test_a_link_leads_to_the_same_view(browser: Browser, map_page: Page) -> None:
    map_page.locator("#layouts button", has_text="UMAP").click()
    map_page.locator("#columns").select_option(label="resource")
    map_page.locator("#legend .row", has_text="B").click()
    map_page.evaluate("kgtextvecMap.pick(kgtextvecMap.data.ids.indexOf('T:0057'), {fly: true})")
    still(map_page)
    map_page.locator("#copy-link").click()
    link = map_page.evaluate("navigator.clipboard.readText()")
    view = (
        "() => { const { layout, column, picked, camera, hidden } = kgtextvecMap;"
        " return [layout, column, picked, [...hidden[column]], camera.x.toFixed(3),"
        " camera.y.toFixed(3), camera.zoom.toFixed(2)]; }"
    )
    wanted = map_page.evaluate(view)
    assert wanted[0] == 1 and wanted[2] >= 0 and len(wanted[3]) == 1
    other = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    other.goto(link)
    other.wait_for_selector("html[data-ready]")
    still(other)
    assert other.evaluate(view) == wanted
    # The address follows the view, and one that names nothing known changes nothing.
    other.evaluate("location.hash = 'layout=none&colour=none&pick=nobody&zoom=x'")
    still(other)
    assert other.evaluate(view) == wanted
    other.context.close()


@pytest.fixture(scope="module")
def many_labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A space of 60 labels, `Label 00` the most frequent, and its map."""
    labels = [f"Label {i:02d}" for i in range(60) for _ in range(11 - i // 10)]
    folder = write_space(tmp_path_factory.mktemp("labels"), n=len(labels))
    index = pq.read_table(folder / "index.parquet")
    place = index.column_names.index("label")
    pq.write_table(index.set_column(place, "label", pa.array(labels)), folder / "index.parquet")
    draw_map(folder, layout=MapLayout(layouts=("tsne",)))
    return folder


@pytest.mark.parametrize("width", [400, 1440])
def test_a_legend_of_60_labels_can_be_read_and_searched(
    browser: Browser, many_labels: Path, width: int
) -> None:
    page, seen = opened(browser, many_labels / "map.html")
    page.set_viewport_size({"width": width, "height": 900})
    rows = page.locator("#legend li")
    boxes = [row.bounding_box() for row in rows.all()]
    assert len(boxes) == 60
    for above, below in pairwise(boxes):
        assert above["y"] + above["height"] <= below["y"] + 0.5
        assert above["x"] >= 0 and above["x"] + above["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    looks = {
        (row.get_attribute("fill"), row.get_attribute("d"))
        for row in page.locator("#legend svg path").all()
    }
    assert len(looks) == 60
    rows.last.scroll_into_view_if_needed()
    assert rows.last.locator(".name").inner_text() == "Label 59"
    page.get_by_label("Find a group").fill("label 5")
    assert [row.inner_text().split("\n")[0] for row in rows.all() if row.is_visible()] == [
        f"Label {code}" for code in range(50, 60)
    ]
    assert page.evaluate("kgtextvecMap.countShown()") == 510, "the filter hides no points"
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.locator('#legend .row[aria-pressed="false"]').inner_text().startswith("Label 51")
    assert seen.told == []
    page.context.close()


def test_the_picture_lists_60_labels_without_overlap() -> None:
    column = colour_by_names("label", [f"Label {i % 60:02d}" for i in range(300)])
    places = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    figure = picture_of("Title", "facts", "note", {"tsne": places, "umap": places}, column)
    figure.canvas.draw()
    pen, width, height = figure.canvas.get_renderer(), *figure.canvas.get_width_height()
    texts = [text for axes in figure.axes[2:] for text in axes.texts if text.get_text()]
    assert {f"Label {i:02d}" for i in range(60)} < {text.get_text() for text in texts}
    boxes = [text.get_window_extent(pen) for text in texts]
    for i, box in enumerate(boxes):
        assert min(box.x0, box.y0) >= 0 and box.x1 <= width and box.y1 <= height
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_the_notebook_has_the_colours_and_shapes_of_the_map(many_labels: Path) -> None:
    """60 labels: the eight colours of the theme with each of eight shapes, in turn."""
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "kgtextvec", "render-notebook", str(many_labels)]
    # By itself: Playwright has an event loop in this process.
    subprocess.run(
        [
            *(*command, "--template", str(root / "workflow/notebooks/explore.ipynb")),
            *("--out-notebook", str(many_labels / "explore.ipynb")),
            *("--out-html", str(many_labels / "explore.html")),
        ],
        check=True,
        env=os.environ | {"PYTHONPATH": str(root / "src")},
    )
    plotly = "application/vnd.plotly.v1+json"
    cells = json.loads((many_labels / "explore.ipynb").read_text("utf-8"))["cells"]
    (figure,) = (
        output["data"][plotly]
        for cell in cells
        if "def styles" in "".join(cell["source"])
        for output in cell["outputs"]
        if plotly in output.get("data", {})
    )
    shapes = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "x", "star")
    assert {
        trace["name"]: (trace["marker"]["color"], trace["marker"]["symbol"])
        for trace in figure["data"]
    } == {
        f"Label {code:02d}": (GROUP_COLOURS[code % 8].light, shapes[(code + code // 8) % 8])
        for code in range(60)
    }
    on_map = read_page(many_labels / "map.html")["about"]["columns"][0]
    assert on_map["groups"] == [f"Label {code:02d}" for code in range(60)]
    assert on_map["colours"]["light"] == [GROUP_COLOURS[code % 8].light for code in range(60)]
    assert on_map["shapes"] == [(code + code // 8) % 8 for code in range(60)]
