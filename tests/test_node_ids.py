"""What a graph calls the rows of a table decides what exports call them."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from export_spaces import write_space

import kgtextvec
from kgtextvec.__main__ import main
from kgtextvec.embed.gather import Found, index_of
from kgtextvec.kinds import ENTITIES, RELATION_TYPES

ROWS = [("9", "Gene", "alpha"), ("8", "Gene", "beta"), ("7", "Disease", "gamma")]
RELATIONS = [("X::t::A:B", "X_treats"), ("X::c::A:B", "X_causes")]


def node_ids(tmp_path, rows, triples=None, kind="entities", more=(), used_by=None):
    """Read a table as the workflow does; return the node ids of its rows, and the manifest."""
    heads = ("id", "label", "name")
    if kind == "relation_types":
        heads = ("relation_type", "formatted_relation_type", "description")
        rows = [(*row, f"words about {row[0]}") for row in rows]
    lines = ["\t".join(heads), *("\t".join(row) for row in rows)]
    (tmp_path / "nodes.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    words = ["--table", "t", "--kind", kind, "--out-dir", str(tmp_path / "texts"), *more]
    words += ["--text", "name"] if kind == "entities" else []
    for flag, edges in (("--graph", triples), ("--used-by", used_by)):
        if edges is not None:
            path = tmp_path / f"{flag[2:]}.tsv"
            path.write_text("".join("\t".join(edge) + "\n" for edge in edges), "utf-8")
            words += [flag, str(path)]
    code = main(["read-texts", str(tmp_path / "nodes.tsv"), *words])
    if code:
        return code, None
    manifest = json.loads((tmp_path / "texts/manifest.json").read_text())
    table = pq.read_table(tmp_path / "texts/rows.parquet")
    index = index_of(table, kind, manifest.get("node_id"), Found(len(table), 3))
    return index["node_id"].to_pylist(), manifest


@pytest.mark.parametrize(
    ("ends", "form", "ids"),
    [
        (("Gene::9", "Disease::7"), "label::id", ["Gene::9", "Gene::8", "Disease::7"]),
        (("9", "7"), "id", ["9", "8", "7"]),
        (("gamma", "beta"), "name", ["alpha", "beta", "gamma"]),
    ],
)
def test_the_form_that_finds_most_ends_is_used_and_said(tmp_path, capsys, ends, form, ids):
    found, manifest = node_ids(tmp_path, ROWS, [(ends[0], "r", ends[1])])
    assert found == ids
    assert manifest.get("node_id", "label::id") == form
    said = capsys.readouterr().err
    assert f"2 of 2 nodes in graph.tsv (100.0 %) match rows by node_id: {form}" in said
    assert "WARNING" not in said


def test_a_share_below_95_percent_is_a_warning(tmp_path, capsys):
    triples = [("9", "r", "8"), ("7", "r", "6"), ("Gene::9", "r", "5")]
    found, _ = node_ids(tmp_path, ROWS, triples)
    assert found == ["9", "8", "7"]
    said = capsys.readouterr().err
    assert "WARNING" in said
    assert "only 3 of 6 nodes in graph.tsv (50.0 %) match rows by node_id: id" in said
    assert "(by label::id 1, name 0)" in said
    report = json.loads((tmp_path / "texts/findings.json").read_text())["node_ids"]
    assert report["found"] == {"label::id": 1, "id": 3, "name": 0} and report["share"] == 0.5


def test_a_setting_overrules_the_count(tmp_path, capsys):
    found, _ = node_ids(tmp_path, ROWS, [("9", "r", "8")], more=["--node-id", "name"])
    assert found == ["alpha", "beta", "gamma"]
    assert "only 0 of 2 nodes" in capsys.readouterr().err


def test_used_by_decides_where_there_is_no_graph(tmp_path):
    found, manifest = node_ids(tmp_path, ROWS, used_by=[("beta", "r", "gamma")])
    assert (found, manifest["rows"]) == (["beta", "gamma"], 2)


def test_the_usual_form_leaves_no_trace(tmp_path):
    """BioMedGPS's own tables need no key, and get the same rows and manifest as ever."""
    for triples in (None, [("Gene::9", "r", "Gene::8")]):
        found, manifest = node_ids(tmp_path, ROWS, triples)
        assert found == ["Gene::9", "Gene::8", "Disease::7"]
        assert "node_id" not in manifest and "node_id" not in manifest["policies"]


def test_an_id_that_begins_with_its_label_is_a_node_id(tmp_path):
    rows = [("Gene::9", "Gene", "a"), ("8", "Gene", "b"), ("Gene::7", "Disease", "c")]
    found, manifest = node_ids(tmp_path, rows)
    assert found == ["Gene::9", "Gene::8", "Disease::Gene::7"]
    assert manifest["node_id"] == "label::id", "so that jobs that use the ids run again"


@pytest.mark.parametrize(
    ("rows", "more", "says"),
    [
        (
            [("9", "Gene", "a"), ("8", "Gene", "b"), ("9", "Disease", "c")],
            ["--node-id", "id"],
            "line 4 (id 9, label Disease, name c) would have the same id 9 as line 2 (id 9, label",
        ),
        (
            [("9", "Gene", "a"), ("Gene::9", "Gene", "b")],
            [],
            "line 3 (id Gene::9, label Gene, name b) would have the same id Gene::9 as line 2 (id",
        ),
        (
            [("9", "Gene", "a"), ("7", "Disease", "a")],
            ["--node-id", "name"],
            "would have the same id a as line 2",
        ),
    ],
)
def test_two_nodes_with_one_id_are_an_error_that_names_both(tmp_path, capsys, rows, more, says):
    code, _ = node_ids(tmp_path, rows, more=more)
    assert code == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
    assert not (tmp_path / "texts").exists()


def test_two_rows_of_one_node_are_no_error(tmp_path):
    rows = [("9", "Gene", "a"), ("9", "Gene", "b"), ("8", "Gene", "c")]
    assert node_ids(tmp_path, rows, more=["--node-id", "id"])[0] == ["9", "9", "8"]


@pytest.mark.parametrize(
    ("relation", "form", "ids"),
    [
        ("X::t::A:B", "relation_type", ["X::t::A:B", "X::c::A:B"]),
        ("X_causes", "formatted_relation_type", ["X_treats", "X_causes"]),
    ],
)
def test_relations_are_called_as_the_graph_calls_them(tmp_path, capsys, relation, form, ids):
    triples = [("9", relation, "8")]
    found, _ = node_ids(tmp_path, RELATIONS, triples, kind="relation_types")
    assert found == ids
    assert f"1 of 1 relations in graph.tsv (100.0 %) match rows by relation_id: {form}" in (
        capsys.readouterr().err
    )


def test_clashes_are_those_that_a_plain_loop_finds():
    """Against a dictionary; keys and ids drawn from few, so that many clash."""
    from kgtextvec.texts.node_ids import NodeIds

    rng = np.random.default_rng(0)
    ids = [str(one) for one in rng.integers(0, 40, 300)]
    labels = [f"L{one}" for one in rng.integers(0, 2, 300)]
    made = NodeIds(ENTITIES, "id", None)
    for start in range(0, 300, 70):
        block = slice(start, start + 70)
        made.add({"id": ids[block], "label": labels[block], "name": ids[block]})
    keys = np.array([hash(pair) for pair in zip(ids, labels, strict=True)])
    first: dict[str, int] = {}
    want = []
    for row, one in enumerate(ids):
        start = first.setdefault(one, row)
        if labels[start] != labels[row]:
            want.append((row, start))
    assert sorted(map(tuple, made.clashes(keys).tolist())) == want
    assert RELATION_TYPES.node_ids({"id": ["a"], "name": [""]}, "name") == ["a"]


def test_a_label_and_an_id_find_a_row_whatever_its_node_id(tmp_path):
    """Maps of HeteroData know labels; a KGX graph's node ids don't have them."""
    index = {"id": ["9", "8"], "label": ["Gene", "Disease"], "name": ["a", "b"]}
    folder = write_space(
        tmp_path / "s", "entities", index | {"node_id": index["id"]}, 4, 0, None, {"node_id": "id"}
    )
    space = kgtextvec.open(folder)
    assert space.find(["9", "Disease::8", "Gene::8", "8"]).tolist() == [0, 1, -1, 1]
