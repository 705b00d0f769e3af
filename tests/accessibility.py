"""axe-core on the pages of a results folder, in Chromium."""

from pathlib import Path

from playwright.sync_api import Browser

SEVERE = {"serious", "critical"}


def serious_findings(browser: Browser, path: Path, axe: Path, scheme: str) -> list[str]:
    """Return what axe-core finds on a page that is serious or critical, a line per element."""
    # The pages' own policy lets no other script in.
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    context.set_offline(True)
    page = context.new_page()
    page.goto(path.as_uri())
    if path.name == "map.html":
        page.wait_for_selector("html[data-ready]", timeout=60_000)
    page.evaluate(axe.read_text("utf-8"))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    context.close()
    return [
        f"{path.name}: {one['id']}: {one['help']}: {node['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in SEVERE
        for node in one["nodes"]
    ]
