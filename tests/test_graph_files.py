"""A graph in several files, and all who read it: they read the same edges."""

import gzip
import lzma
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kgtextvec.errors import InputError
from kgtextvec.registry import ID_ORDERS
from kgtextvec.settings.edges import EdgeReading
from kgtextvec.settings.tables import Reading
from kgtextvec.texts.facts import FactBlocks
from kgtextvec.texts.findings import Findings
from kgtextvec.texts.used import read_ids
from kgtextvec.triples import open_edges, read_columns

KGX = {
    "a.tsv": "id\tsubject\tpredicate\tobject\n1\tEX:1\ttreats\tEX:2\n",
    "b.tsv": "object\tsubject\tpredicate\nEX:4\tEX:3\tbinds\n",
}
BIOCYPHER = {
    "Binds-header.csv": ":START_ID;score;:END_ID;:TYPE\n",
    "Binds-part000.csv": "g1;'0,5';g2;BINDS\n",
    "Binds-part001.csv": "g2;'1';g3;BINDS\n",
    "Treats-header.csv": ":START_ID;:END_ID;:TYPE",
    "Treats-part000.csv": "d1;g1;TREATS\n",
}
EDGES = [("g1", "BINDS", "g2"), ("g2", "BINDS", "g3"), ("d1", "TREATS", "g1")]


def written(folder, files):
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    return sorted(folder / name for name in files)


def edges_of(paths, **how):
    return [tuple(row.values()) for row in read_columns(paths, EdgeReading(**how)).to_pylist()]


def test_each_part_has_columns_and_a_packing_of_its_own(tmp_path):
    paths = written(tmp_path, KGX)
    paths[1].write_bytes(gzip.compress(paths[1].read_bytes()))
    table = pa.table({"tail": ["EX:6"], "head": ["EX:5"], "relation": ["binds"]})
    pq.write_table(table, tmp_path / "c.parquet")
    assert edges_of([*paths, tmp_path / "c.parquet"]) == [
        ("EX:1", "treats", "EX:2"),
        ("EX:3", "binds", "EX:4"),
        ("EX:5", "binds", "EX:6"),
    ]


def test_a_file_with_nothing_but_a_header_names_the_columns_of_parts_named_alike(tmp_path):
    paths = written(tmp_path, BIOCYPHER)
    assert edges_of(paths) == edges_of(paths[::-1])[::-1] == EDGES
    assert edges_of(paths[:3]) == EDGES[:2]  # one header, for all


def test_a_header_file_is_no_part_of_the_graph_unless_it_is_alone(tmp_path):
    paths = written(tmp_path, BIOCYPHER)
    assert [file.path.name for file in open_edges(paths)] == [
        path.name for path in paths if "part" in path.name
    ]
    assert edges_of([path for path in paths if "header" in path.name]) == []
    kgx = written(tmp_path, KGX | {"none.tsv": "subject\tpredicate\tobject\n"})
    assert len(edges_of(kgx)) == 2


def test_a_part_whose_header_is_not_there_or_does_not_fit_is_an_error(tmp_path):
    paths = written(tmp_path, BIOCYPHER)
    with pytest.raises(
        InputError, match=r"Binds-part000.csv: has 2 columns .* can't be recognised"
    ):
        edges_of([paths[1]])
    with pytest.raises(InputError, match=r"has 4 columns, Treats-header.csv names 3"):
        edges_of([paths[1], paths[3]])
    other = written(tmp_path, {"x.csv": "a;b;c;d\n"})
    with pytest.raises(
        InputError, match=r"its header can't be recognised by name among 2 header files"
    ):
        edges_of([*paths, *other])


def test_only_text_has_a_header_that_a_trainer_might_count(tmp_path):
    """Parquet and JSON lines of three columns are followed as they are."""
    lines = '{"subject": "EX:2", "predicate": "r", "object": "EX:1"}\n'
    (path,) = written(tmp_path, {"edges.jsonl": lines})
    assert ID_ORDERS["triples"].ids([path], EdgeReading())["entities"] == ["EX:2", "EX:1"]
    (path,) = written(tmp_path, {"edges.tsv": "subject\tpredicate\tobject\nEX:2\tr\tEX:1\n"})
    with pytest.raises(InputError, match="line 1 is a header"):
        ID_ORDERS["triples"].ids([path], EdgeReading())


def test_the_log_says_once_how_parts_are_read(tmp_path, capsys):
    paths = written(tmp_path, {f"{n}.tsv": "a\tr\tb\n" for n in range(9)} | KGX)
    read_ids(paths, ["head"], EdgeReading(), "utf-8", 200, "graph")
    said = capsys.readouterr().err.splitlines()
    assert sum("0.tsv and 8 more: head = column 1" in line for line in said) == 1
    assert len([line for line in said if "head = " in line]) == 2


FIELD = st.text(st.sampled_from("ab1:'.é\u2028|"), min_size=1, max_size=5)
EDGE = st.tuples(FIELD, FIELD, FIELD)
PACKINGS = [bytes, gzip.compress, lzma.compress]
PART = st.fixed_dictionaries(
    {
        "edges": st.lists(EDGE, min_size=1, max_size=5),
        "order": st.permutations(range(3)),
        "names": st.sampled_from(
            [(), ("head", "relation", "tail"), ("subject", "predicate", "object")]
        ),
        "delimiter": st.sampled_from("\t,;"),
        "end": st.sampled_from(["\n", "\r\n"]),
        "blank": st.booleans(),
        "mark": st.booleans(),
        "packing": st.sampled_from(PACKINGS),
    }
)


def text_of(part):
    """A part's file; without a header the columns are in our order.

    Quotes are ordinary characters only where tabs separate the columns.
    """
    order = part["order"] if part["names"] else range(3)
    rows = [[edge[place] for place in order] for edge in part["edges"]]
    if part["delimiter"] != "\t":
        rows = [[field.replace("'", "q") for field in row] for row in rows]
    if part["names"]:
        rows.insert(0, [part["names"][place] for place in order])
    lines = [part["delimiter"].join(row) + part["end"] for row in rows]
    text = "\ufeff" * part["mark"] + "".join(lines) + part["end"] * part["blank"]
    return part["packing"](text.encode())


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(parts=st.lists(PART, min_size=1, max_size=3))
def test_all_who_read_a_graph_read_the_same_edges(tmp_path_factory, parts):
    """Scores and maps, used_by and graph, facts, and align."""
    folder = tmp_path_factory.mktemp("graph")
    paths = [folder / f"part{number}" for number in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        path.write_bytes(text_of(part))
    edges = edges_of(paths)
    if not any("'" in field for part in parts for edge in part["edges"] for field in edge):
        assert edges == [edge for part in parts for edge in part["edges"]]
    how = EdgeReading()
    for places, named in (((0, 2), ("head", "tail")), ((1,), ("relation",))):
        found = read_ids(paths, named, how, "utf-8", 200, "graph")
        assert found.ids == {edge[place] for edge in edges for place in places}
        assert found.triples == len(edges)
    facts = FactBlocks(paths, Reading(kind="facts", empty_text="name"), how, [], ["head"])
    blocks = [batch.columns for batch in facts.blocks(Findings())]
    ends = [[block[f"{end}_id"] for block in blocks] for end in ("head", "relation", "tail")]
    assert list(zip(*(list(chain(*end)) for end in ends), strict=True)) == edges
    if len({bool(part["names"]) for part in parts}) == 1:  # align wants to be told of headers
        order = ID_ORDERS["triples"].ids(paths, EdgeReading(header=bool(parts[0]["names"])))
        ends = [end for head, _, tail in edges for end in (head, tail)]
        assert order["entities"] == list(dict.fromkeys(ends))
        assert order["relation_types"] == list(dict.fromkeys(edge[1] for edge in edges))
