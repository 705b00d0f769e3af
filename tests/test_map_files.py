"""What draw-map writes: the page's data against the space, nothing from outside, pictures."""

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from map_space import HOSTILE, LABELS, read_page, ten_nearest, write_space
from matplotlib.image import imread

from kgtextvec.pages.theme import GROUP_COLOURS
from kgtextvec.report.map import degrees, draw_map
from kgtextvec.report.map.page import BROWSER, MODULES, join_modules
from kgtextvec.settings.spaces import MapLayout


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    space = write_space(tmp_path_factory.mktemp("space"))
    draw_map(space, texts=space / "shards")
    return space


# the page


def test_the_page_lists_the_ten_nearest_of_the_full_vectors(drawn):
    data = read_page(drawn / "map.html")
    wanted, cosines = ten_nearest(np.load(drawn / "embeddings.npy"))
    rows = np.array(data["rows"])
    for point, row in enumerate(data["rows"]):
        found = rows[data["neighbours"][point]]
        assert found.tolist() == wanted[row]
        # The page keeps four digits.
        np.testing.assert_allclose(data["cosines"][point], cosines[row, found], atol=6e-5)


def test_the_page_holds_each_row_as_it_is_in_the_index(drawn):
    data = read_page(drawn / "map.html")
    index = pq.read_table(drawn / "index.parquet").to_pandas()
    layout = pq.read_table(drawn / "layout.parquet").to_pandas()
    assert sorted(data["rows"]) == list(range(120))
    columns = [column["name"] for column in data["about"]["columns"]]
    labels = data["about"]["columns"][columns.index("label")]["groups"]
    for point, row in enumerate(data["rows"]):
        assert data["ids"][point] == index["id"][row]
        assert data["names"][point] == index["name"][row]
        assert labels[data["columns"][columns.index("label")][point]] == index["label"][row]
        told = f"What is told of {index['name'][row]}. "
        assert data["texts"][point].startswith(told[:250])
        assert len(data["texts"][point]) <= 300
    for key, places in data["layouts"].items():
        wanted = layout.loc[data["rows"], [f"{key}_x", f"{key}_y"]].to_numpy()
        scale = np.ptp(wanted, axis=0).max()
        moved = places / 65535 * scale
        np.testing.assert_allclose(moved - moved[0], wanted - wanted[0], atol=scale / 65535 * 2)


def test_entities_are_coloured_by_the_triples_that_they_stand_in(tmp_path):
    """Row i stands in i distinct triples, under its label::id or its bare id; others get 0."""
    space = write_space(tmp_path / "space", n=12)
    index = pq.read_table(space / "index.parquet").to_pandas()
    nodes = [index["node_id" if i % 2 else "id"][i] for i in range(12)]
    lines = [f"{nodes[i]}\tr\tX::{j}" for i in range(12) for j in range(i)]
    lines += [lines[-1], "X::9\tr\tX::8"]  # told twice; not of the table
    (tmp_path / "triples.tsv").write_text("\n".join(["head\trelation\ttail", *lines]))
    counted = degrees([tmp_path / "triples.tsv"], pq.read_table(space / "index.parquet"))
    assert counted.tolist() == list(range(12))
    draw_map(space, layout=MapLayout(layouts=("tsne",)), triples=[tmp_path / "triples.tsv"])
    columns = {
        column["name"]: column for column in read_page(space / "map.html")["about"]["columns"]
    }
    assert columns["degree"]["kind"] == "steps"
    assert sum(columns["degree"]["counts"]) == 12


class Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_the_page_refers_to_nothing_outside(drawn):
    page = (drawn / "map.html").read_text("utf-8")
    parser = Elements()
    parser.feed(page)
    for tag, attributes in parser.found:
        assert tag not in {"link", "iframe", "object", "embed", "base", "img"}
        assert not {"src", "href", "srcset", "action", "data"} & set(attributes)
    # A namespace is a name, not an address.
    assert set(re.findall(r"https?://[^\s\"'<>]*", page)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket|sendBeacon", page)
    policies = [a["content"] for t, a in parser.found if t == "meta" and "http-equiv" in a]
    assert policies[0].startswith("default-src 'none'; script-src 'sha256-")


def test_names_from_the_table_never_stand_in_the_page_as_they_are(tmp_path):
    space = write_space(tmp_path, n=20)
    draw_map(space, title=HOSTILE[0] + HOSTILE[2], layout=MapLayout(layouts=("tsne",)))
    page = (space / "map.html").read_text("utf-8")
    for name in HOSTILE[:2]:
        assert name not in page
    assert page.count("document.title='owned'") == 0
    parser = Elements()
    parser.feed(page)
    scripts = [attributes for tag, attributes in parser.found if tag == "script"]
    assert sum("type" not in attributes for attributes in scripts) == 1
    assert "@@SCRIPT@@ &amp;amp;" in page


def test_every_module_is_in_the_page_after_those_it_needs():
    assert sorted(MODULES) == sorted(path.stem for path in BROWSER.glob("*.js"))
    script = join_modules()
    assert "import {" not in script
    assert not re.search(r"^export ", script, re.MULTILINE)
    assert "</script" not in script
    for name in MODULES:
        for needed in re.findall(r"= module_(\w+);", script.split(f"module_{name} =")[1]):
            assert needed in MODULES
    for at, name in enumerate(MODULES):
        source = (BROWSER / f"{name}.js").read_text("utf-8")
        assert set(re.findall(r'from "\./(\w+)\.js"', source)) <= set(MODULES[:at])


# the pictures


def test_the_picture_shows_the_groups_in_their_colours(drawn):
    picture = np.rint(imread(drawn / "map.png")[:, :, :3] * 255).astype(int)
    assert picture.shape[1] > 1500
    for colour in GROUP_COLOURS[: len(LABELS)]:
        wanted = [int(colour.light[at : at + 2], 16) for at in (1, 3, 5)]
        close = (np.abs(picture - wanted).max(axis=2) < 40).sum()
        assert close > 30 * 20  # thirty points in each of two layouts
    assert (picture.min(axis=2) > 250).mean() > 0.5


def test_the_svg_is_one_file_that_refers_to_nothing(drawn):
    tree = ElementTree.fromstring((drawn / "map.svg").read_bytes())  # noqa: S314  (our own file)
    for element in tree.iter():
        for name, value in element.attrib.items():
            if name.endswith("href"):
                assert value.startswith(("#", "data:"))


@pytest.mark.filterwarnings("error")
def test_hostile_groups_and_titles_are_drawn(tmp_path):
    space = write_space(tmp_path, n=60)
    index = pq.read_table(space / "index.parquet")
    labels = pa.array([HOSTILE[i % len(HOSTILE)] for i in range(60)])
    index = index.set_column(index.column_names.index("label"), "label", labels)
    pq.write_table(index, space / "index.parquet")
    draw_map(space, title=" ".join(HOSTILE), layout=MapLayout(layouts=("tsne",)))
    assert (space / "map.svg").stat().st_size > 10_000
