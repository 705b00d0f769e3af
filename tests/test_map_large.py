"""Maps above `max_points` rows: all rows are drawn, those not laid out next to their like."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from map_browser import opened, place, still
from map_space import read_page, write_space
from playwright.sync_api import Browser

from kgtextvec.errors import InputError
from kgtextvec.report.map import draw_map
from kgtextvec.report.map.colouring import colour_by_names
from kgtextvec.report.map.page import MapData, render_map_page
from kgtextvec.report.map.placing import place_rows
from kgtextvec.settings.spaces import MapLayout

# Text, left and right end and middle of each name on the map, in pixels.
NAMES = """() => {
  const pen = document.createElement("canvas").getContext("2d");
  return module_overlay.placedNames(kgtextvecMap, pen).map(({ text, x, y, align, font }) => {
    pen.font = font;
    const wide = pen.measureText(text).width;
    const left = x - { left: 0, center: wide / 2, right: wide }[align];
    return [text, left, left + wide, y];
  });
}"""
LAYOUT = MapLayout(max_points=60, layouts=("tsne",))


def places_of(folder: Path) -> np.ndarray:
    table = pq.read_table(folder / "layout.parquet").to_pandas()
    return table[["tsne_x", "tsne_y"]].to_numpy()


def test_rows_that_are_not_laid_out_are_at_the_median_of_the_three_most_like_them(tmp_path):
    space = write_space(tmp_path, n=200)
    draw_map(space, layout=LAYOUT, texts=space / "shards")
    places = places_of(space)
    assert np.isfinite(places).all()
    about = json.loads(pq.read_schema(space / "layout.parquet").metadata[b"kgtextvec"])
    assert (about["drawn"], about["laid_out"]) == (200, 60)
    # The sample, drawn anew: numpy's Generator, seed 0, without replacement.
    laid_out = np.sort(np.random.default_rng(0).choice(200, 60, replace=False))
    values = np.load(space / "embeddings.npy").astype(np.float64)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    for row in np.setdiff1d(np.arange(200), laid_out):
        three = sorted(laid_out, key=lambda other, row=row: -(values[other] @ values[row]))[:3]
        np.testing.assert_allclose(places[row], np.median(places[three], axis=0), atol=1e-5)


def test_the_page_of_a_large_table_has_all_rows_and_says_what_it_leaves_out(tmp_path):
    space = write_space(tmp_path, n=200)
    draw_map(space, layout=LAYOUT, texts=space / "shards")
    data = read_page(space / "map.html")
    assert sorted(data["rows"]) == list(range(200))
    assert "A seeded sample of 60 rows is laid out" in data["about"]["note"]
    assert data["about"]["k"] == 0
    assert "texts" not in data
    draw_map(space, layout=LAYOUT, out_dir=tmp_path / "again")
    for name in ("layout.parquet", "map.html", "map.png"):
        assert (tmp_path / "again" / name).read_bytes() == (space / name).read_bytes()


def test_rows_are_placed_in_the_cluster_that_they_are_of(tmp_path):
    """Also when they are compared with a sample of the laid-out rows."""
    random = np.random.default_rng(0)
    dims, per_group = 400, 1500
    centres = random.normal(size=(4, dims)).astype(np.float32)
    group = np.repeat(np.arange(4), per_group)
    known = centres[group] + random.normal(size=(4 * per_group, dims)).astype(np.float32)
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    corners = np.array([[0, 0], [9, 0], [0, 9], [9, 9]], np.float32)[group]
    asked = random.integers(0, 4, 300)
    vectors = (centres[asked] + random.normal(size=(300, dims))).astype(np.float32)
    found = place_rows(np.arange(300), vectors.__getitem__, known, {"umap": corners}, seed=0)
    np.testing.assert_array_equal(found["umap"], np.array([[0, 0], [9, 0], [0, 9], [9, 9]])[asked])


def test_nan_in_a_row_that_is_not_laid_out_is_an_error_before_the_layout(tmp_path, capsys):
    laid_out = np.random.default_rng(0).choice(100, 60, replace=False)
    values = np.random.default_rng(1).normal(size=(100, 4)).astype(np.float32)
    row = np.setdiff1d(np.arange(100), laid_out)[5]
    values[row, 1] = np.inf
    space = write_space(tmp_path, n=100, values=values)
    with pytest.raises(InputError, match=f"row {row} holds NaN or infinity"):
        draw_map(space, layout=LAYOUT)
    assert "t-SNE" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_page_of_300_000_points_draws_each_of_them(browser: Browser, tmp_path: Path) -> None:
    """20 points lie alone on a circle round the others: a page of a sample would lack some."""
    n, alone = 300_000, np.arange(20)
    random = np.random.default_rng(0)
    rows = random.permutation(n)
    places = random.normal(scale=0.1, size=(n, 2)).clip(-0.5, 0.5).astype(np.float32)
    places[rows[alone]] = np.stack([np.cos(alone * np.pi / 10), np.sin(alone * np.pi / 10)]).T
    labels = np.full(n, "Gene", dtype=object)
    labels[rows[alone]] = "Disease"
    empty = np.empty((n, 0))
    page_text = render_map_page(
        MapData(
            title="Large",
            facts="",
            note="",
            rows=np.arange(n),
            ids=[f"T:{i}" for i in range(n)],
            names=[f"entity {i}" for i in range(n)],
            texts=None,
            columns=[colour_by_names("label", labels.tolist())],
            positions={"tsne": places},
            neighbours=empty.astype(np.int32),
            cosines=empty.astype(np.float32),
        )
    )
    (tmp_path / "map.html").write_text(page_text, "utf-8")
    page, seen = opened(browser, tmp_path / "map.html")
    assert page.evaluate("kgtextvecMap.data.count") == n
    page.evaluate("kgtextvecMap.setNames(false)")
    # The second colour of the theme, #ff8700, at the place of each lone point.
    found = page.evaluate(
        "names => { const app = kgtextvecMap, { gl } = app.scene; app.frame(performance.now());"
        " const one = new Uint8Array(4); return names.map(name => {"
        " const [x, y] = app.place(app.data.names.indexOf(name));"
        " gl.readPixels(x * app.ratio, gl.drawingBufferHeight - y * app.ratio, 1, 1, gl.RGBA,"
        " gl.UNSIGNED_BYTE, one); return [...one]; }); }",
        [f"entity {row}" for row in rows[alone]],
    )
    for red, green, blue, opacity in found:
        # A point covers little more than a pixel, so its edge is mixed with the ground.
        assert opacity > 120 and red > 0.8 * opacity and 0.4 < green / red < 0.65 and blue < 60
    page.evaluate("kgtextvecMap.setNames(true)")
    assert "Gene" in [text for text, *_ in page.evaluate(NAMES)], "the cluster's name"
    # Where a few hundred of the cluster's points are in view, they have names.
    page.evaluate("kgtextvecMap.camera.show(0.17, 0.1, 200)")
    still(page)
    boxes = page.evaluate(NAMES)
    assert 20 < len(boxes) <= 300
    assert all(text.startswith("entity ") for text, *_ in boxes if text != "Gene")
    for i, (_, left, right, y) in enumerate(boxes):
        for _, other_left, other_right, other_y in boxes[:i]:
            assert right <= other_left or other_right <= left or abs(y - other_y) >= 12
    wanted = f"entity {rows[7]}"
    page.locator("#search").fill(wanted)
    page.keyboard.press("Enter")
    still(page)
    box = page.locator("#points").bounding_box()
    left, top = place(page, wanted)
    assert abs(left - box["x"] - box["width"] / 2) < 3
    assert abs(top - box["y"] - box["height"] / 2) < 3
    assert page.locator("#details-title").inner_text() == wanted
    assert not page.locator("#neighbours-title").is_visible()
    assert seen.told == []
    assert seen.requests == [(tmp_path / "map.html").as_uri()]
    page.context.close()
