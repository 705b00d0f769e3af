"""The map page in a real browser: contrast, messages where it can't be drawn, 150,000 points."""

import time
from pathlib import Path

import numpy as np
import pytest
from map_browser import opened, picture, place, still
from playwright.sync_api import Browser

from kgtextvec.report.map.colouring import colour_by_names
from kgtextvec.report.map.page import MapData, render_map_page

pytestmark = pytest.mark.slow

NAME = "entity 57"


CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => colour.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!(own || element.matches("input")) || !element.checkVisibility({ opacityProperty: true }) ||
        element.closest(".quiet, noscript, script, option")) continue;
    let ground = element;
    while (ground && rgba(getComputedStyle(ground).backgroundColor)[3] < 255) {
      ground = ground.parentElement;
    }
    const [a, b] = [getComputedStyle(element).color,
      getComputedStyle(ground ?? document.documentElement).backgroundColor].map(rgba).map(light);
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05),
      `${element.tagName} ${element.id || element.className}: ${element.textContent.slice(0, 9)}`]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(
    browser: Browser, mapped_space: Path, scheme: str
) -> None:
    page, seen = opened(browser, mapped_space / "map.html", color_scheme=scheme)
    page.locator("#legend .row").first.click()
    page.locator("#select-visible").click()
    page.mouse.click(*place(page, NAME))
    page.mouse.move(*place(page, "entity 58"))
    page.evaluate("document.getElementById('tooltip').hidden = false")
    page.locator("#search").fill("entity")
    found = page.evaluate(CONTRAST)
    page.locator("#search").fill("")
    page.get_by_role("button", name="Keys and help").click()
    found += page.evaluate(CONTRAST)
    assert len(found) > 60
    assert [one for one in found if one[0] < 4.5] == []
    page.keyboard.press("Escape")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != ground
    assert seen.told == []
    page.context.close()


def test_a_browser_without_webgl_or_javascript_gets_a_message(
    browser: Browser, mapped_space: Path
) -> None:
    context = browser.new_context()
    context.set_offline(True)
    page = context.new_page()
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto((mapped_space / "map.html").as_uri())
    page.locator("#failure").wait_for()
    assert "WebGL" in page.locator("#failure").inner_text()
    assert not page.locator("main").is_visible()
    context.close()
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((mapped_space / "map.html").as_uri())
    assert "map.png" in page.locator("noscript").inner_text()
    context.close()


def many_points(n: int) -> MapData:
    random = np.random.default_rng(0)
    group = random.integers(0, 40, n)
    places = (random.normal(size=(40, 2)) * 3)[group] + random.normal(size=(n, 2)) / 2
    near = np.argsort(places[:, 0])
    place_of = np.empty(n, dtype=np.int64)
    place_of[near] = np.arange(n)
    found = near[(place_of[:, None] + np.arange(1, 11)) % n]
    return MapData(
        title="Synthetic",
        facts=f"{n:,} points",
        note="",
        rows=np.arange(n),
        ids=[f"ID:{i:07d}" for i in range(n)],
        names=[f"entity number {i}" for i in range(n)],
        texts=None,
        columns=[colour_by_names("label", [f"Label {one % 12}" for one in group])],
        positions={
            "tsne": places.astype(np.float32),
            "umap": places[:, ::-1].astype(np.float32),
        },
        neighbours=found.astype(np.int32),
        cosines=np.tile(np.linspace(0.9, 0.5, 10, dtype=np.float32), (n, 1)),
    )


def test_150_thousand_points_pan_search_and_filter(
    browser: Browser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "map.html"
    file.write_text(render_map_page(many_points(150_000)), "utf-8")
    start = time.monotonic()
    page, seen = opened(browser, file)
    loaded = time.monotonic() - start
    before = picture(page)
    page.evaluate("""() => {
      const app = kgtextvecMap, counter = (window.counter = { frames: app.frames });
      const step = () => {
        app.camera.pan(4 * Math.sin(performance.now() / 300), 2);
        if (!counter.done) requestAnimationFrame(step);
      };
      counter.start = performance.now();
      step();
    }""")
    page.wait_for_timeout(1500)
    assert picture(page) != before
    first = page.evaluate("[kgtextvecMap.frames, performance.now()]")
    page.wait_for_timeout(4000)
    last = page.evaluate("[kgtextvecMap.frames, performance.now()]")
    rate = (last[0] - first[0]) / (last[1] - first[1]) * 1000
    drawn = page.evaluate("window.counter.done = true, Math.round(kgtextvecMap.scene.budget)")
    still(page)
    searching = page.evaluate("""() => {
      const box = document.getElementById("search"), start = performance.now();
      box.value = "number 14711";
      box.dispatchEvent(new Event("input"));
      return performance.now() - start;
    }""")
    assert page.get_by_role("option").first.inner_text().startswith("entity number 14711")
    page.keyboard.press("Escape")
    filtering = page.evaluate("""async () => {
      const start = performance.now();
      document.querySelector("#legend .only").click();
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      return performance.now() - start;
    }""")
    assert page.evaluate("kgtextvecMap.countShown()") < 150_000
    assert seen.told == []
    assert all(url == file.as_uri() for url in seen.requests)
    page.context.close()
    with capsys.disabled():
        print(
            f"\n150,000 points: {file.stat().st_size / 1e6:.1f} MB, open in {loaded:.1f} s,"
            f" {rate:.0f} frames/s while panning ({drawn:,} points a frame while moving),"
            f" search {searching:.0f} ms, filter {filtering:.0f} ms"
        )
