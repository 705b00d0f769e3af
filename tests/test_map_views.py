"""What leaves the map page: a link to the view, the view as PNG and SVG, names of points in it."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from map_browser import opened, still
from map_space import HOSTILE, LABELS
from playwright.sync_api import Browser, Page

from kgtextvec.pages.theme import group_colour, group_shape

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


def test_the_notebook_has_the_colours_and_shapes_of_the_map(mapped_space: Path) -> None:
    """Four labels: the first four colours of the theme, each with a shape of its own."""
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "kgtextvec", "render-notebook", str(mapped_space)]
    # By itself: Playwright has an event loop in this process.
    subprocess.run(
        [
            *(*command, "--template", str(root / "workflow/notebooks/explore.ipynb")),
            *("--out-notebook", str(mapped_space / "explore.ipynb")),
            *("--out-html", str(mapped_space / "explore.html")),
        ],
        check=True,
        env=os.environ | {"PYTHONPATH": str(root / "src")},
    )
    plotly = "application/vnd.plotly.v1+json"
    cells = json.loads((mapped_space / "explore.ipynb").read_text("utf-8"))["cells"]
    (figure,) = (
        output["data"][plotly]
        for cell in cells
        if "def styles" in "".join(cell["source"])
        for output in cell["outputs"]
        if plotly in output.get("data", {})
    )
    shapes = ("circle", "square", "triangle-up", "diamond", "cross")
    assert {
        trace["name"]: (trace["marker"]["color"], trace["marker"]["symbol"])
        for trace in figure["data"]
    } == {
        label: (group_colour(code).light, shapes[group_shape(code)])
        for code, label in enumerate(sorted(LABELS))  # equally many of each: by name
    }
