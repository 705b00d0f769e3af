"""Vectors in PyTorch Geometric's own order: by HeteroData's maps, or triples as it reads them."""

import json

import numpy as np
import pytest
from export_spaces import ENTITIES, RELATION_TYPES, entity_space, expected, relation_space
from safetensors.numpy import load_file

from kgtextvec.errors import InputError
from kgtextvec.export.aligned import export_aligned
from kgtextvec.export.loaders import write_loaders
from kgtextvec.export.pyg_order import read_pyg_triples
from kgtextvec.settings.spaces import Alignment

NODES = list(dict.fromkeys(f"{label}::{one}" for label, one, _ in ENTITIES))


@pytest.fixture(scope="module")
def spaces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spaces")
    return [entity_space(folder / "e"), relation_space(folder / "r")]


def aligned(spaces, tmp_path, *to, **more):
    out = tmp_path / "out"
    export_aligned(spaces, to=list(to), out_dir=out, settings=Alignment(form="pyg", **more))
    return load_file(out / "entities.safetensors"), out


def test_maps_of_heterodata_give_a_tensor_per_label_in_their_order(spaces, tmp_path):
    maps = {
        "Gene": ["ENTREZ:672", "Gene::ENTREZ:7157"],
        "Disease": {"MESH:D003920": 1, "MESH:D000544": 0},
    }
    (tmp_path / "maps.json").write_text(json.dumps(maps))
    (tmp_path / "relations.json").write_text(json.dumps(RELATION_TYPES[::-1]))
    tensors, out = aligned(spaces, tmp_path, tmp_path / "maps.json", tmp_path / "relations.json")
    want = expected(spaces[0])
    assert set(tensors) == {"Gene", "Disease"}
    for label, ids in {
        "Gene": ["ENTREZ:672", "ENTREZ:7157"],
        "Disease": ["MESH:D000544", "MESH:D003920"],
    }.items():
        np.testing.assert_array_equal(tensors[label], [want[f"{label}::{one}"] for one in ids])
    relations = load_file(out / "relations.safetensors")["relation_types"]
    types = expected(spaces[1])
    np.testing.assert_array_equal(relations, [types[one] for one in RELATION_TYPES[::-1]])
    written = json.loads((out / "entities.json").read_text())
    assert written["Disease"] == ["Disease::MESH:D000544", "Disease::MESH:D003920"]
    write_loaders([out], form="aligned", out=tmp_path / "README.md")
    code = (tmp_path / "README.md").read_text().split("```python\n")[1].split("```")[0]
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102 (the page's own check of the norms)


TRIPLES = [(NODES[4], RELATION_TYPES[1], NODES[0]), (NODES[2], RELATION_TYPES[0], NODES[4])]


def test_triples_give_one_tensor_in_order_of_appearance(spaces, tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("".join("\t".join(one) + "\n" for one in TRIPLES))
    tensors, out = aligned(spaces, tmp_path, path)
    want = expected(spaces[0])
    np.testing.assert_array_equal(
        tensors["entities"], [want[one] for one in (NODES[4], NODES[0], NODES[2])]
    )
    assert len(load_file(out / "relations.safetensors")["relation_types"]) == 2


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.txt", "a\tr\tb", "line 1 has no line end, so PyG leaves it out"),
        ("t.txt", "a\tr\tb\n\n", "line 2 has 1 fields, which PyG can't read"),
        ("t.txt", "\ufeffa\tr\tb\n", "byte order mark"),
        ("m.json", "[]", "is not a JSON file of nodes by label"),
        ("m.json", "{", "is not valid JSON"),
        ("m.json", '{"Gene": {"a": 0, "b": 2}}', "row 2 of 'b' isn't in 0 … 1"),
        ("m.json", '{"Gene": ["a", "a"]}', "the id 'a' appears twice"),
    ],
)
def test_what_pyg_would_misread_is_refused(spaces, tmp_path, name, content, says):
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(InputError, match=says):
        aligned(spaces, tmp_path, tmp_path / name)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ids_are_those_that_pygs_own_reader_deals(tmp_path):
    """FB15k_237's code on files of ours: the edges that it builds name the same rows."""
    datasets = pytest.importorskip("torch_geometric.datasets", reason="lock-consumers.txt")
    raw = tmp_path / "raw"
    raw.mkdir()
    parts = {
        "train.txt": 'b\tr\ta\n"c d"\ts\tb\n',
        "valid.txt": "head\trelation\ttail\n",
        "test.txt": " e\tr \tb\n",
    }
    for name, text in parts.items():
        (raw / name).write_text(text)
    paths = [raw / name for name in parts]
    ids = read_pyg_triples(paths)
    for split, path in zip(("train", "val", "test"), paths, strict=True):
        data = datasets.FB15k_237(tmp_path, split=split)[0]
        triples = [line.split("\t") for line in path.read_text().splitlines()]
        for number, (head, relation, tail) in enumerate(triples):
            source, target = data.edge_index[:, number].tolist()
            assert (ids["entities"][source], ids["entities"][target]) == (head, tail)
            assert ids["relation_types"][int(data.edge_type[number])] == relation
    assert data.num_nodes == len(ids["entities"])
