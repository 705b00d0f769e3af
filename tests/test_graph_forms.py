"""Runs on the files of a graph as people have them, loaded by the libraries that read them."""

import gzip
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from export_spaces import write_space
from tiny_models import tiny_bert
from workflow_run import Project

import kgtextvec
from kgtextvec.__main__ import main
from kgtextvec.embed.gather import Found, index_of
from kgtextvec.export.aligned import export_aligned
from kgtextvec.export.bundle import export_bundle
from kgtextvec.settings.base import read_settings
from kgtextvec.settings.edges import GraphEdges, edges_as_json
from kgtextvec.settings.spaces import Alignment

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
FORMS = ("pykeen", "pyg", "word2vec", "faiss")
N = 20
NAMES = [f"{word} {i}" for i in range(N) for word in [("alpha kinase", "gamma fever")[i % 2]]]
LABELS = ["Gene" if i % 2 == 0 else "Disease" for i in range(N)]
PAIRS = [(i, (i * 7 + 3) % N) for i in range(N)]
PAIRS = [(one, other) for one, other in PAIRS if one != other]
RELATIONS = ["binds", "causes"]


def kgx(folder):
    ids = [f"EX:{i}" for i in range(N)]
    lines = [f"{one}\t{label}\t{name}" for one, label, name in zip(ids, LABELS, NAMES, strict=True)]
    (folder / "nodes.tsv").write_text("id\tlabel\tname\n" + "\n".join(lines) + "\n")
    edges = [f"{n}\t{ids[a]}\t{RELATIONS[n % 2]}\t{ids[b]}\tx" for n, (a, b) in enumerate(PAIRS)]
    head = "id\tsubject\tpredicate\tobject\tknowledge_source\n"
    (folder / "edges.tsv").write_text(head + "\n".join(edges) + "\n\n")
    return ids, {"file": "edges.tsv"}


def hetionet(folder):
    ids = [f"{label}::{i}" for i, label in enumerate(LABELS)]
    lines = [f"{one}\t{name}\t{label}" for one, label, name in zip(ids, LABELS, NAMES, strict=True)]
    (folder / "nodes.tsv").write_text("id\tname\tlabel\n" + "\n".join(lines) + "\n")
    edges = [f"{ids[a]}\t{RELATIONS[n % 2]}\t{ids[b]}" for n, (a, b) in enumerate(PAIRS)]
    text = "source\tmetaedge\ttarget\n" + "\n".join(edges) + "\n"
    (folder / "edges.sif.gz").write_bytes(gzip.compress(text.encode()))
    return ids, {"file": "edges.sif.gz"}


def primekg(folder):
    """Names as ids, as PyKEEN's own dataset has them."""
    lines = [
        f"{i}\t{label}\t{name}" for i, (label, name) in enumerate(zip(LABELS, NAMES, strict=True))
    ]
    (folder / "nodes.tsv").write_text("id\tlabel\tname\n" + "\n".join(lines) + "\n")
    edges = [
        f"{RELATIONS[n % 2]},{a},{LABELS[a]},{NAMES[a]},{b},{LABELS[b]},{NAMES[b]}"
        for n, (a, b) in enumerate(PAIRS)
    ]
    head = "relation,x_id,x_type,x_name,y_id,y_type,y_name\n"
    (folder / "kg.csv").write_text(head + "\n".join(edges) + "\n")
    return NAMES, {"file": "kg.csv", "columns": {"head": "x_name", "tail": "y_name"}}


def biomedgps(folder):
    lines = [
        f"X:{i}\t{label}\t{name}" for i, (label, name) in enumerate(zip(LABELS, NAMES, strict=True))
    ]
    (folder / "nodes.tsv").write_text("id\tlabel\tname\n" + "\n".join(lines) + "\n")
    edges = [
        f"{RELATIONS[n % 2]}\tX\t\t\tX:{a}\t{LABELS[a]}\tX:{b}\t{LABELS[b]}\t1"
        for n, (a, b) in enumerate(PAIRS)
    ]
    head = "relation_type\tresource\tpmids\tkey_sentence\tsource_id\tsource_type\ttarget_id"
    (folder / "r.tsv").write_text(f"{head}\ttarget_type\tscore\n" + "\n".join(edges) + "\n")
    return [f"{label}::X:{i}" for i, label in enumerate(LABELS)], {"file": "r.tsv"}


FORMS_OF_GRAPHS = {"kgx": kgx, "hetionet": hetionet, "primekg": primekg, "biomedgps": biomedgps}


def write_relations(folder):
    text = "relation_type\tdescription\n" + "".join(f"{one}\tit {one}\n" for one in RELATIONS)
    (folder / "relations.tsv").write_text(text)


@pytest.mark.parametrize("form", FORMS_OF_GRAPHS)
def test_every_row_in_a_library_is_that_of_its_id(tmp_path, form):
    ids, graph = FORMS_OF_GRAPHS[form](tmp_path)
    write_relations(tmp_path)
    how = edges_as_json(read_settings(GraphEdges, graph, ""))
    spaces = []
    for table, kind, file in (
        ("entities", "entities", "nodes.tsv"),
        ("relation_types", "relation_types", "relations.tsv"),
    ):
        out = tmp_path / "texts" / table
        words = ["--kind", kind, "--table", table, "--out-dir", str(out), "--edges", how]
        words += ["--text", "name"] if kind == "entities" else []
        words += ["--graph", str(tmp_path / graph["file"])]
        assert main(["read-texts", str(tmp_path / file), *words]) == 0
        rows = pq.read_table(out / "rows.parquet")
        form_of_ids = json.loads((out / "manifest.json").read_text()).get("node_id")
        index = index_of(rows, kind, form_of_ids, Found(len(rows), 6)).to_pydict()
        strings = {name: index[name] for name in index if isinstance(index[name][0], str)}
        spaces.append(write_space(tmp_path / table, kind, strings, 6, len(spaces), None, {}))
    for one in FORMS:
        export_bundle(spaces, form=one, out_dir=tmp_path / one)
    settings = Alignment(form="triples")
    edges = edges_as_json(read_settings(GraphEdges, graph | {"header": True}, ""))
    to = [tmp_path / graph["file"]]
    export_aligned(spaces, to=to, out_dir=tmp_path / "aligned", settings=settings, edges=edges)
    check_libraries(ids, kgtextvec.open(spaces[0]), {one: tmp_path / one for one in FORMS})
    check_aligned(ids, kgtextvec.open(spaces[0]), tmp_path / "aligned/tiny_entity.npy")


def test_a_whole_run_from_kgx_with_facts(tmp_path):
    tiny_bert(tmp_path / "raw/cased")
    ids, graph = kgx(tmp_path)
    write_relations(tmp_path)
    config = {
        "tables": {
            "entities": {"file": "nodes.tsv", "kind": "entities", "text": ["name"]},
            "relation_types": {"file": "relations.tsv", "kind": "relation_types"},
            "facts": {"file": graph["file"], "kind": "facts"},
        },
        "graph": graph,
        "models": ["cased"],
        "spaces": ["pca8"],
        "exports": ["pykeen", "pyg", "word2vec", "faiss", "pgvector", "parquet"],
        "catalogue": {"cased": {"source": "path:raw/cased"}},
        "evaluate": {"scores": ["cold_start"]},
        "report": {"maps": False, "notebooks": False, "max_points": 20},
        "align": {"to": graph["file"], "form": "triples"},
    }
    Project(tmp_path, config).run()
    results = tmp_path / "results"
    space = kgtextvec.open(results / "cased/entities/pca8")
    exports = results / "exports"
    check_libraries(ids, space, {one: exports / one / "cased/pca8" for one in FORMS})
    check_aligned(ids, space, exports / "aligned/cased/pca8/cased_entity.npy")
    facts = kgtextvec.open(results / "cased/facts/pca8")
    named = facts.index["name"].tolist()
    assert len(named) == len(PAIRS)
    assert named[0] == f"{NAMES[PAIRS[0][0]]} {RELATIONS[0]} {NAMES[PAIRS[0][1]]}"
    copied = (exports / "pgvector/cased/pca8/facts.copy").read_text().splitlines()
    assert len(copied) == len(PAIRS)
    scores = json.loads((results / "cased/entities/pca8/scores.json").read_text())
    assert scores["counts"]["cold_start"]["without_row"] == 0


def check_aligned(ids, space, path):
    seen = list(dict.fromkeys(end for a, b in PAIRS for end in (ids[a], ids[b])))
    np.testing.assert_array_equal(np.load(path), [space.get(one) for one in seen])


def check_libraries(ids, space, folders):
    """PyKEEN makes its factory from the raw edges; our vectors are looked up by its ids."""
    triples = pytest.importorskip("pykeen.triples", reason="make links")
    assert space.column("node_id").to_pylist() == ids
    edges = [(ids[a], RELATIONS[n % 2], ids[b]) for n, (a, b) in enumerate(PAIRS)]
    factory = triples.TriplesFactory.from_labeled_triples(np.array(edges, dtype=str))

    table = pd.read_csv(folders["pykeen"] / "entity_to_id.tsv.gz", sep="\t", keep_default_na=False)
    rows = dict(zip(table["label"], table["id"], strict=True))
    matrix = np.load(folders["pykeen"] / "entities.npy")
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
    for node in pd.read_parquet(folders["pyg"] / "entities.parquet").itertuples():
        np.testing.assert_array_equal(data[node.label].x[node.row].numpy(), space.get(node.node_id))

    faiss = pytest.importorskip("faiss", reason="lock-consumers.txt")
    for kind in ("entities", "facts"):
        if not (folders["faiss"] / f"{kind}.index").exists():
            continue
        index = faiss.read_index(str(folders["faiss"] / f"{kind}.index"))
        nodes = pq.read_table(folders["faiss"] / f"{kind}.parquet")["node_id"].to_pylist()
        of = space if kind == "entities" else kgtextvec.open(space.folder.parents[1] / "facts/pca8")
        assert index.ntotal == of.rows
        for row, one in enumerate(nodes):
            np.testing.assert_array_equal(index.reconstruct(row), of.get(one))
