"""Exports in the hands of the libraries that read them. Needs requirements/lock-consumers.txt."""

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from export_spaces import ENTITIES, RELATION_TYPES, assert_same, entity_space, relation_space

from kgtextvec.export.aligned import export_aligned
from kgtextvec.export.biomedgps import export_biomedgps
from kgtextvec.export.bundle import export_bundle
from kgtextvec.export.loaders import write_loaders
from kgtextvec.registry import FORMS
from kgtextvec.settings.spaces import Alignment

pytestmark = [
    pytest.mark.slow,
    # Not ours to mend, and other ones with each release of theirs.
    pytest.mark.filterwarnings("ignore"),
]
ROOT = Path(__file__).resolve().parents[1]
NODES = list(dict.fromkeys(f"{label}::{one}" for label, one, _ in ENTITIES))


def library(name):
    """Import a consumer's library. Where all must be shown (CI), its absence is a failure."""
    if os.environ.get("CI") == "true":
        return import_module(name)
    return pytest.importorskip(name, reason="pip install -r requirements/lock-consumers.txt")


@pytest.fixture(scope="module")
def spaces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spaces")
    return [entity_space(folder / "e"), relation_space(folder / "r")]


def bundle(spaces, form, tmp_path):
    export_bundle(spaces, form=form, out_dir=tmp_path / form)
    return tmp_path / form


def pykeen_ids(path):
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    return dict(zip(table["label"], table["id"].astype(int), strict=True))


def embedding_of(tensor):
    """PyKEEN's own embedding, started from a tensor."""
    import torch
    from pykeen.nn import Embedding
    from pykeen.nn.init import PretrainedInitializer

    embedding = Embedding(
        max_id=len(tensor),
        embedding_dim=tensor.shape[1],
        initializer=PretrainedInitializer(torch.from_numpy(tensor)),
    )
    embedding.reset_parameters()
    return embedding(indices=None).detach().numpy()


def triples_of(relations):
    return np.array(
        [
            (NODES[4], relations[0], NODES[1]),
            (NODES[4], relations[1], NODES[0]),
            (NODES[2], relations[1], NODES[4]),
            (NODES[6], relations[2], NODES[5]),
            (NODES[3], relations[2], NODES[0]),
        ]
    )


def test_pykeen_starts_from_our_vectors_by_our_maps(spaces, tmp_path):
    library("pykeen")
    from pykeen.triples import TriplesFactory

    out = bundle(spaces, "pykeen", tmp_path)
    factory = TriplesFactory.from_labeled_triples(
        triples_of(RELATION_TYPES),
        entity_to_id=pykeen_ids(out / "entity_to_id.tsv.gz"),
        relation_to_id=pykeen_ids(out / "relation_to_id.tsv.gz"),
    )
    for ids, name, space in zip(
        (factory.entity_to_id, factory.relation_to_id),
        ("entities", "relations"),
        spaces,
        strict=True,
    ):
        weights = embedding_of(np.load(out / f"{name}.npy"))
        assert_same(list(ids), [weights[row] for row in ids.values()], space)


@pytest.mark.parametrize("to", ["its triples", "its maps"])
def test_pykeen_starts_from_aligned_vectors_by_its_own_maps(spaces, tmp_path, to):
    """No map of ours goes in: PyKEEN deals the ids, and our rows must follow."""
    library("pykeen")
    from pykeen.triples import TriplesFactory

    triples = triples_of(RELATION_TYPES)
    path = tmp_path / "triples.tsv"
    path.write_text("".join("\t".join(triple) + "\n" for triple in triples), "utf-8")
    factory = TriplesFactory.from_path(path)
    files = [path]
    if to == "its maps":
        factory.to_path_binary(tmp_path / "factory")
        files = [tmp_path / f"factory/{kind}_to_id.tsv.gz" for kind in ("entity", "relation")]
    export_aligned(spaces, to=files, out_dir=tmp_path / "out", settings=Alignment(form="pykeen"))
    check = json.loads((tmp_path / "out/selfcheck.json").read_text())
    for ids, kind, name, space in zip(
        (factory.entity_to_id, factory.relation_to_id),
        ("entities", "relation_types"),
        ("entities", "relations"),
        spaces,
        strict=True,
    ):
        weights = embedding_of(np.load(tmp_path / f"out/{name}.npy"))
        assert_same(list(ids), [weights[row] for row in ids.values()], space)
        for one in check[kind]["check"]:
            assert ids[one["id"]] == one["row"]
            assert np.linalg.norm(weights[one["row"]]) == pytest.approx(one["norm"], rel=1e-5)


def test_pykeen_trains_from_our_vectors(spaces, tmp_path):
    library("pykeen")
    import torch
    from pykeen.nn.init import PretrainedInitializer
    from pykeen.pipeline import pipeline
    from pykeen.triples import TriplesFactory

    factory = TriplesFactory.from_labeled_triples(triples_of(RELATION_TYPES))
    path = tmp_path / "triples.tsv"
    path.write_text("".join("\t".join(one) + "\n" for one in triples_of(RELATION_TYPES)), "utf-8")
    export_aligned(spaces, to=[path], out_dir=tmp_path / "out", settings=Alignment(form="pykeen"))
    start = [
        torch.from_numpy(np.load(tmp_path / f"out/{n}.npy")) for n in ("entities", "relations")
    ]
    result = pipeline(
        training=factory,
        testing=factory,
        model="TransE",
        model_kwargs={
            "embedding_dim": 6,
            "entity_initializer": PretrainedInitializer(start[0]),
            "relation_initializer": PretrainedInitializer(start[1]),
        },
        training_kwargs={"num_epochs": 0, "use_tqdm": False},
        evaluation_kwargs={"use_tqdm": False},
        random_seed=0,
    )
    entities = result.model.entity_representations[0](indices=None).detach().numpy()
    units = start[0].numpy() / np.linalg.norm(start[0].numpy(), axis=1, keepdims=True)
    # TransE normalises what it starts from: directions are ours, row by row.
    np.testing.assert_allclose(entities, units, atol=1e-5)


TRAINED = """
from pykeen.models import ComplEx
from pykeen.training import SLCWATrainingLoop

model = ComplEx(
    triples_factory=factory,
    embedding_dim=entities.shape[1] // 2,
    entity_initializer=start_from(entities),
    relation_initializer=start_from(relations),
)
loop = SLCWATrainingLoop(model=model, triples_factory=factory, optimizer_kwargs={"lr": 1e-12})
loop.train(factory, num_epochs=1, batch_size=1, use_tqdm=False)
for found, want in (
    (model.entity_representations[0], entities), (model.relation_representations[0], relations)
):
    found = torch.view_as_real(found(indices=None)).detach().reshape(want.shape)
    assert torch.allclose(found, want, atol=1e-6)
"""


def test_what_the_page_starts_pykeen_from_is_there_when_training_begins(spaces, tmp_path):
    """PyKEEN initialises again then; a model that doesn't normalise shows what it starts from."""
    library("pykeen")
    out = bundle(spaces, "pykeen", tmp_path)
    write_loaders([out], form="pykeen", out=tmp_path / "README.md")
    page = (tmp_path / "README.md").read_text("utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```$", page, flags=re.M | re.S)
    done = subprocess.run(
        [sys.executable, "-c", block + TRAINED], cwd=tmp_path, capture_output=True, text=True
    )
    assert not done.returncode, f"{block}\n{done.stderr}"


def test_gensim_finds_each_node_by_its_id(spaces, tmp_path):
    library("gensim")
    from gensim.models import KeyedVectors

    out = bundle(spaces, "word2vec", tmp_path)
    for space, kind in zip(spaces, ("entities", "relation_types"), strict=True):
        found = KeyedVectors.load_word2vec_format(out / f"{kind}.bin", binary=True)
        assert_same(found.index_to_key, found.vectors, space)


def test_venomx_reads_vectors_and_how_they_were_made(spaces, tmp_path):
    library("venomx")
    from venomx.tools.file_io import load_index

    out = bundle(spaces, "venomx", tmp_path)
    for space, kind in zip(spaces, ("entities", "relation_types"), strict=True):
        found = load_index(out / f"{kind}.yaml")
        frame = found.embeddings_frame
        assert_same(frame["id"].tolist(), np.stack(frame["values"]).astype("f4"), space)
        made = json.loads((space / "manifest.json").read_text("utf-8"))
        assert found.embedding_model.name == made["model"]["name"]
        assert found.embeddings_dimensions == made["dims"]


def test_faiss_gives_back_each_row(spaces, tmp_path):
    faiss = library("faiss")
    out = bundle(spaces, "faiss", tmp_path)
    index = faiss.read_index(str(out / "entities.index"))
    vectors = np.load(spaces[0] / "embeddings.npy")
    np.testing.assert_array_equal(index.reconstruct_n(0, index.ntotal), vectors)
    nodes = pq.read_table(out / "entities.parquet").to_pylist()
    assert [(node["label"], node["name"]) for node in nodes] == [(n[0], n[2]) for n in ENTITIES]
    distances, rows = index.search(vectors, 1)
    assert rows.ravel().tolist() == list(range(len(vectors)))
    assert np.abs(distances).max() < 1e-5


def test_pyg_has_nodes_of_each_label(spaces, tmp_path):
    library("torch_geometric")
    from safetensors.torch import load_file
    from torch_geometric.data import HeteroData

    out = bundle(spaces, "pyg", tmp_path)
    data = HeteroData()
    for label, vectors in load_file(out / "entities.safetensors").items():
        data[label].x = vectors
    assert data.validate()
    nodes = pq.read_table(out / "entities.parquet").to_pylist()
    assert sum(data.num_nodes_dict.values()) == len(nodes)
    found = [data[node["label"]].x[node["row"]].numpy() for node in nodes]
    assert_same([node["node_id"] for node in nodes], found, spaces[0])


@pytest.fixture(scope="module")
def pglite(npm_packages):
    """PostgreSQL with pgvector, in WebAssembly, from npm."""
    return npm_packages("pgvector")


@pytest.mark.parametrize("table", ["entities", "relation_types"])
def test_pgvector_has_each_row_and_searches_it(spaces, tmp_path, pglite, table):
    out = bundle(spaces, "pgvector", tmp_path)
    done = subprocess.run(
        ["node", "load.mjs", str(out), table, "1"], cwd=pglite, capture_output=True, text=True
    )
    assert not done.returncode, done.stderr
    found = json.loads(done.stdout)
    space = spaces[table == "relation_types"]
    index = pq.read_table(space / "index.parquet").to_pylist()
    vectors = np.load(space / "embeddings.npy")
    for row, want, vector in zip(found["rows"], index, vectors, strict=True):
        assert [row[key] for key in ("node_id", "id", "label", "name")] == [
            want[key] for key in ("node_id", "id", "label", "name")
        ]
        back = np.array([np.float32(one) for one in row["embedding"][1:-1].split(",")])
        np.testing.assert_array_equal(back.view(np.uint32), vector.view(np.uint32))
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = np.argsort(-(units @ units[1]), kind="stable")[:3]
    assert [row["row_id"] for row in found["nearest"]] == nearest.tolist()


LIBRARIES = {"pykeen": "pykeen", "word2vec": "gensim", "faiss": "faiss", "pyg": "torch_geometric",
             "venomx": "venomx"}  # fmt: skip


@pytest.mark.parametrize("form", [*(name for name in FORMS.names() if FORMS[name].page), "aligned"])
def test_the_readmes_code_runs(spaces, tmp_path, monkeypatch, form):
    """Each block of the generated page, as it stands, from the folder where the workflow ran."""
    if form in LIBRARIES:
        library(LIBRARIES[form])
    monkeypatch.chdir(tmp_path)
    home = Path("results/exports") / form
    if form == "biomedgps":
        tables = [(spaces[0], "entities"), (spaces[1], "relation_types")]
        exports = [home / f"tiny/{table}_embeddings_6.json" for _, table in tables]
        for (space, _), report in zip(tables, exports, strict=True):
            export_biomedgps(space, dims=6, out=report.with_suffix(".tsv"))
    elif form == "aligned":
        Path("map.tsv").write_text("".join(f"{i}\t{one}\n" for i, one in enumerate(NODES)), "utf-8")
        settings = Alignment(form="dglke")
        export_aligned(spaces, to=[Path("map.tsv")], out_dir=home / "tiny/pca6", settings=settings)
        exports = [home / "tiny/pca6"]
    else:
        exports = [home / "tiny/pca6", home / "tiny/pca6-entities"]
        export_bundle(spaces, form=form, out_dir=exports[0])
        export_bundle(spaces[:1], form=form, out_dir=exports[1])
    write_loaders(exports, form=form, out=home / "README.md")
    page = (home / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, flags=re.M | re.S)
    assert len(blocks) == (0 if form == "pgvector" else len(exports))
    for block in blocks:
        done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True)
        assert not done.returncode, f"{block}\n{done.stderr}"
    if form == "pgvector":
        assert "psql --set ON_ERROR_STOP=1 -d graph -f relation_types.sql" in page
        for path in re.findall(r"^cd (.*)$", page, flags=re.M):
            assert (Path(path) / "entities.sql").is_file()
