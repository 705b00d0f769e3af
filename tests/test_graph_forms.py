"""Runs on the files of a graph as people have them, loaded by the libraries that read them."""

import gzip
import json
import shlex

import numpy as np
import pandas as pd
import pyarrow as pa
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
from kgtextvec.settings.base import flags, read_settings
from kgtextvec.settings.edges import GraphEdges, edges_as_json
from kgtextvec.settings.spaces import Alignment
from kgtextvec.settings.tables import Reading

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
FORMS = ("pykeen", "pyg", "word2vec", "faiss")
N = 20
NAMES = [f"{word} {i}" for i in range(N) for word in [("alpha kinase", "gamma fever")[i % 2]]]
LABELS = ["Gene" if i % 2 == 0 else "Disease" for i in range(N)]
PAIRS = [(i, (i * 7 + 3) % N) for i in range(N)]
PAIRS = [(one, other) for one, other in PAIRS if one != other]
RELATIONS = ["binds", "causes"]
EDGES = [(a, RELATIONS[n % 2], b) for n, (a, b) in enumerate(PAIRS)]


def kgx(folder):
    """A list of categories with a prefix; a column relation that is not the relation."""
    ids = [f"EX:{i}" for i in range(N)]
    write(
        folder / "nodes.tsv",
        ["id\tcategory\tname\tsynonym"],
        [f"{ids[i]}\tbiolink:{LABELS[i]}|biolink:Thing\t{NAMES[i]}\ta|b" for i in range(N)],
    )
    write(
        folder / "edges.tsv",
        ["id\tsubject\tpredicate\tobject\trelation\tknowledge_source"],
        [f"{n}\t{ids[a]}\t{r}\t{ids[b]}\tRO:{n}\tx" for n, (a, r, b) in enumerate(EDGES)],
        end="\n\n",
    )
    table = {"columns": {"label": "category"}, "label_prefixes": ["biolink:"]}
    return ids, {"file": "edges.tsv"}, {"file": "nodes.tsv", "list_separator": "|", **table}


def hetionet(folder):
    ids = [f"{label}::{i}" for i, label in enumerate(LABELS)]
    rows = [f"{ids[i]}\t{NAMES[i]}\t{LABELS[i]}" for i in range(N)]
    write(folder / "nodes.tsv", ["id\tname\tkind"], rows)
    text = "".join(f"{ids[a]}\t{r}\t{ids[b]}\n" for a, r, b in EDGES)
    packed = gzip.compress(f"source\tmetaedge\ttarget\n{text}".encode())
    (folder / "edges.sif.gz").write_bytes(packed)
    graph = {"file": "edges.sif.gz", "header": True}
    return ids, graph, {"file": "nodes.tsv", "columns": {"label": "kind"}}


def primekg(folder):
    """Comma-separated; names as ids, as PyKEEN's own dataset has them."""
    rows = [f'{i},{900 + i},{LABELS[i]},"{NAMES[i]}",NCBI' for i in range(N)]
    write(folder / "nodes.csv", ["node_index,node_id,node_type,node_name,node_source"], rows)
    write(
        folder / "kg.csv",
        ["relation,display_relation,x_index,x_id,x_type,x_name,y_index,y_id,y_type,y_name"],
        [
            f'{r},{r} x,{a},{900 + a},{LABELS[a]},"{NAMES[a]}",{b},{900 + b},{LABELS[b]},{NAMES[b]}'
            for a, r, b in EDGES
        ],
    )
    columns = {"id": "node_id", "label": "node_type", "name": "node_name"}
    graph = {"file": "kg.csv", "columns": {"head": "x_name", "tail": "y_name"}}
    return NAMES, graph, {"file": "nodes.csv", "columns": columns}


def biomedgps(folder):
    """No key at all."""
    rows = [f"X:{i}\t{LABELS[i]}\t{NAMES[i]}\t" for i in range(N)]
    write(folder / "entities.tsv", ["id\tlabel\tname\tdescription"], rows)
    head = "relation_type\tresource\tpmids\tkey_sentence\tsource_id\tsource_type\ttarget_id"
    write(
        folder / "kg.tsv",
        [f"{head}\ttarget_type\tscore"],
        [f"{r}\tX\t\t\tX:{a}\t{LABELS[a]}\tX:{b}\t{LABELS[b]}\t1" for a, r, b in EDGES],
    )
    ids = [f"{label}::X:{i}" for i, label in enumerate(LABELS)]
    return ids, {"file": "kg.tsv"}, {"file": "entities.tsv"}


def neo4j(folder):
    """Typed headers, single quotes, several labels."""
    rows = [f"n{i};'{NAMES[i]}';{LABELS[i]};Thing" for i in range(N)]
    rows = [row.replace(";Thing", "|Thing") for row in rows]
    write(folder / "nodes.csv", ["id:ID;name;:LABEL"], rows)
    edges = [f"n{a};'since; then';n{b};{r}" for a, r, b in EDGES]
    write(folder / "edges.csv", [":START_ID;note;:END_ID;:TYPE"], edges)
    columns = {"id": ":ID", "label": ":LABEL"}
    table = {"quotechar": "'", "list_separator": "|", "columns": columns}
    return [f"n{i}" for i in range(N)], {"file": "edges.csv"}, {"file": "nodes.csv", **table}


def drkg(folder):
    """Edges without a header; names from elsewhere."""
    ids = [f"{label}::{i}" for i, label in enumerate(LABELS)]
    write(folder / "names.tsv", [], [f"{ids[i]}\t{LABELS[i]}\t{NAMES[i]}" for i in range(N)])
    write(folder / "drkg.tsv", [], [f"{ids[a]}\t{r}\t{ids[b]}" for a, r, b in EDGES])
    table = {"file": "names.tsv", "header": ["id", "label", "name"]}
    return ids, {"file": "drkg.tsv"}, table


def symbols(folder):
    """A list of names, one a line; triples of names, with weights."""
    write(folder / "symbols.txt", [], NAMES)
    write(folder / "edges.tsv", [], [f"{NAMES[a]}\t{r}\t{NAMES[b]}\t0.5" for a, r, b in EDGES])
    table = {"header": ["id"], "columns": {"name": "id"}, "label": "Symbol"}
    return NAMES, {"file": "edges.tsv"}, {"file": "symbols.txt", **table}


def parquet(folder):
    ids = [f"EX:{i}" for i in range(N)]
    pq.write_table(pa.table({"id": ids, "label": LABELS, "name": NAMES}), folder / "n.parquet")
    heads, relations, tails = zip(*EDGES, strict=True)
    ends = {"src": [ids[a] for a in heads], "dst": [ids[b] for b in tails]}
    pq.write_table(pa.table(ends | {"rel": list(relations)}), folder / "e.parquet")
    return ids, {"file": "e.parquet"}, {"file": "n.parquet"}


def write(path, header, rows, end="\n"):
    path.write_text("\n".join([*header, *rows]) + end, "utf-8")


FORMS_OF_GRAPHS = [kgx, hetionet, primekg, biomedgps, neo4j, drkg, symbols, parquet]


def words_of(reading):
    return shlex.split(flags(read_settings(Reading, reading, ""), acts="vectors"))


def write_relations(folder):
    text = "relation_type\tdescription\n" + "".join(f"{one}\tit {one}\n" for one in RELATIONS)
    (folder / "relations.tsv").write_text(text)


@pytest.mark.parametrize("form", FORMS_OF_GRAPHS, ids=lambda form: form.__name__)
def test_every_row_in_a_library_is_that_of_its_id(tmp_path, form):
    ids, graph, nodes = form(tmp_path)
    write_relations(tmp_path)
    how = edges_as_json(read_settings(GraphEdges, graph, ""))
    spaces = []
    nodes |= {"kind": "entities", "text": "name"}
    relations = {"file": "relations.tsv", "kind": "relation_types"}
    for table, reading in (("entities", nodes), ("relation_types", relations)):
        out, kind, file = tmp_path / "texts" / table, reading["kind"], reading.pop("file")
        words = ["--table", table, "--out-dir", str(out), "--edges", how]
        words += words_of(reading)
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
    to = [tmp_path / graph["file"]]
    export_aligned(spaces, to=to, out_dir=tmp_path / "aligned", settings=settings, edges=how)
    check_libraries(ids, kgtextvec.open(spaces[0]), {one: tmp_path / one for one in FORMS})
    check_aligned(ids, kgtextvec.open(spaces[0]), tmp_path / "aligned/tiny_entity.npy")


def test_a_whole_run_from_kgx_with_facts(tmp_path):
    tiny_bert(tmp_path / "raw/cased")
    ids, graph, nodes = kgx(tmp_path)
    write_relations(tmp_path)
    config = {
        "tables": {
            "entities": nodes | {"kind": "entities", "text": ["name"]},
            "relation_types": {"file": "relations.tsv", "kind": "relation_types"},
            "inverses": {
                "file": "relations.tsv",
                "kind": "relation_types",
                "text": "inverse of {description}",
            },
            "facts": {"file": graph["file"], "kind": "facts"},
        },
        "bundle": {"inverse_relations": "inverses"},
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
    relations = np.load(exports / "pykeen/cased/pca8/relations.npy")
    plain, inverse = (
        kgtextvec.open(results / f"cased/{table}/pca8") for table in ("relation_types", "inverses")
    )
    pairs = [one for name in sorted(RELATIONS) for one in (plain.get(name), inverse.get(name))]
    np.testing.assert_array_equal(relations, pairs)
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
