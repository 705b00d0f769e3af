"""The map page in a real browser, with the network off: search, pick, lasso, legend, keys."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from map_browser import opened, picture, place, still
from map_space import HOSTILE, ten_nearest
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

NAME = "entity 57"


@pytest.fixture
def map_page(browser: Browser, mapped_space: Path) -> Iterator[Page]:
    """The map of a small space; afterwards: no message, no request but the file itself."""
    page, seen = opened(browser, mapped_space / "map.html")
    yield page
    assert page.title() == "Entities by tiny"
    assert seen.told == []
    # What a user saves is a blob of the page's own.
    asked = [url for url in seen.requests if not url.startswith("blob:")]
    assert asked == [(mapped_space / "map.html").as_uri()]
    page.context.close()


def neighbours(page: Page) -> list[tuple[str, str]]:
    rows = page.locator("#neighbours .row").all()
    return [
        (row.get_attribute("data-id") or "", row.locator(".count").inner_text()) for row in rows
    ]


def wanted_neighbours(mapped_space: Path, row: int) -> list[tuple[str, str]]:
    found, cosines = ten_nearest(np.load(mapped_space / "embeddings.npy"))
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


def test_search_flies_to_an_entity_and_lists_its_nearest(
    map_page: Page, mapped_space: Path
) -> None:
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
    same_neighbours(neighbours(map_page), wanted_neighbours(mapped_space, 57))


def test_search_finds_ids_and_says_when_there_is_nothing(map_page: Page) -> None:
    map_page.locator("#search").fill("t:0057")
    assert map_page.get_by_role("option").all_inner_texts()[0].startswith(NAME)
    map_page.locator("#search").fill("no such thing")
    assert "Nothing found" in map_page.locator("#hits").inner_text()


@pytest.mark.parametrize("layout", ["t-SNE", "UMAP"])
def test_a_click_picks_the_point_under_it(map_page: Page, mapped_space: Path, layout: str) -> None:
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
    same_neighbours(neighbours(map_page), wanted_neighbours(mapped_space, int(name.split()[1])))
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
    assert map_page.locator("#selected-title").inner_text() == f"{len(wanted)} selected"
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
    assert not map_page.locator("#selected").is_visible()


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


def test_the_keyboard_alone_does_everything(map_page: Page, mapped_space: Path) -> None:
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
    map_page.locator("#select-visible").focus()
    press("Enter")
    assert map_page.locator("#selected").is_visible()
