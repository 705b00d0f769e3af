"""A headless Chromium with the network off, for tests of the map page."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

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


@contextmanager
def launched() -> Iterator[Browser]:
    """Start Chromium; without one, skip, or fail where CI is set."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        message = "no Chromium: apt-get install chromium, or set CHROMIUM to its path"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


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


def still(page: Page) -> None:
    """Wait until the picture has come to rest."""
    page.evaluate("window.framesSeen = -1")
    page.wait_for_function(
        "() => { const app = kgtextvecMap, old = window.framesSeen;"
        " window.framesSeen = app.frames;"
        " return app.frames === old && !app.moving() && app.camera.flight === null; }",
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
