"""Take a picture of every page of a results folder: `make screenshots`.

Each at three widths, light and dark, as long as the page is, in parts of at most PART pixels; a
page wider than its window is reported, and ends the run with exit code 1.
"""

import argparse
import sys
from pathlib import Path

from map_browser import launched

WIDTHS = (400, 800, 1440)
SCHEMES = ("light", "dark")
PART = 4000  # pixels; beyond 8192 software rendering begins again at the top of the page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    pages = sorted(given.results.rglob("*.html"))
    if not pages:
        sys.exit(f"ERROR: {given.results}: has no pages. Run make demo first.")
    given.out.mkdir(parents=True, exist_ok=True)
    wide = []
    with launched() as browser:
        for scheme in SCHEMES:
            for width in WIDTHS:
                window = {"width": width, "height": 900}
                context = browser.new_context(color_scheme=scheme, viewport=window)
                context.set_offline(True)
                page = context.new_page()
                for path in pages:
                    page.goto(path.resolve().as_uri())
                    if path.name == "map.html":
                        page.wait_for_selector("html[data-ready]", timeout=60_000)
                    page.wait_for_timeout(500)
                    name = "-".join(path.relative_to(given.results).with_suffix("").parts)
                    high = page.evaluate("document.documentElement.scrollHeight")
                    for part, top in enumerate(range(0, high, PART), start=1):
                        number = f"-{part}" if high > PART else ""
                        page.set_viewport_size({"width": width, "height": min(PART, high - top)})
                        page.evaluate(f"scrollTo(0, {top})")
                        page.screenshot(path=given.out / f"{name}-{width}-{scheme}{number}.png")
                    page.set_viewport_size(window)
                    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                        wide.append(f"{path}: wider than a window of {width} pixels")
                context.close()
    print(f"{len(pages)} pages: {given.out}")
    if wide:
        sys.exit("\n".join(wide))


if __name__ == "__main__":
    main()
