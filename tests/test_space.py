"""The Python face: kgtextvec.open, get, align."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from export_spaces import ENTITIES, RELATION_TYPES, entity_space, expected, relation_space
from hypothesis import given, settings
from hypothesis import strategies as st

import kgtextvec
from kgtextvec.errors import InputError
from kgtextvec.matrices import open_matrix, take_rows

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return entity_space(tmp_path_factory.mktemp("space") / "entities")


def test_vectors_are_mapped_and_index_and_manifest_are_there(folder):
    space = kgtextvec.open(folder)
    assert isinstance(space.vectors, np.memmap)
    assert not space.vectors.flags.writeable
    np.testing.assert_array_equal(space.vectors, np.load(folder / "embeddings.npy"))
    assert space.index["name"].tolist() == [name for _, _, name in ENTITIES]
    assert len(space) == len(ENTITIES)
    assert space.manifest["space"] == "pca6"
    assert kgtextvec.open(str(folder / "embeddings.npy")).dims == 6


def test_get_takes_node_ids_and_ids_of_one_label(folder):
    space, want = kgtextvec.open(folder), expected(folder)
    for node_id, vector in want.items():
        np.testing.assert_array_equal(space.get(node_id), vector)
    np.testing.assert_array_equal(space.get("ENTREZ:672"), want["Gene::ENTREZ:672"])
    # Twice under one label is the same node: the first row counts.
    np.testing.assert_array_equal(space.get("ENTREZ:7157"), want["Gene::ENTREZ:7157"])


def test_an_unknown_id_and_an_id_under_two_labels_are_key_errors_that_say_why(folder):
    space = kgtextvec.open(folder)
    with pytest.raises(KeyError, match=r"no row has the id 'Gene::ENTREZ:1'"):
        space.get("Gene::ENTREZ:1")
    with pytest.raises(KeyError, match=r"'MESH:D000544' occurs under several labels \(Disease, Sy"):
        space.get("MESH:D000544")


def test_relation_types_are_found_by_their_type(tmp_path):
    space = kgtextvec.open(relation_space(tmp_path / "r"))
    np.testing.assert_array_equal(space.get(RELATION_TYPES[1]), space.vectors[1])


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_align_gives_each_id_its_vector_in_any_order(folder, data):
    want = expected(folder)
    ids = data.draw(st.lists(st.sampled_from([*want, "ENTREZ:672"]), max_size=20))
    found = kgtextvec.open(folder).align(ids)
    assert found.shape == (len(ids), 6) and found.dtype == np.float32
    for one, vector in zip(ids, found, strict=True):
        np.testing.assert_array_equal(vector, want.get(one, want["Gene::ENTREZ:672"]))


def test_align_takes_other_sequences_than_lists(folder):
    space = kgtextvec.open(folder)
    index = space.index.sort_values("name")
    ids = index["node_id"][index["node_id"].str.startswith("Disease")]
    np.testing.assert_array_equal(space.align(ids), space.vectors[ids.index.to_numpy()])
    np.testing.assert_array_equal(space.align(np.array(list(ids))), space.align(tuple(ids)))


def test_missing_ids_stop_or_are_filled_as_asked(folder):
    space = kgtextvec.open(folder)
    ids = ["Gene::X:1", "Gene::ENTREZ:672", "Virus::X:2", "MESH:D000544"]
    with pytest.raises(InputError, match=r"3 of 4 ids have no row: Gene::X:1, Virus::X:2, MESH:D"):
        space.align(ids)
    vectors = np.load(folder / "embeddings.npy").astype(np.float64)
    genes = np.array([label == "Gene" for label, _, _ in ENTITIES])
    means = space.align(ids, missing="mean_of_label")
    np.testing.assert_allclose(means[0], vectors[genes].mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(means[1], expected(folder)["Gene::ENTREZ:672"])
    np.testing.assert_allclose(means[2], vectors.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(means[3], vectors.mean(axis=0), atol=1e-6)
    with pytest.raises(InputError, match="'zeros' is not a policy"):
        space.align(ids, missing="zeros")


def test_random_vectors_have_the_tables_scale_and_depend_on_id_and_seed_alone(tmp_path):
    vectors = np.random.default_rng(3).normal([1, -2, 0], [0.1, 3, 1e-3], (500, 3))
    rows = [("Gene", f"X:{i}", "n") for i in range(500)]
    space = kgtextvec.open(entity_space(tmp_path / "e", rows, vectors=vectors.astype(np.float32)))
    ids = [f"Gene::Y:{i}" for i in range(2000)]
    found = space.align(ids, missing="random", seed=5)
    np.testing.assert_allclose(found.mean(axis=0), vectors.mean(axis=0), atol=0.3)
    np.testing.assert_allclose(found.std(axis=0), vectors.std(axis=0), rtol=0.1)
    np.testing.assert_array_equal(space.align(ids[::-1], missing="random", seed=5), found[::-1])
    assert not np.array_equal(space.align(ids, missing="random", seed=6), found)
    assert len(np.unique(found[:, 0])) == len(ids)


def test_damaged_spaces_are_refused(folder, tmp_path):
    for name in ("embeddings.npy", "manifest.json", "index.parquet"):
        broken = tmp_path / name
        broken.mkdir()
        for path in folder.iterdir():
            if path.name != name:
                (broken / path.name).write_bytes(path.read_bytes())
        with pytest.raises(InputError, match="not there"):
            kgtextvec.open(broken)


def test_rows_are_taken_in_any_order(folder):
    matrix = open_matrix(folder / "embeddings.npy")
    vectors = np.load(folder / "embeddings.npy")
    for rows in ([], [3], [0, 1, 2, 3], [7, 0, 0, 5, 6, 7, 4]):
        wanted = np.array(rows, np.int64)
        np.testing.assert_array_equal(take_rows(matrix, wanted), vectors[wanted])


def test_nothing_of_torch_is_loaded(folder):
    code = (
        "import sys, kgtextvec; space = kgtextvec.open(sys.argv[1]);"
        "space.align(['Gene::X'], missing='random'); space.index; sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], env={"PYTHONPATH": str(ROOT / "src")}
    )
    assert done.returncode == 0
