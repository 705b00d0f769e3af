"""PCA on disk against scikit-learn's full SVD and plain numpy."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from kgtextvec.checksums import xxh3_of
from kgtextvec.errors import InputError
from kgtextvec.files import sha256_of
from kgtextvec.matrices import blocks, open_matrix
from kgtextvec.reduce import pca
from kgtextvec.reduce.upstream import fit_upstream, repeated
from kgtextvec.reduce.verbs import apply_pca, fit_pca
from kgtextvec.settings.models import Mode

ROOT = Path(__file__).resolve().parents[1]
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux's /proc")


def vectors_like_a_models(n, d, mean=50.0, seed=0):
    """Correlated dims with falling variances around a mean far from 0, as models give them."""
    random = np.random.default_rng(seed)
    turn = np.linalg.qr(random.standard_normal((d, d)))[0]
    spread = random.standard_normal((n, d)) * np.arange(1, d + 1) ** -0.8
    return (spread @ turn + random.standard_normal(d) * mean).astype(np.float32)


def saved(folder, vectors):
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "embeddings.npy", vectors)
    return folder / "embeddings.npy"


def space(folder, vectors, **more):
    path = saved(folder, vectors)
    index = {"row": np.arange(len(vectors)), "id": [f"X:{i}" for i in range(len(vectors))]}
    pq.write_table(pa.table(index), folder / "index.parquet")
    manifest = {
        "model": {"name": "m"},
        "table": "entities",
        "kind": "entities",
        "space": "full",
        "rows": len(vectors),
        "dims": vectors.shape[1],
        "recipe": {"embed_shard": 1},
        "vectors_xxh3": xxh3_of(path),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest | more))
    return folder


def fitted(tmp_path, vectors, dims, mode="correct"):
    out = tmp_path / f"pca{dims}.npz"
    fit_pca(saved(tmp_path / "fit", vectors), space=f"pca{dims}", out=out, mode=Mode(mode=mode))
    with np.load(out, allow_pickle=False) as file:
        return dict(file)


def test_agrees_with_full_svd_on_many_rows_with_a_large_mean(tmp_path):
    vectors = vectors_like_a_models(9_000, 1024)
    ours = fitted(tmp_path, vectors, 400)
    theirs = PCA(400, svd_solver="full").fit(vectors.astype(np.float64))
    np.testing.assert_allclose(ours["mean"], theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(ours["explained_variance"], theirs.explained_variance_, rtol=1e-9)
    np.testing.assert_allclose(
        ours["explained_variance_ratio"], theirs.explained_variance_ratio_, rtol=1e-9
    )
    # The subspace's own measure: sines of the principal angles; then each component with its sign.
    inside = theirs.components_ @ ours["components"].T @ ours["components"]
    assert np.linalg.norm(theirs.components_ - inside, 2) < 1e-9
    np.testing.assert_allclose(ours["components"], theirs.components_, atol=1e-8)
    assert ours["rank"] == 400 and ours["n_rows"] == 9_000


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 40), st.integers(1, 12), st.integers(1, 12), st.floats(0, 1e4), st.integers(0, 9)
)
def test_small_matrices_agree_with_an_svd(n, d, dims, mean, seed):
    dims = min(dims, d)
    random = np.random.default_rng(seed)
    vectors = (random.standard_normal((n, d)) + mean).astype(np.float32)
    centred = vectors.astype(np.float64) - vectors.astype(np.float64).mean(axis=0)
    covariance = centred.T @ centred / (n - 1)
    basis = pca.principal(vectors.mean(axis=0, dtype=np.float64), covariance, n, dims)
    singular = np.linalg.svd(centred, compute_uv=False)[:dims]
    want = np.zeros(dims)
    want[: len(singular)] = singular**2 / (n - 1)
    np.testing.assert_allclose(basis.explained_variance, want, atol=1e-12 * want[0])
    assert basis.rank <= min(n - 1, dims)
    gram = basis.components @ basis.components.T
    np.testing.assert_allclose(gram[: basis.rank, : basis.rank], np.eye(basis.rank), atol=1e-10)
    assert not basis.components[basis.rank :].any()
    got = pca.project(basis, vectors)
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, centred @ basis.components.T, atol=1e-5 * max(1, mean))


@pytest.mark.parametrize("n", [2, 63, 64, 65, 127, 128, 129, 200])
def test_block_edges_do_not_matter(tmp_path, monkeypatch, n):
    vectors = vectors_like_a_models(n, 16)
    whole = fitted(tmp_path / "a", vectors, 8)
    monkeypatch.setattr(pca, "rows_per_block", lambda dims: 64)
    pieces = fitted(tmp_path / "b", vectors, 8)
    rank = int(whole["rank"])
    assert rank == pieces["rank"] == min(8, n - 1)
    for key in ("mean", "explained_variance", "spectrum"):
        np.testing.assert_allclose(pieces[key], whole[key], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(pieces["components"][:rank], whole["components"][:rank], atol=1e-8)


def test_blocks_give_every_row_once_and_hash_the_file(tmp_path):
    import hashlib

    vectors = np.arange(70, dtype=np.float32).reshape(14, 5)
    path = saved(tmp_path, vectors)
    digest = hashlib.sha256()
    found = [(first, block.copy()) for first, block in blocks(open_matrix(path), 4, digest)]
    assert [first for first, _ in found] == [0, 4, 8, 12]
    np.testing.assert_array_equal(np.concatenate([block for _, block in found]), vectors)
    assert digest.hexdigest() == sha256_of(path)


def test_a_rerun_gives_the_same_bytes(tmp_path):
    path = saved(tmp_path, vectors_like_a_models(9000, 96))
    fit_pca(path, space="pca40", out=tmp_path / "a.npz")
    time.sleep(2.1)  # a zip's times have a step of two seconds
    fit_pca(path, space="pca40", out=tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_largest_entry_of_each_component_is_positive(tmp_path):
    components = fitted(tmp_path, vectors_like_a_models(500, 32), 20)["components"]
    largest = np.abs(components).argmax(axis=1)
    assert (components[np.arange(20), largest] > 0).all()


def test_few_rows_are_padded_with_exact_zeros_and_it_is_said(tmp_path, capsys):
    vectors = vectors_like_a_models(7, 512)
    path = space(tmp_path / "full", vectors) / "embeddings.npy"
    fit_pca(path, space="pca400", out=tmp_path / "p.npz")
    said = capsys.readouterr().err
    assert "only 6 components carry variance" in said and "394 are exact zeros" in said
    apply_pca(path.parent, pca=tmp_path / "p.npz", space="pca400", out_dir=tmp_path / "pca400")
    got = np.load(tmp_path / "pca400/embeddings.npy")
    assert got.shape == (7, 400) and got.dtype == np.float32
    assert not got[:, 6:].any() and not np.signbit(got[:, 6:]).any()
    # Six dims hold all there is: distances between rows stay as they were.
    before = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
    np.testing.assert_allclose(
        np.linalg.norm(got[:, None] - got[None], axis=-1), before, rtol=1e-5, atol=1e-5
    )
    about = json.loads((tmp_path / "pca400/manifest.json").read_text())["pca"]
    assert (about["rank"], about["padded"], about["fit_rows"]) == (6, 394, 7)
    assert about["explained_variance_share"] == pytest.approx(1.0)


def test_one_distinct_vector_gives_zeros_and_no_nan(tmp_path, capsys):
    vectors = np.tile(np.random.default_rng(0).standard_normal(48).astype(np.float32) * 9, (60, 1))
    folder = space(tmp_path / "full", vectors)
    fit_pca(folder / "embeddings.npy", space="pca5", out=tmp_path / "p.npz")
    assert "zero variance" in capsys.readouterr().err
    apply_pca(folder, pca=tmp_path / "p.npz", space="pca5", out_dir=tmp_path / "pca5")
    assert not np.load(tmp_path / "pca5/embeddings.npy").any()
    text = (tmp_path / "pca5/manifest.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["pca"]["explained_variance_share"] is None


def test_duplicates_of_few_texts_have_the_rank_of_the_texts(tmp_path):
    few = vectors_like_a_models(5, 64)
    assert fitted(tmp_path, few[np.arange(300) % 5], 10)["rank"] == 4


def test_a_single_row_cannot_be_fitted_but_can_be_projected(tmp_path):
    one = vectors_like_a_models(1, 32)
    with pytest.raises(InputError, match="needs at least 2 distinct vectors to fit"):
        fitted(tmp_path, one, 4)
    assert not (tmp_path / "pca4.npz").exists()
    fitted(tmp_path, vectors_like_a_models(100, 32, seed=1), 4)
    apply_pca(
        space(tmp_path / "one", one),
        pca=tmp_path / "pca4.npz",
        space="pca4",
        out_dir=tmp_path / "out",
    )
    assert np.load(tmp_path / "out/embeddings.npy").shape == (1, 4)


@pytest.mark.parametrize(
    "dims,message",
    [
        (0, r"'pca0' is not a known space\. .* pcaN"),
        (-1, r"'pca-1' is not a known space\. .* pcaN"),
        (33, r"config, spaces: .* has 32\. Ask for 1 to 32"),
    ],
)
def test_dims_outside_of_the_vectors_are_refused(tmp_path, dims, message):
    with pytest.raises(InputError, match=message):
        fitted(tmp_path, vectors_like_a_models(100, 32), dims)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("mode", ["correct", "faithful"])
def test_a_nan_or_inf_is_an_error_that_names_the_row(tmp_path, value, mode, monkeypatch):
    vectors = vectors_like_a_models(300, 8)
    fitted(tmp_path, vectors, 4)
    vectors[257, 3] = value
    monkeypatch.setattr(pca, "rows_per_block", lambda dims: 100)
    with pytest.raises(InputError, match="first at row 257"):
        fitted(tmp_path / "bad", vectors, 4, mode)
    assert not (tmp_path / "bad/pca4.npz").exists()
    with pytest.raises(InputError, match="first at row 257"):
        apply_pca(
            space(tmp_path / "full", vectors),
            pca=tmp_path / "pca4.npz",
            space="pca4",
            out_dir=tmp_path / "o",
        )
    assert not list((tmp_path / "o").iterdir())


def test_projection_is_float64s_within_its_rounding_and_the_manifest_tells_all(tmp_path):
    vectors = vectors_like_a_models(6000, 384)
    folder = space(tmp_path / "full", vectors)
    fit_pca(folder / "embeddings.npy", space="pca64", out=tmp_path / "p.npz", threads=1)
    apply_pca(folder, pca=tmp_path / "p.npz", space="pca64", out_dir=tmp_path / "pca64", threads=1)
    basis = pca.load_pca(tmp_path / "p.npz")
    got = np.load(tmp_path / "pca64/embeddings.npy", mmap_mode="r")
    want = (vectors.astype(np.float64) - basis.mean) @ basis.components.T
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-12)
    manifest = json.loads((tmp_path / "pca64/manifest.json").read_text())
    assert (manifest["space"], manifest["dims"], manifest["rows"]) == ("pca64", 64, 6000)
    assert manifest["vectors_xxh3"] == xxh3_of(tmp_path / "pca64/embeddings.npy")
    about = manifest["pca"]
    assert about["fit_on_digest"] == about["full_digest"] == xxh3_of(folder / "embeddings.npy")
    assert about["fit_on"] == "entities" and about["n_components"] == about["rank"] == 64
    # The spread that is kept, measured on the vectors themselves.
    share = got.var(axis=0, dtype=np.float64).sum() / vectors.astype(np.float64).var(axis=0).sum()
    assert about["explained_variance_share"] == pytest.approx(share, rel=1e-5)
    assert pq.read_table(tmp_path / "pca64/index.parquet").equals(
        pq.read_table(folder / "index.parquet")
    )


def test_a_table_of_no_rows_is_projected_to_no_rows(tmp_path):
    fitted(tmp_path, vectors_like_a_models(50, 8), 3)
    none = space(tmp_path / "none", np.empty((0, 8), np.float32))
    apply_pca(none, pca=tmp_path / "pca3.npz", space="pca3", out_dir=tmp_path / "out")
    assert np.load(tmp_path / "out/embeddings.npy").shape == (0, 3)


def test_what_does_not_fit_together_is_refused(tmp_path):
    fitted(tmp_path, vectors_like_a_models(50, 8), 3)
    basis = tmp_path / "pca3.npz"
    good = space(tmp_path / "good", vectors_like_a_models(9, 8))
    for folder, name, message in (
        (space(tmp_path / "wide", vectors_like_a_models(9, 9)), "pca3", "has 8 dims"),
        (good, "pca4", "holds 3 components"),
        (space(tmp_path / "short", vectors_like_a_models(9, 8), rows=10), "pca3", "10 rows"),
        (space(tmp_path / "twice", vectors_like_a_models(9, 8), space="pca8"), "pca3", "`full`"),
        (
            space(tmp_path / "other", vectors_like_a_models(9, 8), vectors_xxh3="0"),
            "pca3",
            "dama",
        ),
    ):
        with pytest.raises(InputError, match=message):
            apply_pca(folder, pca=basis, space=name, out_dir=tmp_path / "out")
    cut = basis.read_bytes()
    basis.write_bytes(cut[:-100])
    with pytest.raises(InputError, match="not a PCA"):
        apply_pca(good, pca=basis, space="pca3", out_dir=tmp_path / "out")
    with pytest.raises(InputError, match="not there"):
        apply_pca(good, pca=tmp_path / "no.npz", space="pca3", out_dir=tmp_path / "out")
    assert not list(tmp_path.glob("out/*"))


def test_a_file_that_is_no_float32_matrix_is_refused(tmp_path):
    path = tmp_path / "embeddings.npy"
    for write, message in (
        (lambda: np.save(path, np.zeros((3, 4))), "holds float64"),
        (lambda: np.save(path, np.zeros(12, np.float32)), r"\(12,\)"),
        (lambda: np.save(path, np.asfortranarray(np.ones((3, 4), np.float32))), "Fortran"),
        (lambda: path.write_bytes(b"hello, I am no array"), "not a .npy"),
        (lambda: path.write_bytes(b""), "not a .npy"),
        (lambda: path.unlink(), "not there"),
    ):
        write()
        with pytest.raises(InputError, match=message):
            open_matrix(path)
    np.save(path, np.zeros((30, 4), np.float32))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match="header announces"):
        open_matrix(path)


def test_an_altered_file_is_told_from_the_one_in_the_manifest(tmp_path):
    folder = space(tmp_path, vectors_like_a_models(50, 8))
    with (folder / "embeddings.npy").open("rb+") as file:
        file.seek(500)
        file.write(b"\x00\x00\x01\x3f")
    with pytest.raises(InputError, match="damaged or replaced"):
        fit_pca(folder / "embeddings.npy", space="pca3", out=tmp_path / "p.npz")
    assert not (tmp_path / "p.npz").exists()


def test_faithful_repeats_few_rows_and_keeps_the_distances(tmp_path):
    vectors = vectors_like_a_models(7, 64, mean=1.0)
    rows = repeated(vectors, 20)
    assert len(rows) == 28  # the script adds int(20 / 7) + 1 = 3 times the 7 rows
    np.testing.assert_array_equal(rows, np.concatenate([vectors] * 4))
    basis = fit_upstream(vectors, 20)
    got = pca.project(basis, vectors)
    want = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
    np.testing.assert_allclose(np.linalg.norm(got[:, None] - got[None], axis=-1), want, atol=1e-4)
    assert np.abs(got[:, 6:]).max() < 1e-5


def test_faithful_uses_the_random_solver_on_large_tables_and_records_its_seed(tmp_path):
    vectors = vectors_like_a_models(2000, 600, mean=0.1)
    found = fitted(tmp_path, vectors, 20, "faithful")
    assert (found["mode"], found["solver"], found["seed"]) == ("faithful", "randomized", 0)
    exact = PCA(20, svd_solver="full").fit(vectors.astype(np.float64))
    np.testing.assert_allclose(found["explained_variance"], exact.explained_variance_, rtol=0.05)
    assert not np.array_equal(found["components"], exact.components_)


def test_faithful_gives_zeros_for_one_distinct_vector(tmp_path):
    found = fitted(tmp_path, np.full((60, 8), 2.5, np.float32), 5, "faithful")
    assert found["total_variance"] == 0 and not np.isnan(found["explained_variance_ratio"]).any()


# VmHWM, not ru_maxrss: the latter starts at the size of the process that forked this one.
MEMORY = """
import sys
from pathlib import Path
def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])
import numpy
from kgtextvec.reduce.verbs import apply_pca, fit_pca
import kgtextvec.reduce.pca, kgtextvec.reduce.upstream, kgtextvec.matrices
folder = Path(sys.argv[1])
before = peak()
fit_pca(folder / "embeddings.npy", space="pca400", out=folder / "p.npz")
apply_pca(folder, pca=folder / "p.npz", space="pca400", out_dir=folder / "pca400")
print((peak() - before) / 1024)
"""


def megabytes_above_the_interpreter(folder):
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(folder)],
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def write_many_rows(folder, n):
    folder.mkdir(exist_ok=True)
    piece = vectors_like_a_models(1000, 1024)
    matrix = np.lib.format.open_memmap(
        folder / "embeddings.npy", "w+", dtype=np.float32, shape=(n, 1024)
    )
    for first in range(0, n, 1000):
        matrix[first : first + 1000] = piece + np.float32(first % 7)
    matrix.flush()
    del matrix
    pq.write_table(pa.table({"row": np.arange(n)}), folder / "index.parquet")
    manifest = {"model": {"name": "m"}, "table": "t", "kind": "entities", "space": "full"}
    manifest |= {"rows": n, "dims": 1024}
    (folder / "manifest.json").write_text(json.dumps(manifest))


@needs_proc
def test_memory_does_not_grow_with_rows(tmp_path):
    write_many_rows(tmp_path, 60_000)  # 245 MB, four times what the buffers take
    assert megabytes_above_the_interpreter(tmp_path) < 200


@needs_proc
@pytest.mark.slow
def test_300k_rows_of_1024_within_a_gigabyte(tmp_path):
    write_many_rows(tmp_path, 300_000)
    assert megabytes_above_the_interpreter(tmp_path) < 1000
