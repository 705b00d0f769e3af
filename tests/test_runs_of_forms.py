"""Runs of the workflow on each form that graphs are published in, loaded by the libraries.

The configs are the examples of config/README.md as they are written there, and those of init.
"""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from published_graphs import (
    DOCUMENTED,
    EDGES,
    NAMES,
    RELATIONS,
    WRITTEN_BY_INIT,
    example,
    kgx,
    primekg_by_names,
)
from tiny_models import tiny_bert
from workflow_run import Project

import kgtextvec
from kgtextvec.__main__ import main

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
FORMS = ("pykeen", "pyg", "word2vec", "faiss")
SPACE = "pca64"
# Forms whose edges have three columns and a header.
THREE_COLUMNS = ("Hetionet", "A table in which", "OBO Graphs JSON", "Excel")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("model") / "tiny", hidden=64, layers=1)


@pytest.fixture(scope="module")
def resources(tmp_path_factory):
    """The folder of the converted model, which all runs share."""
    return tmp_path_factory.mktemp("resources")


def common(model):
    """Return what the config of every run adds to that of its form."""
    return {
        "models": ["tiny"],
        "spaces": [SPACE],
        "exports": [*FORMS],
        "catalogue": {"tiny": {"source": f"path:{model}"}},
        "evaluate": {"scores": ["cold_start"]},
        "report": {"maps": False, "notebooks": False},
    }


def config_of(form, folder):
    """Return the config for files in the folder: an example of the docs, or what init writes."""
    if form == "PrimeKG by names":
        names = {"head": "x_name", "tail": "y_name"}
        return example("PrimeKG") | {"graph": {"file": "kg.csv", "columns": names}}
    if form in DOCUMENTED:
        return example(form)
    files = sorted(path.name for path in folder.iterdir())
    assert main(["init", *files, "--yes", "--out", "init.yaml"]) == 0
    return yaml.safe_load((folder / "init.yaml").read_text("utf-8"))


GENERATORS = DOCUMENTED | {"PrimeKG by names": primekg_by_names} | WRITTEN_BY_INIT


@pytest.mark.parametrize("form", GENERATORS)
def test_every_row_in_a_library_is_that_of_its_id(form, tmp_path, model, resources, monkeypatch):
    ids = GENERATORS[form](tmp_path)
    monkeypatch.chdir(tmp_path)
    config = config_of(form, tmp_path) | common(model)
    config["align"] = {"to": config["graph"]["file"], "form": "triples"}
    # In the order of appearance of three columns with a header, whether it counts must be said.
    config["graph"] |= {"header": True} if form in THREE_COLUMNS else {}
    (tmp_path / "resources").symlink_to(resources)
    exports = [f"results/exports/{one}/tiny/{SPACE}" for one in (*FORMS, "aligned")]
    Project(tmp_path, config).run(*exports, f"results/tiny/entities/{SPACE}/scores.json")
    results = tmp_path / "results"
    space = kgtextvec.open(results / f"tiny/entities/{SPACE}")
    assert sorted(space.column("node_id").to_pylist()) == sorted(ids)
    check_libraries(ids, space, {one: results / f"exports/{one}/tiny/{SPACE}" for one in FORMS})
    check_aligned(ids, space, results / f"exports/aligned/tiny/{SPACE}")
    card = json.loads((results / f"tiny/entities/{SPACE}/scores.json").read_text())
    assert card["scores"]["cold_start"]
    assert card["counts"]["cold_start"]["without_row"] == 0
    assert card["counts"]["cold_start"]["triples"] == len(EDGES)


def test_a_complete_run_from_kgx_with_facts(tmp_path, model, resources):
    """With relation types, their inverses, and the edges as texts."""
    ids = kgx(tmp_path)
    text = "".join(f"{one}\tit {one}\n" for one in RELATIONS)
    (tmp_path / "relations.tsv").write_text(f"relation_type\tdescription\n{text}")
    relations = {"file": "relations.tsv", "kind": "relation_types"}
    config = example("KGX") | common(model)
    config["tables"] |= {
        "relation_types": relations,
        "inverses": relations | {"text": "inverse of {description}"},
        "facts": {"file": "edges.tsv", "kind": "facts"},
    }
    config |= {
        "bundle": {"inverse_relations": "inverses"},
        "exports": [*FORMS, "pgvector", "parquet"],
        "align": {"to": "edges.tsv", "form": "triples"},
    }
    (tmp_path / "resources").symlink_to(resources)
    Project(tmp_path, config).run()
    results = tmp_path / "results"
    exports = results / "exports"
    space = kgtextvec.open(results / f"tiny/entities/{SPACE}")
    check_libraries(ids, space, {one: exports / f"{one}/tiny/{SPACE}" for one in FORMS})
    check_aligned(ids, space, exports / f"aligned/tiny/{SPACE}")
    plain, inverse = (
        kgtextvec.open(results / f"tiny/{table}/{SPACE}")
        for table in ("relation_types", "inverses")
    )
    pairs = [one for name in sorted(RELATIONS) for one in (plain.get(name), inverse.get(name))]
    matrix = np.load(exports / f"pykeen/tiny/{SPACE}/relations.npy")
    np.testing.assert_array_equal(matrix, pairs)
    facts = kgtextvec.open(results / f"tiny/facts/{SPACE}")
    names = [f"{NAMES[a]} {relation} {NAMES[b]}" for a, relation, b in EDGES]
    assert facts.index["name"].tolist() == names
    copied = (exports / f"pgvector/tiny/{SPACE}/facts.copy").read_text().splitlines()
    assert len(copied) == len(EDGES)
    faiss = pytest.importorskip("faiss", reason="lock-consumers.txt")
    index = faiss.read_index(str(exports / f"faiss/tiny/{SPACE}/facts.index"))
    assert index.ntotal == facts.rows
    vectors = np.load(results / f"tiny/facts/{SPACE}/embeddings.npy")
    np.testing.assert_array_equal(index.reconstruct_n(0, facts.rows), vectors)


def check_aligned(ids, space, folder):
    """Rows are in the order of appearance of the ids: of those of the edges, and no others."""
    order = [line.split("\t")[1] for line in (folder / "entities.tsv").read_text().splitlines()]
    assert sorted(order) == sorted({ids[end] for a, _, b in EDGES for end in (a, b)})
    matrix = np.load(folder / "tiny_entity.npy")
    np.testing.assert_array_equal(matrix, [space.get(one) for one in order])


def check_libraries(ids, space, folders):
    """PyKEEN makes its factory from the raw edges; our vectors are looked up by its ids."""
    triples = pytest.importorskip("pykeen.triples", reason="make links")
    edges = [(ids[a], relation, ids[b]) for a, relation, b in EDGES]
    factory = triples.TriplesFactory.from_labeled_triples(np.array(edges, dtype=str))
    assert len(factory.entity_to_id) == len({end for a, _, b in EDGES for end in (a, b)})

    table = pd.read_csv(folders["pykeen"] / "entity_to_id.tsv.gz", sep="\t", keep_default_na=False)
    rows = dict(zip(table["label"], table["id"], strict=True))
    matrix = np.load(folders["pykeen"] / "entities.npy")
    assert matrix.shape[1] == int(SPACE.removeprefix("pca"))
    for one in factory.entity_to_id:
        np.testing.assert_array_equal(matrix[rows[one]], space.get(one))

    gensim = pytest.importorskip("gensim.models", reason="lock-consumers.txt")
    words = gensim.KeyedVectors.load_word2vec_format(
        str(folders["word2vec"] / "entities.bin"), binary=True
    )
    for one in factory.entity_to_id:
        np.testing.assert_array_equal(words[one.replace(" ", "%20")], space.get(one))

    tensors = pytest.importorskip("safetensors.torch").load_file(
        folders["pyg"] / "entities.safetensors"
    )
    data = pytest.importorskip("torch_geometric.data", reason="lock-consumers.txt").HeteroData()
    for label, tensor in tensors.items():
        data[label].x = tensor
    nodes = {
        node.node_id: node
        for node in pd.read_parquet(folders["pyg"] / "entities.parquet").itertuples()
    }
    for one in factory.entity_to_id:
        node = nodes[one]
        np.testing.assert_array_equal(data[node.label].x[node.row].numpy(), space.get(one))

    faiss = pytest.importorskip("faiss", reason="lock-consumers.txt")
    index = faiss.read_index(str(folders["faiss"] / "entities.index"))
    listed = pq.read_table(folders["faiss"] / "entities.parquet")["node_id"].to_pylist()
    for one in factory.entity_to_id:
        np.testing.assert_array_equal(index.reconstruct(listed.index(one)), space.get(one))
