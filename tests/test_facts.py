"""Facts: a graph's edges as texts, with the names that other tables give to their parts."""

import json

import pyarrow.parquet as pq
import pytest

from kgtextvec.__main__ import main

NODES = "id\tlabel\tname\nEX:1\tDrug\taspirin\nEX:2\tSymptom\tpain\nEX:3\tGene\t\n"
RELATIONS = "relation_type\tname\tdescription\nr1\ttreats\tlong words\n"
EDGES = [("EX:1", "r1", "EX:2"), ("EX:2", "r1", "EX:1")]


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """The texts of the tables that name nodes and relations."""
    folder = tmp_path_factory.mktemp("named")
    for table, kind, text in (("e", "entities", NODES), ("r", "relation_types", RELATIONS)):
        (folder / f"{table}.tsv").write_text(text, "utf-8")
        (folder / "graph.tsv").write_text("EX:1\tr1\tEX:2\nEX:3\tr1\tEX:1\n")
        words = ["--table", table, "--kind", kind, "--out-dir", str(folder / table)]
        words += ["--text", "id"] if kind == "entities" else []
        words += ["--graph", str(folder / "graph.tsv")]
        assert main(["read-texts", str(folder / f"{table}.tsv"), *words]) == 0
    return [str(folder / "e"), str(folder / "r")]


def facts(tmp_path, names, edges=EDGES, more=()):
    path = tmp_path / "edges.tsv"
    path.write_text("".join("\t".join(edge) + "\n" for edge in edges), "utf-8")
    words = ["--table", "facts", "--kind", "facts", "--out-dir", str(tmp_path / "out")]
    code = main(["read-texts", str(path), *words, "--names", *names, *more])
    if code:
        return code
    rows = pq.read_table(tmp_path / "out/rows.parquet").to_pylist()
    shards = pq.read_table(tmp_path / "out/shards").to_pylist()
    texts = {one["text_sha256"]: one["text"] for one in shards}
    return [row | {"text": texts[row["text_sha256"]]} for row in rows]


def test_a_fact_has_the_names_of_its_parts_and_the_ids_of_the_graph(tmp_path, named):
    first, second = facts(tmp_path, named)
    assert (first["text"], second["text"]) == ("aspirin treats pain", "pain treats aspirin")
    assert (first["id"], first["label"]) == ("EX:1|r1|EX:2", "r1")
    assert (first["head"], first["relation"], first["tail"]) == EDGES[0]
    assert [first["line"], second["line"]] == [1, 2]


def test_a_template_may_have_labels_and_ids(tmp_path, named):
    text = "{head_label} {head} ({head_id}) {relation} {tail_label} {tail}"
    (row, _) = facts(tmp_path, named, more=["--text", text])
    assert row["text"] == "Drug aspirin (EX:1) treats Symptom pain"


def test_relations_are_their_own_names_without_a_table_of_them(tmp_path, named):
    assert facts(tmp_path, named[:1])[0]["text"] == "aspirin r1 pain"


MISSING = [*EDGES, ("EX:1", "r2", "EX:9"), ("EX:3", "r1", "EX:1")]


def test_parts_without_a_name_are_an_error_by_default(tmp_path, named, capsys):
    assert facts(tmp_path, named, MISSING) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    for part in ("3: no table has a name for its relation r2", "tail EX:9", "4: ", "head EX:3"):
        assert part in said
    assert not (tmp_path / "out").exists()


def test_parts_without_a_name_are_left_out_or_take_their_ids(tmp_path, named, capsys):
    assert len(facts(tmp_path, named, MISSING, ["--empty-text", "skip"])) == 2
    assert "part of a fact that no table names; the fact was skipped" in capsys.readouterr().err
    rows = facts(tmp_path, named, MISSING, ["--empty-text", "name"])
    assert [row["text"] for row in rows[2:]] == ["aspirin r2 EX:9", "EX:3 treats aspirin"]


def test_facts_that_come_again_are_reported(tmp_path, named):
    facts(tmp_path, named, EDGES * 2)
    found = json.loads((tmp_path / "out/findings.json").read_text())
    assert found["duplicates"] == {"same_text": 2, "other_text": 0}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--text", "{haed}"], "facts have no column haed. Choose from head, relation"),
        (["--used-by", "x.tsv"], "used_by: facts are a graph's own edges"),
    ],
)
def test_what_facts_cant_have_is_refused(tmp_path, named, capsys, more, says):
    assert facts(tmp_path, named, more=more) == 2
    assert says in capsys.readouterr().err.splitlines()[-1]
