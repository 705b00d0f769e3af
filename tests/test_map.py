"""Maps: neighbours, layouts, the verb and its errors."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from map_space import read_page, write_space
from sklearn.manifold import trustworthiness

from kgtextvec.__main__ import main
from kgtextvec.errors import InputError
from kgtextvec.report.map import draw_map
from kgtextvec.report.map.layout import compute_layouts, nearest, roughly_nearest, unit_vectors
from kgtextvec.settings.spaces import MapLayout

SOURCE = Path(__file__).resolve().parents[1] / "src"
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


def test_umap_does_not_wait_for_the_search_that_it_does_not_use():
    """pynndescent is left uncompiled for umap-learn, and compiled for whoever searches by it."""
    code = (
        "import sys; from numba.core.registry import CPUDispatcher;"
        "from kgtextvec.report.map.layout import umap_learn; umap = umap_learn();"
        "assert isinstance(umap.smooth_knn_dist, CPUDispatcher);"
        "assert not any(name.startswith('pynndescent') for name in sys.modules);"
        "named = umap.pynn_named_distances['euclidean'];"
        "assert not isinstance(named, CPUDispatcher)"
    )
    subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(SOURCE)}, check=True
    )


def laid_out(values, seed=0):
    units = unit_vectors(values)
    found, cosines = nearest(units, 90)
    return compute_layouts(units, found, cosines, ("tsne", "umap"), seed)


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
    digests = [f".{name}.sha256" for name in OUTPUTS]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*OUTPUTS, *digests])


def test_another_seed_gives_another_layout(drawn, tmp_path):
    draw_map(drawn, out_dir=tmp_path, layout=MapLayout(seed=1, layouts=("umap",)))
    table = pq.read_table(tmp_path / "layout.parquet").to_pandas()
    assert table["tsne_x"].isna().all()
    before = pq.read_table(drawn / "layout.parquet").to_pandas()
    assert not np.allclose(table["umap_x"], before["umap_x"])


def test_above_max_drawn_a_seeded_sample_is_drawn_and_said(drawn, tmp_path):
    layout = MapLayout(max_drawn=50, layouts=("tsne",))
    draw_map(drawn, out_dir=tmp_path, layout=layout)
    table = pq.read_table(tmp_path / "layout.parquet").to_pandas()
    kept = np.flatnonzero(table["tsne_x"].notna())
    assert len(table) == 120
    assert len(kept) == 50
    data = read_page(tmp_path / "map.html")
    assert sorted(data["rows"]) == kept.tolist()
    assert "50 of 120" in data["about"]["note"]
    draw_map(drawn, out_dir=tmp_path / "again", layout=layout)
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
    ("flags", "values", "message"),
    [
        (["--color-by", "colour"], None, "no column 'colour'.*label"),
        (["--layouts", "pca"], None, "'pca'.*tsne, umap"),
        (["--layouts", ""], None, "--layouts.*length >= 1"),
        (["--max-points", "0"], None, "--max-points.*>= 10"),
        ([], nan_in_row_7(), "row 7 holds NaN"),
        ([], np.ones((19, 4), dtype=np.float32), r"embeddings\.npy has 19 rows.* has 20"),
        (["--texts", "nowhere"], None, "nowhere: no shard"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_line(tmp_path, capsys, flags, values, message):
    space = write_space(tmp_path, n=20, **({} if values is None else {"values": values}))
    assert main(["draw-map", str(space), *flags]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("ERROR: ") and re.search(message, error)
    assert not any((space / name).exists() for name in OUTPUTS)


def test_an_empty_or_absent_space_is_an_error(tmp_path, capsys):
    assert main(["draw-map", str(tmp_path)]) == 2
    assert "ERROR" in capsys.readouterr().err
    space = write_space(tmp_path / "none", n=0)
    with pytest.raises(InputError, match="no rows"):
        draw_map(space)
