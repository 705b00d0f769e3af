"""kgtextvec.encode and kgtextvec.pca: the engine and the store of the workflow, from Python."""

import subprocess
import sys

import numpy as np
import pytest
from plain_loop import plain_loop
from safetensors.numpy import load_file
from sklearn.decomposition import PCA
from tiny_models import tiny_bert
from workflow_run import ROOT

import kgtextvec
from kgtextvec.errors import InputError

TEXTS = ["acute kinase", "binding factor of the cell", "acute kinase", "receptor", "gene"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("model") / "tiny")


def n_stored(work):
    return sum(len(load_file(path)["keys"]) for path in (work / "store").rglob("*.safetensors"))


def test_row_i_is_the_vector_of_text_i_and_equal_texts_are_computed_once(model, tmp_path):
    vectors = kgtextvec.encode(TEXTS, str(model), work=tmp_path)
    assert vectors.dtype == np.float32
    assert np.abs(vectors - plain_loop(model, TEXTS, 512)).max() <= 1e-5
    assert n_stored(tmp_path) == 4


def test_what_the_store_has_is_not_computed_again(model, tmp_path, capsys):
    first = kgtextvec.encode(TEXTS, str(model), work=tmp_path)
    again = kgtextvec.encode([*TEXTS[::-1], "chronic disease"], str(model), work=tmp_path)
    assert np.array_equal(again[:5], first[::-1])
    assert n_stored(tmp_path) == 5
    assert "5 texts, 4 from the store" in capsys.readouterr().err


def test_pooling_is_a_key_of_the_store(model, tmp_path):
    mean = kgtextvec.encode(TEXTS, str(model), work=tmp_path)
    cls = kgtextvec.encode(TEXTS, str(model), pooling="cls", work=tmp_path)
    assert np.abs(mean - cls).max() > 1e-3
    assert len(list((tmp_path / "store").iterdir())) == 2


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one", "texts: is one string"),
        (["a", float("nan")], r"texts\[1\]: is float"),
        (["a", " "], r"texts\[1\]: is empty"),
        (["a", "\ud800"], r"texts\[1\]: has a lone surrogate"),
    ],
)
def test_what_is_no_text_is_named(model, tmp_path, texts, message):
    with pytest.raises(InputError, match=message):
        kgtextvec.encode(texts, str(model), work=tmp_path)


def test_a_wrong_setting_is_named(model, tmp_path):
    with pytest.raises(InputError, match=r"encode, pooling: .*mena"):
        kgtextvec.encode(TEXTS, str(model), pooling="mena", work=tmp_path)


def test_no_texts_give_no_rows(model, tmp_path):
    assert kgtextvec.encode([], str(model), work=tmp_path).shape == (0, 32)


def test_pca_is_exact_and_applies_to_other_vectors():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 20)).astype(np.float32) @ rng.normal(size=(20, 20))
    vectors = vectors.astype(np.float32)
    basis = kgtextvec.pca(vectors, 5)
    reference = PCA(5, svd_solver="full").fit(vectors.astype(np.float64))
    others = rng.normal(size=(7, 20)).astype(np.float32)
    for block in (vectors, others):
        assert np.allclose(
            np.abs(basis.apply(block)), np.abs(reference.transform(block)), atol=1e-3
        )
    assert np.allclose(basis.explained_variance_ratio, reference.explained_variance_ratio_)


def test_pca_names_the_row_that_is_not_finite():
    vectors = np.ones((4, 3), np.float32)
    vectors[2, 1] = np.nan
    with pytest.raises(InputError, match=r"vectors\[2\]: holds NaN or Inf"):
        kgtextvec.pca(vectors, 2)
    with pytest.raises(InputError, match=r"pca: 4 dims of vectors of shape \(4, 3\)"):
        kgtextvec.pca(np.ones((4, 3)), 4)
    with pytest.raises(InputError, match=r"the basis was fitted on \(n, 3\)"):
        kgtextvec.pca(np.eye(3), 2).apply(np.ones((1, 4)))


def test_a_notebook_draws_one_bar_in_place(model, tmp_path):
    """A real kernel: the bar is a display that is updated, not lines of output."""
    from nbclient import NotebookClient
    from nbformat import v4

    code = f"""
import kgtextvec
kgtextvec.encode({TEXTS!r}, {str(model)!r}, work={str(tmp_path)!r}).shape
"""
    notebook = v4.new_notebook(cells=[v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=300).execute()
    outputs = notebook.cells[0].outputs
    bars = [
        one.data["text/html"]
        for one in outputs
        if one.output_type == "display_data" and "text/html" in one.data
    ]
    assert len(bars) == 1
    assert bars[0].startswith('<progress max="1" value="1.0000"></progress> embed: 4/4 texts')
    assert outputs[-1].data["text/plain"] == "(5, 32)"


def test_importing_the_package_loads_nothing_heavy():
    code = "import kgtextvec, sys; print(sorted({'numpy', 'torch', 'pyarrow'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "src", capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
