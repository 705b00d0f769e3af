"""Whitening, all-but-the-top, random projection and truncation against numpy in float64."""

import json

import numpy as np
import pytest
from test_reduce import space, vectors_like_a_models

from kgtextvec.disk import expected_sizes
from kgtextvec.errors import InputError
from kgtextvec.reduce.verbs import apply_pca, fit_pca
from kgtextvec.registry import SPACES


def reduced(tmp_path, vectors, name, others=None):
    """The space's vectors and manifest; `others` is a second table, projected on the same basis."""
    full = space(tmp_path / "full", vectors)
    basis = tmp_path / f"{name}.npz"
    if SPACES[name].fit:
        fit_pca(full / "embeddings.npy", space=name, out=basis)
    given = full if others is None else space(tmp_path / "other", others)
    out = tmp_path / f"out-{name}"
    apply_pca(given, pca=basis if basis.exists() else None, space=name, out_dir=out)
    return np.load(out / "embeddings.npy"), json.loads((out / "manifest.json").read_text())


def components_of(vectors, n):
    """Mean, the first n components and their variances, by numpy's SVD."""
    exact = vectors.astype(np.float64)
    mean = exact.mean(axis=0)
    _, singular, turned = np.linalg.svd(exact - mean, full_matrices=False)
    return mean, turned[:n], singular[:n] ** 2 / (len(vectors) - 1)


def test_whitened_components_have_variance_one_and_are_those_of_numpy(tmp_path):
    vectors = vectors_like_a_models(400, 12)
    found, manifest = reduced(tmp_path, vectors, "pca5-white")
    mean, components, variances = components_of(vectors, 5)
    expected = (vectors - mean) @ components.T / np.sqrt(variances)
    signs = np.sign((found * expected).sum(axis=0))
    assert found == pytest.approx(expected * signs, abs=1e-5)
    assert np.cov(found.T) == pytest.approx(np.eye(5), abs=1e-5)
    assert manifest["space"] == "pca5-white" and manifest["dims"] == 5
    assert manifest["pca"]["whitened"] is True and manifest["pca"]["fit_rows"] == 400


def test_whitening_leaves_components_without_variance_at_zero(tmp_path):
    vectors = np.repeat(vectors_like_a_models(3, 6), 4, axis=0)
    found, manifest = reduced(tmp_path, vectors, "pca4-white")
    assert manifest["pca"]["rank"] == 2 and not found[:, 2:].any()
    assert np.isfinite(found).all()


def test_all_but_the_top_takes_out_mean_and_components_of_the_fitted_table(tmp_path):
    vectors, others = vectors_like_a_models(3000, 10), vectors_like_a_models(1500, 10, seed=1)
    found, manifest = reduced(tmp_path, vectors, "abtt2", others)
    mean, components, variances = components_of(vectors, 10)
    centred = others - mean
    expected = centred - centred @ components[:2].T @ components[:2]
    assert found == pytest.approx(expected, abs=2e-5)
    assert np.abs(found @ components[:2].T).max() < 1e-4
    assert manifest["dims"] == 10 and manifest["pca"]["removed"] == 2
    share = variances[2:].sum() / variances.sum()
    assert manifest["pca"]["explained_variance_share"] == pytest.approx(share, rel=1e-6)


def test_a_random_projection_is_the_same_for_every_table_and_keeps_lengths(tmp_path):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 300)).astype(np.float32)
    found, manifest = reduced(tmp_path / "a", vectors, "rp200")
    again, _ = reduced(tmp_path / "b", vectors[:7], "rp200")
    assert (found[:7] == again).all()
    lengths = np.linalg.norm(found, axis=1) / np.linalg.norm(vectors, axis=1)
    assert lengths == pytest.approx(1, abs=0.2)
    basis = np.linalg.lstsq(vectors.astype(np.float64), found.astype(np.float64), rcond=None)[0]
    assert vectors @ basis == pytest.approx(found, abs=1e-3), "linear"
    assert manifest["pca"]["seed"] == 0 and manifest["dims"] == 200


def test_truncation_takes_the_first_dims_and_no_more_than_there_are(tmp_path):
    vectors = vectors_like_a_models(5, 8)
    found, manifest = reduced(tmp_path / "a", vectors, "trunc3")
    assert (found == vectors[:, :3]).all() and manifest["dims"] == 3
    with pytest.raises(InputError, match=r"trunc9 asks for 9 dims, the model has 8\. Ask for 1 to"):
        reduced(tmp_path / "b", vectors, "trunc9")


def test_dims_are_those_in_the_name_or_the_models():
    names = ("pca64", "pca64-white", "rp32", "trunc256", "abtt2", "full")
    assert [SPACES[name].dims_in(name) for name in names] == [64, 64, 32, 256, None, None]
    for name in ("abtt0", "rp", "pca5-whit", "trunc-1"):
        assert name not in SPACES


def test_the_estimate_of_disk_space_knows_the_dims(tmp_path):
    table = tmp_path / "e.tsv"
    table.write_text("id\tname\n" + "x\ty\n" * 1000)
    plan = {"tables": {"e": str(table)}, "models": {"m": {"kind": "transformer", "dims": 100}}}
    sizes = {}
    for name in ("full", "abtt2", "rp50", "pca10-white"):
        given = plan | {"spaces": [name], "exports": [], "probes": {}}
        found = expected_sizes(given, *(tmp_path / part for part in "abcd"))
        sizes[name] = sum(found.values())
    assert sizes["full"] == sizes["abtt2"] > sizes["rp50"] > sizes["pca10-white"]
