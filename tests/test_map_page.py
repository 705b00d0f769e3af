"""The map page in a real browser, with the network off: search, pick, lasso, keys, contrast."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from map_space import HOSTILE, ten_nearest, write_space
from playwright.sync_api import Browser, Page, sync_playwright

from kgtextvec.report import draw_map
from kgtextvec.report.colouring import colour_by_names
from kgtextvec.report.page import MapData, render_page

pytestmark = pytest.mark.slow

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAME, ID = "entity 57", "T:0057"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        told = "no Chromium: apt-get install chromium, or set CHROMIUM to its path"
        if os.environ.get("CI"):
            pytest.fail(told)
        pytest.skip(told)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_space(tmp_path_factory.mktemp("space"))
    draw_map(folder, texts=folder / "shards")
    return folder


def opened(browser: Browser, file: Path, **settings) -> tuple[Page, SimpleNamespace]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, **settings)
    context.set_offline(True)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    seen = SimpleNamespace(requests=[], told=[])
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("console", lambda message: seen.told.append(message.text))
    page.on("pageerror", lambda error: seen.told.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    still(page)
    return page, seen


@pytest.fixture
def map_page(browser: Browser, space: Path) -> Iterator[Page]:
    """The map of a small space; afterwards: no message, no request but the file itself."""
    page, seen = opened(browser, space / "map.html")
    yield page
    assert page.title() == "Entities by tiny"
    assert seen.told == []
    # What a user saves is a blob of the page's own.
    asked = [url for url in seen.requests if not url.startswith("blob:")]
    assert asked == [(space / "map.html").as_uri()]
    page.context.close()


def still(page: Page) -> None:
    """Wait until the picture has come to rest."""
    page.evaluate("window.framesSeen = -1")
    page.wait_for_function(
        "() => { const app = kgtextvecMap, old = window.framesSeen;"
        " window.framesSeen = app.frames; return app.frames === old && !app.moving(); }",
        polling=200,
    )


def place(page: Page, name: str) -> tuple[float, float]:
    """Return where the point of that name lies in the window."""
    left, top = page.evaluate(
        "name => { const app = kgtextvecMap, box = app.canvas.getBoundingClientRect();"
        " const [x, y] = app.place(app.data.names.indexOf(name));"
        " return [x + box.left, y + box.top]; }",
        name,
    )
    return left, top


def picture(page: Page) -> bytes:
    return page.locator("#map").screenshot()


def neighbours(page: Page) -> list[tuple[str, str]]:
    rows = page.locator("#neighbours .row").all()
    return [
        (row.get_attribute("data-id") or "", row.locator(".count").inner_text()) for row in rows
    ]


def wanted_neighbours(space: Path, row: int) -> list[tuple[str, str]]:
    found, cosines = ten_nearest(np.load(space / "embeddings.npy"))
    return [(f"T:{other:04d}", f"{cosines[row, other]:.3f}") for other in found[row]]


def same_neighbours(found: list[tuple[str, str]], wanted: list[tuple[str, str]]) -> None:
    assert [id_ for id_, _ in found] == [id_ for id_, _ in wanted]
    for (_, shown), (_, true) in zip(found, wanted, strict=True):
        # Rounded twice: to four digits in the file, to three on the page.
        assert abs(float(shown) - float(true)) < 0.0011


def test_points_are_drawn_and_move(map_page: Page) -> None:
    colours = map_page.evaluate(
        "() => { const app = kgtextvecMap; app.setNames(false); app.refresh();"
        " return new Promise(done => requestAnimationFrame(() => {"
        " app.frame(performance.now()); const { gl } = app.scene;"
        " const all = new Uint8Array(4 * gl.drawingBufferWidth * gl.drawingBufferHeight);"
        " gl.readPixels(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight, gl.RGBA,"
        " gl.UNSIGNED_BYTE, all); const seen = {};"
        " for (let i = 0; i < all.length; i += 4) if (all[i + 3] > 200) {"
        " const key = [all[i], all[i + 1], all[i + 2]].map(v => v >> 5).join();"
        " seen[key] = (seen[key] ?? 0) + 1; } done(Object.values(seen)); })); }"
    )
    # 120 points in four colours, each at least five pixels wide
    assert sum(count > 30 * 15 for count in colours) >= 4
    before = picture(map_page)
    map_page.mouse.move(400, 400)
    map_page.mouse.down()
    map_page.mouse.move(520, 430, steps=4)
    map_page.mouse.up()
    still(map_page)
    moved = picture(map_page)
    assert moved != before
    map_page.mouse.wheel(0, -400)
    still(map_page)
    assert picture(map_page) not in {before, moved}


def test_search_flies_to_an_entity_and_lists_its_nearest(map_page: Page, space: Path) -> None:
    map_page.keyboard.press("/")
    map_page.keyboard.type("ENTITY 5")
    options = map_page.get_by_role("option")
    assert options.count() > 3
    map_page.keyboard.type("7")
    assert options.first.inner_text().startswith(NAME)
    map_page.keyboard.press("Enter")
    still(map_page)
    left, top = place(map_page, NAME)
    box = map_page.locator("#points").bounding_box()
    assert abs(left - box["x"] - box["width"] / 2) < 3
    assert abs(top - box["y"] - box["height"] / 2) < 3
    assert map_page.evaluate("kgtextvecMap.camera.zoom") > 1.3
    assert map_page.locator("#details-title").inner_text() == NAME
    assert map_page.locator("#text-of-point").inner_text().startswith("What is told of entity 57.")
    same_neighbours(neighbours(map_page), wanted_neighbours(space, 57))


def test_search_finds_ids_and_says_when_there_is_nothing(map_page: Page) -> None:
    map_page.locator("#search").fill("t:0057")
    assert map_page.get_by_role("option").all_inner_texts()[0].startswith(NAME)
    map_page.locator("#search").fill("no such thing")
    assert "Nothing found" in map_page.locator("#hits").inner_text()


@pytest.mark.parametrize("layout", ["t-SNE", "UMAP"])
def test_a_click_picks_the_point_under_it(map_page: Page, space: Path, layout: str) -> None:
    map_page.get_by_role("radio", name=layout).click()
    still(map_page)
    # The point that lies loneliest, so that no other one is nearer to the click.
    name = map_page.evaluate(
        "() => { const app = kgtextvecMap; let best = [0, 0];"
        " for (let i = 0; i < app.data.count; i++) { let far = Infinity;"
        " for (let j = 0; j < app.data.count; j++) if (i !== j) { const a = app.place(i),"
        " b = app.place(j); far = Math.min(far, Math.hypot(a[0] - b[0], a[1] - b[1])); }"
        " if (far > best[0] && app.data.names[i].startsWith('entity')) best = [far, i]; }"
        " return app.data.names[best[1]]; }"
    )
    map_page.mouse.move(*place(map_page, name))
    assert name in map_page.locator("#tooltip").inner_text()
    map_page.mouse.click(*place(map_page, name))
    assert map_page.locator("#details-title").inner_text() == name
    same_neighbours(neighbours(map_page), wanted_neighbours(space, int(name.split()[1])))
    first = map_page.locator("#neighbours .row").first
    wanted = first.locator(".name").inner_text()
    first.click()
    still(map_page)
    assert map_page.locator("#details-title").inner_text() == wanted


def test_the_lasso_gives_the_ids_inside_it(map_page: Page) -> None:
    map_page.get_by_role("button", name="Lasso").click()
    box = map_page.locator("#points").bounding_box()
    left, top = box["x"] + 100, box["y"] + 60
    right, bottom = box["x"] + box["width"] * 0.55, box["y"] + box["height"] * 0.6
    map_page.mouse.move(left, top)
    map_page.mouse.down()
    for corner in ((right, top), (right, bottom), (left, bottom), (left, top)):
        map_page.mouse.move(*corner, steps=5)
    map_page.mouse.up()
    places = map_page.evaluate(
        "() => { const app = kgtextvecMap, box = app.canvas.getBoundingClientRect();"
        " return app.data.ids.map((id, i) => { const [x, y] = app.place(i);"
        " return [id, x + box.left, y + box.top]; }); }"
    )
    wanted = {id_ for id_, x, y in places if left < x < right and top < y < bottom}
    assert 10 < len(wanted) < 120
    assert map_page.locator("#chosen-title").inner_text() == f"{len(wanted)} chosen"
    map_page.get_by_role("button", name="Copy ids").click()
    map_page.wait_for_function(
        "() => document.getElementById('status').textContent.includes('copied')"
    )
    copied = map_page.evaluate("navigator.clipboard.readText()")
    assert set(copied.split("\n")) == wanted
    with map_page.expect_download() as download:
        map_page.get_by_role("button", name="Save as TSV").click()
    lines = Path(download.value.path()).read_text("utf-8").split("\n")
    assert {line.split("\t")[1] for line in lines[1:-1]} == wanted
    map_page.keyboard.press("Escape")
    assert not map_page.locator("#chosen").is_visible()


def test_the_legend_hides_and_isolates_groups(map_page: Page) -> None:
    rows = map_page.locator("#legend .row")
    assert rows.count() == 4
    assert rows.first.locator(".count").inner_text() == "30"
    before = picture(map_page)
    rows.first.click()
    assert rows.first.get_attribute("aria-pressed") == "false"
    assert map_page.evaluate("kgtextvecMap.countShown()") == 90
    still(map_page)
    assert picture(map_page) != before
    map_page.locator("#legend .only").nth(2).click()
    assert map_page.evaluate("kgtextvecMap.countShown()") == 30
    hidden = map_page.evaluate("kgtextvecMap.near(400, 300, Infinity)")
    group = map_page.evaluate(f"kgtextvecMap.groupNames({hidden})")
    assert group == rows.nth(2).locator(".name").inner_text()
    map_page.get_by_role("button", name="Show all").click()
    assert map_page.evaluate("kgtextvecMap.countShown()") == 120
    map_page.get_by_label("Colour by").select_option(label="n_tokens")
    assert rows.count() == 5
    assert "–" in rows.first.locator(".name").inner_text()


def test_hostile_names_are_shown_as_text(map_page: Page) -> None:
    for name in HOSTILE:
        map_page.locator("#search").fill(name.split("\u2028")[0])
        map_page.keyboard.press("Enter")
        still(map_page)
        shown = map_page.locator("#details-title").evaluate("element => element.textContent")
        assert shown == name
        map_page.mouse.move(*place(map_page, name))
    assert map_page.locator("aside img, #tooltip img, aside script").count() == 0
    assert map_page.title() == "Entities by tiny"


def test_the_keyboard_alone_does_everything(map_page: Page, space: Path) -> None:
    press = map_page.keyboard.press
    seen = []
    for _ in range(25):
        press("Tab")
        seen.append(
            map_page.evaluate(
                "() => { const e = document.activeElement, s = getComputedStyle(e);"
                " return [e.id || e.className, s.outlineStyle, parseFloat(s.outlineWidth)]; }"
            )
        )
        if seen[-1][0] == "row":
            break
    stops = [stop[0] for stop in seen]
    for stop in (
        "help-button",
        "theme-button",
        "points",
        "lasso-button",
        "search",
        "columns",
        "row",
    ):
        assert stop in stops, stop
    assert all(style != "none" and width >= 2 for _, style, width in seen)
    press("ArrowDown")
    press("Enter")
    assert map_page.evaluate("kgtextvecMap.countShown()") == 90
    press("Enter")
    map_page.locator("#points").focus()
    before = map_page.evaluate("[kgtextvecMap.camera.x, kgtextvecMap.camera.zoom]")
    press("ArrowRight")
    press("+")
    after = map_page.evaluate("[kgtextvecMap.camera.x, kgtextvecMap.camera.zoom]")
    assert after[0] > before[0]
    assert after[1] > before[1]
    press("Enter")
    assert map_page.locator("#details-title").is_visible()
    press("Escape")
    assert not map_page.locator("#details-title").is_visible()
    press("t")
    assert map_page.get_by_role("radio", name="UMAP").get_attribute("aria-checked") == "true"
    press("/")
    map_page.keyboard.type("entity 5")
    press("ArrowDown")
    name = map_page.locator("[aria-selected=true] span").first.inner_text()
    press("Enter")
    still(map_page)
    assert map_page.locator("#details-title").inner_text() == name
    map_page.locator("#neighbours .row").first.focus()
    press("ArrowDown")
    press("ArrowDown")
    third = neighbours(map_page)[2]
    assert map_page.evaluate("document.activeElement.dataset.id") == third[0]
    press("Enter")
    assert map_page.locator("#facts-of-point dd").first.inner_text() == third[0]
    assert map_page.evaluate("document.activeElement.id") == "details-title"
    map_page.locator("#choose-view").focus()
    press("Enter")
    assert map_page.locator("#chosen").is_visible()


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
def test_text_is_readable_in_light_and_dark(browser: Browser, space: Path, scheme: str) -> None:
    page, seen = opened(browser, space / "map.html", color_scheme=scheme)
    page.locator("#legend .row").first.click()
    page.locator("#choose-view").click()
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
    browser: Browser, space: Path
) -> None:
    context = browser.new_context()
    context.set_offline(True)
    page = context.new_page()
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto((space / "map.html").as_uri())
    page.locator("#failure").wait_for()
    assert "WebGL" in page.locator("#failure").inner_text()
    assert not page.locator("main").is_visible()
    context.close()
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((space / "map.html").as_uri())
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
    file.write_text(render_page(many_points(150_000)), "utf-8")
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
