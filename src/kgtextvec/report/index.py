"""The index page: what a run made, with pictures, and a link to each file."""

import base64
import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from kgtextvec.errors import InputError
from kgtextvec.files import whole_file
from kgtextvec.pages import render_template
from kgtextvec.records import EmbeddedSpace, TableQuality, read_record
from kgtextvec.report.compare.advice import advise
from kgtextvec.report.compare.scores import known_scores, read_rows, read_spaces

MOST_PICTURES = 60  # more would make the page heavy
PICTURE_WIDTH = 480  # pixels; the page shows it at half of that or less
# What a file of a space is called on the page; others keep their own names.
FILE_TITLES = {
    "map.html": "map",
    "explore.html": "notebook",
    "map.png": "map as PNG",
    "map.svg": "as SVG",
    "explore.ipynb": "notebook for Jupyter",
    "scores.json": "scores",
    "link_prediction.json": "link prediction",
}
SPACE_PAGES = ("map.html", "explore.html")


def draw_index(
    spaces: Annotated[list[Path], "folders of spaces, or their manifest.json"],
    *,
    out: Annotated[Path, "the page, in the folder of the results"],
    quality: Annotated[list[Path] | None, "results/texts/TABLE/quality.json"] = None,
    files: Annotated[
        list[str] | None, "names of files in each space's folder that the page links to"
    ] = None,
    scores: Annotated[Path | None, "scores.tsv; the page then links to compare.html too"] = None,
    texts: Annotated[
        list[Path] | None, "results/texts/TABLE/manifest.json: which tables read the same file"
    ] = None,
    others: Annotated[
        list[str] | None, "further files in the folder of the results, such as pages of exports"
    ] = None,
) -> None:
    """Write the page that leads to everything a run made: tables, spaces, scores, exports.

    Links are relative to the page. A space has a small picture of its map.png if that is among
    `files`. The same files give the same bytes. Raises InputError when a file is missing or
    damaged.
    """
    folders = [path.parent if path.name == "manifest.json" else path for path in spaces]
    page = PageLinks(out)
    rows = read_rows(scores, known_scores()) if scores else []
    advice = advise(read_spaces(folders, texts or [], rows)) if scores else []
    html = render_template(
        "report/templates/index.html",
        advice=[(", ".join(one.tables), one.sentence) for one in advice],
        comparison=page.to(scores.with_name("compare.html"), "comparison") if scores else None,
        all_scores=page.to(scores, "scores.tsv") if scores else None,
        tables=[table_card(path, page) for path in quality or []],
        models=by_model(folders, files or [], page),
        others=[page.to(out.parent / name, name) for name in others or []],
        report_links=page.report_links,
    )
    with whole_file(out, record_digest=True) as part:
        part.write_text(html, "utf-8")


class PageLinks:
    """Links from a page to other files, also where snakemake's report has put them.

    `report_links`: for each HTML page, where it is from the index in an unpacked report.
    """

    def __init__(self, page: Path) -> None:
        """Make links from `page`."""
        self.page = page
        self.report_links: dict[str, str] = {}

    def to(self, path: Path, name: str) -> tuple[str, str]:
        """Return (address, name) of a file."""
        address = Path(os.path.relpath(path, self.page.parent)).as_posix()
        # The report names the folder of a file by the digest of its path.
        if path.suffix == ".html":
            digest = hashlib.sha256(str(path).encode()).hexdigest()
            self.report_links[address] = f"../{digest[:16]}/{path.name}"
        return address, name


def table_card(quality: Path, page: PageLinks) -> dict[str, Any]:
    """Return what the page shows of a table."""
    found = read_record(quality, TableQuality)
    return {
        "name": found["table"],
        "rows": found["rows"],
        "texts": found["texts"],
        "labels": len(found["labels"]),
        "findings": len(found["findings"]),
        "link": page.to(quality.with_name("quality.html"), "quality of its texts"),
    }


def by_model(
    folders: Sequence[Path], files: Sequence[str], page: PageLinks
) -> dict[str, list[dict[str, Any]]]:
    """Return the cards of all spaces, by model, in the order given."""
    found: dict[str, list[dict[str, Any]]] = {}
    for number, folder in enumerate(folders):
        space = read_record(folder / "manifest.json", EmbeddedSpace)
        with_picture = "map.png" in files and number < MOST_PICTURES
        found.setdefault(space["model"]["name"], []).append(
            {
                "table": space["table"],
                "space": space["space"],
                "rows": space["rows"],
                "dims": space["dims"],
                "picture": small_picture(folder / "map.png") if with_picture else None,
                "pages": [
                    page.to(folder / name, FILE_TITLES[name])
                    for name in SPACE_PAGES
                    if name in files
                ],
                "files": [
                    page.to(folder / name, FILE_TITLES.get(name, name))
                    for name in files
                    if name not in SPACE_PAGES
                ],
            }
        )
    return found


def small_picture(path: Path) -> str:
    """Return a picture, PICTURE_WIDTH wide, as the address of an image inside the page."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            height = round(image.height * PICTURE_WIDTH / image.width)
            small = image.convert("RGB").resize((PICTURE_WIDTH, height), Image.Resampling.LANCZOS)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a picture ({error}). Delete it and run draw-map.") from None
    packed = io.BytesIO()
    small.quantize(32).save(packed, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(packed.getvalue()).decode()
