"""The index page: links to what a run made, pictures of the maps, also inside a report."""

import base64
import hashlib
import io
import re

import pytest
from compare_results import three_models
from PIL import Image

from kgtextvec.errors import InputError
from kgtextvec.records import write_record
from kgtextvec.report.index import draw_index


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A results folder made by hand, with maps and quality reports, below the working folder."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "results"
    three_models(root)
    for path in (root / "texts").iterdir():
        record = {"table": path.name, "rows": 20, "texts": 19, "labels": {"Gene": 20}}
        write_record(path / "quality.json", record | {"findings": []})
        (path / "quality.html").touch()
    for manifest in root.glob("*/*/*/manifest.json"):
        Image.new("RGB", (2000, 1000), "teal").save(manifest.with_name("map.png"))
        (manifest.parent / "map.html").touch()
    (root / "exports/pykeen").mkdir(parents=True)
    (root / "exports/pykeen/README.md").touch()
    return root.relative_to(tmp_path)


def page_of(root, **more):
    given = {
        "files": ["map.html", "map.png", "embeddings.npy", "scores.json"],
        "scores": root / "scores.tsv",
        "texts": sorted(root.glob("texts/*/manifest.json")),
        "quality": sorted(root.glob("texts/*/quality.json")),
        "others": ["exports/pykeen/README.md"],
    }
    spaces = sorted(root.glob("*/*/*/manifest.json"))
    draw_index(spaces, out=root / "index.html", **(given | more))
    return (root / "index.html").read_text("utf-8")


def test_every_link_leads_to_a_file_and_every_file_has_a_link(results):
    page = page_of(results)
    links = set(re.findall(r'<a href="([^"]+)"', page))
    assert all((results / link).exists() for link in links)
    expected = {
        str(path.relative_to(results))
        for pattern in ("*/*/*/map.*", "*/*/*/*.npy", "*/*/*/scores.json", "texts/*/quality.html")
        for path in results.glob(pattern)
    }
    assert len(expected) == 18 * 4 + 2
    assert links == expected | {"compare.html", "scores.tsv", "exports/pykeen/README.md"}
    assert "<b>entities, names</b>: Use gamma, space full (384 dims), text: “{name}. " in page
    assert "20 rows, 19 distinct texts, 1 label<" in page


def test_each_space_has_a_small_picture_of_its_map(results):
    pictures = re.findall(
        r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)"', page_of(results)
    )
    assert len(pictures) == 18
    assert ("Map of names, pca8") in {alt for _, alt in pictures}
    with Image.open(io.BytesIO(base64.b64decode(pictures[0][0]))) as small:
        assert small.size == (480, 240)
        assert small.convert("RGB").getpixel((99, 99)) == (0, 128, 128)
    assert "<img" not in page_of(results, files=["embeddings.npy"])


def test_without_scores_there_is_no_comparison(results):
    page = page_of(results, scores=None)
    assert "compare.html" not in page and "scores.tsv" not in page


def test_links_to_pages_are_known_where_a_report_keeps_them(results):
    """Snakemake's report has each file in a folder named by the sha256 of its path."""
    moved = hashlib.sha256(b"results/compare.html").hexdigest()[:16]
    assert f'"compare.html": "../{moved}/compare.html"' in page_of(results)


def test_the_same_files_give_the_same_page(results):
    assert page_of(results) == page_of(results)


def test_a_damaged_picture_is_named(results):
    (results / "alpha/names/full/map.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"alpha/names/full/map\.png: not a picture"):
        page_of(results)
