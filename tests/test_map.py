"""Maps: neighbours, layouts, groups, the page's data, the pictures, errors."""

import base64
import gzip
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from map_space import HOSTILE, LABELS, ten_nearest, write_space
from matplotlib.image import imread
from sklearn.manifold import trustworthiness

from kgtextvec.__main__ import main
from kgtextvec.errors import InputError
from kgtextvec.report import draw_map
from kgtextvec.report.colouring import (
    GROUP_COLOURS,
    MOST_GROUPS,
    OTHERS_COLOUR,
    STEP_COLOURS,
    colour_by_names,
    colour_by_steps,
    colourings,
    name_places,
)
from kgtextvec.report.layout import lay_out, nearest, roughly_nearest, unit_vectors
from kgtextvec.report.page import HOME, MODULES, join_modules

OUTPUTS = ("layout.parquet", "map.html", "map.png", "map.svg")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    space = write_space(tmp_path_factory.mktemp("space"))
    draw_map(space, texts=space / "shards")
    return space


# neighbours


@pytest.mark.parametrize(("n", "k"), [(2, 10), (40, 10), (300, 90), (2500, 5), (1500, 3)])
def test_nearest_are_those_of_highest_cosine(n, k):
    random = np.random.default_rng(n)
    values = random.normal(size=(n, 12)) + 1
    values[n // 2] = values[0]  # a duplicate
    units = unit_vectors(values)
    found, cosines = nearest(units, k)
    k = min(k, n - 1)
    assert found.shape == cosines.shape == (n, k)
    exact = (values / np.linalg.norm(values, axis=1)[:, None]) @ (
        values / np.linalg.norm(values, axis=1)[:, None]
    ).T
    np.fill_diagonal(exact, -np.inf)
    # Float32 products may swap neighbours that differ by less than its rounding: compare values.
    np.testing.assert_allclose(cosines, -np.sort(-exact, axis=1)[:, :k], atol=1e-5)
    np.testing.assert_allclose(cosines, np.take_along_axis(exact, found, axis=1), atol=1e-5)
    assert all(len(set(row)) == k for row in found.tolist())
    assert (np.diff(cosines, axis=1) <= 0).all()


def test_a_row_is_not_its_own_neighbour_even_among_equal_rows():
    found, cosines = nearest(unit_vectors(np.ones((30, 4))), 10)
    assert not (found == np.arange(30)[:, None]).any()
    np.testing.assert_allclose(cosines, 1, atol=1e-6)


def test_zero_vectors_have_no_direction_and_do_no_harm():
    units = unit_vectors(np.zeros((6, 3)))
    assert not units.any()
    assert np.isfinite(nearest(units, 3)[1]).all()


@pytest.mark.slow
def test_approximate_neighbours_are_nearly_all_right():
    units = unit_vectors(np.random.default_rng(1).normal(size=(4000, 20)))
    rough, cosines = roughly_nearest(units, 10, seed=0)
    exact, _ = nearest(units, 10)
    right = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(rough, exact, strict=True)])
    assert right > 0.95
    assert not (rough == np.arange(4000)[:, None]).any()
    assert (np.diff(cosines, axis=1) <= 0).all()


# layouts


def laid_out(values, seed=0):
    units = unit_vectors(values)
    found, cosines = nearest(units, 90)
    return lay_out(units, found, cosines, ("tsne", "umap"), seed)


@pytest.mark.parametrize("n", [1, 2, 4, 5, 6, 16, 36])
def test_tiny_tables_are_laid_out(n):
    for name, places in laid_out(np.random.default_rng(n).normal(size=(n, 8))).items():
        assert places.shape == (n, 2), name
        assert places.dtype == np.float32
        assert np.isfinite(places).all(), name
        assert len(np.unique(places, axis=0)) == n, name


@pytest.mark.parametrize("values", [np.ones((12, 4)), np.zeros((12, 4)), np.eye(12, 1) + 1])
def test_degenerate_tables_are_laid_out(values):
    for places in laid_out(values).values():
        assert np.isfinite(places).all()


def test_many_duplicates_are_laid_out():
    values = np.repeat(np.random.default_rng(0).normal(size=(4, 8)), 40, axis=0)
    for places in laid_out(values).values():
        assert np.isfinite(places).all()
        groups = places.reshape(4, 40, 2)
        centres = groups.mean(axis=1)
        between = np.linalg.norm(centres[:, None] - centres[None], axis=2)[np.triu_indices(4, 1)]
        assert groups.std(axis=1).max() < between.min()


def test_layouts_keep_neighbours_together(drawn):
    values = np.load(drawn / "embeddings.npy")
    table = pq.read_table(drawn / "layout.parquet").to_pandas()
    for name in ("tsne", "umap"):
        places = table[[f"{name}_x", f"{name}_y"]].to_numpy()
        kept = trustworthiness(values, places, n_neighbors=8, metric="cosine")
        mixed = np.random.default_rng(0).permutation(places)
        chance = trustworthiness(values, mixed, n_neighbors=8, metric="cosine")
        assert kept > 0.85 > 0.65 > chance


# the verb


def test_the_layout_has_a_row_per_row(drawn):
    table = pq.read_table(drawn / "layout.parquet")
    assert table.column_names == ["row", "tsne_x", "tsne_y", "umap_x", "umap_y"]
    assert table["row"].to_pylist() == list(range(120))
    assert table.schema.field("tsne_x").type == pa.float32()
    assert json.loads(table.schema.metadata[b"kgtextvec"])["drawn"] == 120


def test_a_rerun_writes_the_same_bytes(drawn, tmp_path):
    code = main(["draw-map", str(drawn), "--out-dir", str(tmp_path), "--texts", f"{drawn}/shards"])
    assert code == 0
    for name in OUTPUTS:
        assert (tmp_path / name).read_bytes() == (drawn / name).read_bytes(), name
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(OUTPUTS)


def test_another_seed_gives_another_layout(drawn, tmp_path):
    draw_map(drawn, out_dir=tmp_path, seed=1, layouts="umap")
    table = pq.read_table(tmp_path / "layout.parquet").to_pandas()
    assert table["tsne_x"].isna().all()
    before = pq.read_table(drawn / "layout.parquet").to_pandas()
    assert not np.allclose(table["umap_x"], before["umap_x"])


def test_above_max_points_a_seeded_sample_is_drawn_and_said(drawn, tmp_path):
    draw_map(drawn, out_dir=tmp_path, max_points=50, layouts="tsne")
    table = pq.read_table(tmp_path / "layout.parquet").to_pandas()
    kept = np.flatnonzero(table["tsne_x"].notna())
    assert len(table) == 120
    assert len(kept) == 50
    data = read_page(tmp_path / "map.html")
    assert sorted(data["rows"]) == kept.tolist()
    assert "50 of 120" in data["about"]["note"]
    draw_map(drawn, out_dir=tmp_path / "again", max_points=50, layouts="tsne")
    assert (tmp_path / "again/map.svg").read_bytes() == (tmp_path / "map.svg").read_bytes()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_spaces_of_few_rows_are_drawn(tmp_path, n):
    space = write_space(tmp_path, n=n)
    draw_map(space)
    assert len(read_page(space / "map.html")["ids"]) == n
    assert all((space / name).stat().st_size for name in OUTPUTS)


def nan_in_row_7(n: int = 20) -> np.ndarray:
    values = np.ones((n, 4), dtype=np.float32)
    values[7, 2] = np.nan
    return values


@pytest.mark.parametrize(
    ("settings", "values", "told"),
    [
        ({"color_by": "colour"}, None, "no column 'colour'.*label"),
        ({"layouts": "pca"}, None, "'pca'.*tsne,umap"),
        ({"layouts": ""}, None, "tsne,umap"),
        ({"max_points": 0}, None, "--max-points"),
        ({}, nan_in_row_7(), "row 7 holds NaN"),
        ({}, np.ones((19, 4), dtype=np.float32), r"shape \(19, 4\).*20 rows"),
        ({"texts": Path("nowhere")}, None, "nowhere: no shard"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_line(tmp_path, settings, values, told):
    space = write_space(tmp_path, n=20, **({} if values is None else {"values": values}))
    with pytest.raises(InputError, match=told) as error:
        draw_map(space, **settings)
    assert "\n" not in str(error.value)
    assert not any((space / name).exists() for name in OUTPUTS)


def test_an_empty_or_absent_space_is_an_error(tmp_path, capsys):
    assert main(["draw-map", str(tmp_path)]) == 2
    assert "ERROR" in capsys.readouterr().err
    space = write_space(tmp_path / "none", n=0)
    with pytest.raises(InputError, match="no rows"):
        draw_map(space)


# groups and colours


@given(st.lists(st.sampled_from([f"g{i}" for i in range(60)]), min_size=1))
def test_groups_are_counted_and_numbered_by_size(values):
    column = colour_by_names("label", values)
    assert sum(column.counts) == len(values)
    assert len(column.groups) <= MOST_GROUPS + 1
    for value, code in zip(values, column.codes, strict=True):
        assert column.groups[code] == value or code == column.others
    known = [n for code, n in enumerate(column.counts) if code != column.others]
    assert known == sorted(known, reverse=True)


def test_groups_over_the_number_of_colours_are_put_together():
    column = colour_by_names("label", [f"g{i:03d}" for i in range(100)])
    assert column.others == MOST_GROUPS
    assert column.counts[column.others] == 100 - MOST_GROUPS
    assert column.groups[-1] == "60 others"
    looks = {(column.colour(code), column.shape(code)) for code in range(MOST_GROUPS)}
    assert len(looks) == MOST_GROUPS


@given(st.lists(st.integers(-5, 2000), min_size=1))
def test_numbers_become_rising_steps(values):
    column = colour_by_steps("n_tokens", np.array(values, dtype=np.float64))
    if column is None:
        return
    assert 2 <= len(column.groups) <= len(STEP_COLOURS)
    assert sum(column.counts) == len(values)
    order = np.argsort(values, kind="stable")
    assert (np.diff(column.codes[order].astype(int)) >= 0).all()


def test_columns_that_tell_groups_apart_can_colour_the_map(drawn):
    found = colourings(pq.read_table(drawn / "index.parquet"), "resource")
    assert [column.name for column in found] == ["resource", "label", "n_tokens", "truncated"]
    assert dict(zip(found[1].groups, found[1].counts, strict=True)) == dict.fromkeys(LABELS, 30)
    assert set(found[3].groups) == {"yes", "no"}


def test_names_stand_where_their_group_is():
    random = np.random.default_rng(0)
    corners = np.array([[0, 0], [10, 0], [0, 10]], dtype=np.float32)
    values = np.repeat(["a", "b", "c"], 50).tolist()
    places = (np.repeat(corners, 50, axis=0) + random.normal(size=(150, 2))).astype(np.float32)
    column = colour_by_names("label", values)
    for name, place in zip(column.groups, name_places(places, column), strict=True):
        np.testing.assert_allclose(place, corners["abc".index(name)], atol=1.5)


def test_groups_that_are_mixed_everywhere_are_not_named():
    random = np.random.default_rng(0)
    places = random.uniform(size=(3000, 2)).astype(np.float32)
    mixed = colour_by_names("label", random.choice([f"m{i}" for i in range(12)], 3000).tolist())
    assert name_places(places, mixed) == [None] * 12


def linear(colour):
    values = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


# Full loss of one kind of cone: Machado, Oliveira & Fernandes 2009, on linear RGB.
EYES = {
    "all cones": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                 [-0.01182, 0.04294, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                [0.004733, 0.691367, 0.3039]],
}  # fmt: skip
# Linear RGB to OKLab (Ottosson 2020).
TO_CONES = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                     [0.2119034982, 0.6806995451, 0.1073969566],
                     [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
TO_LAB = np.array([[0.2104542553, 0.793617785, -0.0040720468],
                   [1.9779984951, -2.428592205, 0.4505937099],
                   [0.0259040371, 0.7827717662, -0.808675766]])  # fmt: skip


def page_colours():
    source = (HOME / "colours.js").read_text("utf-8")
    found = {}
    for name in ("GROUPS", "STEPS", "OTHERS"):
        body = re.search(rf"export const {name} = \{{(.*?)\}};", source, re.DOTALL)[1]
        for theme in ("light", "dark"):
            part = re.search(rf"{theme}: (\[.*?\]|\"#\w+\")", body, re.DOTALL)[1]
            found[name, theme] = tuple(re.findall(r"#[0-9a-f]{6}", part))
    return found


def test_page_and_pictures_have_the_same_colours():
    colours = page_colours()
    assert colours["GROUPS", "light"] == GROUP_COLOURS
    assert colours["STEPS", "light"] == STEP_COLOURS
    assert colours["OTHERS", "light"] == (OTHERS_COLOUR,)


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colour_blind_eyes_tell_the_colours_apart(theme, eyes):
    colours = np.array([linear(colour) for colour in page_colours()["GROUPS", theme]])
    seen = np.clip(colours @ np.array(EYES[eyes]).T, 0, 1)
    lab = np.cbrt(seen @ TO_CONES.T) @ TO_LAB.T
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=2)[np.triu_indices(len(lab), 1)]
    # 0.02 is about what is just noticed side by side; Okabe and Ito's eight come down to 0.04.
    assert apart.min() > 0.1


# the page


def read_page(path):
    """Read a map page's data as its JavaScript does, but written anew."""
    page = path.read_text("utf-8")
    blocks = {
        name: gzip.decompress(base64.b64decode(content))
        for name, content in re.findall(
            r'<script type="application/octet-stream" id="data-([\w-]+)">([\w+/=]*)</script>', page
        )
    }

    def numbers(name, width):
        planes = np.frombuffer(blocks[name], np.uint8).reshape(width, -1).astype(np.int64)
        return sum(plane << (8 * at) for at, plane in enumerate(planes))

    about = json.loads(blocks["about"])
    count, k = about["count"], about["k"]
    codes = numbers("neighbours", 4).reshape(k, count) if k else np.zeros((0, count), np.int64)
    signed = np.where(codes % 2, -(codes + 1) // 2, codes // 2)
    falls = numbers("cosines", 2).reshape(k, count) if k else np.zeros((0, count), np.int64)
    data = {
        "about": about,
        "ids": json.loads(blocks["ids"]),
        "names": json.loads(blocks["names"]),
        "rows": numbers("rows", 4).tolist(),
        "neighbours": (signed + np.arange(count)).T,
        "cosines": ((2 * falls[:1] - np.cumsum(falls, axis=0)) / 10000 - 1).T,
        "columns": [
            np.frombuffer(blocks[f"column-{at}"], np.uint8) for at in range(len(about["columns"]))
        ],
        "layouts": {
            one["key"]: numbers(one["key"], 2).reshape(2, count).T for one in about["layouts"]
        },
    }
    if about["texts"]:
        texts = json.loads(blocks["texts"])
        data["texts"] = [texts[at] for at in numbers("text-of", 4)]
    return data


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
    draw_map(space, title=HOSTILE[0] + HOSTILE[2], layouts="tsne")
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
    assert sorted(MODULES) == sorted(path.stem for path in HOME.glob("*.js"))
    script = join_modules()
    assert "import {" not in script
    assert not re.search(r"^export ", script, re.MULTILINE)
    assert "</script" not in script
    for name in MODULES:
        for needed in re.findall(r"= module_(\w+);", script.split(f"module_{name} =")[1]):
            assert needed in MODULES
    for at, name in enumerate(MODULES):
        source = (HOME / f"{name}.js").read_text("utf-8")
        assert set(re.findall(r'from "\./(\w+)\.js"', source)) <= set(MODULES[:at])


# the pictures


def test_the_picture_shows_the_groups_in_their_colours(drawn):
    picture = np.rint(imread(drawn / "map.png")[:, :, :3] * 255).astype(int)
    assert picture.shape[1] > 1500
    for colour in GROUP_COLOURS[: len(LABELS)]:
        wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
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
    draw_map(space, title=" ".join(HOSTILE), layouts="tsne")
    assert (space / "map.svg").stat().st_size > 10_000
