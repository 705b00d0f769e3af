"""The compare page in a browser: light, dark, narrow, with the net off."""

import pytest

playwright = pytest.importorskip("playwright.sync_api")

from compare_results import three_models  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    root = tmp_path_factory.mktemp("page") / "results"
    three_models(root)
    return root / "compare.html"


LIGHTNESS = """colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number);
    return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
}"""
OF_TEXT = f"({LIGHTNESS})(getComputedStyle(document.body).color)"
OF_GROUND = f"({LIGHTNESS})(getComputedStyle(document.documentElement).backgroundColor)"
OF_CHART = f"""[...document.querySelectorAll('svg [id*="text_"] g')].map(
    letters => ({LIGHTNESS})(getComputedStyle(letters).fill))"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_shows_with_the_net_off_and_nothing_to_complain_of(file, browser, scheme):
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1200, "height": 900})
    context.set_offline(True)
    page = context.new_page()
    asked, told = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.goto(file.as_uri())
    assert asked == [file.as_uri()] and told == []
    charts = page.locator(".chart svg")
    assert charts.count() == 6
    for i in range(6):
        box = charts.nth(i).bounding_box()
        assert box["width"] > 500 and box["height"] > 200
    text, ground, letters = (page.evaluate(one) for one in (OF_TEXT, OF_GROUND, OF_CHART))
    assert letters and abs(text - ground) > 0.6
    assert (text < ground) == (scheme == "light")
    assert all(abs(one - ground) > 0.4 for one in letters), "writing in charts can be read"
    context.close()


def test_a_narrow_window_scrolls_what_is_wide_and_not_the_page(file, browser):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    inside = (
        "[...document.querySelectorAll('.chart')].every(one => one.scrollWidth <= one.clientWidth)"
    )
    assert page.evaluate(inside), "charts fit"
    page.close()
