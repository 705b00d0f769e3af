"""A graph's edges from every form of file that people have: one reader for all who read them."""

import bz2
import gzip
import lzma

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kgtextvec.edge_file import EdgeFile
from kgtextvec.errors import InputError
from kgtextvec.settings.base import read_settings
from kgtextvec.settings.edges import EdgeReading, edges_as_json, edges_of_json
from kgtextvec.triples import read_columns

PACK = {
    "plain": bytes,
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "bzip2": bz2.compress,
}
KGX = "id\tsubject\tpredicate\tobject\trelation\tknowledge_source\n"
PRIMEKG = (
    "relation,display_relation,x_index,x_id,x_type,x_name,x_source,y_index,y_id,y_type,y_name\n"
)
BIOMEDGPS = (
    "relation_type\tresource\tpmids\tkey_sentence\tsource_id\tsource_type\ttarget_id\ttarget_type\t"
    "score\n"
)


def edges_in(path, **how):
    table = read_columns([path], read_settings(EdgeReading, how, "config, graph."))
    return [tuple(row.values()) for row in table.to_pylist()]


def written(tmp_path, text, name="edges.tsv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("a\tr\tb\n", [("a", "r", "b")]),
        ("a\tr\tb\nc\tr\td", [("a", "r", "b"), ("c", "r", "d")]),
        ("\n\na\tr\tb\n\n\n", [("a", "r", "b")]),
        ("a\u2028x\tr\x0c\tb\x85\n", [("a\u2028x", "r\x0c", "b\x85")]),
        ("\ufeffa\tr\tb\r\nc\tr\td\r\n", [("a", "r", "b"), ("c", "r", "d")]),
        ("head\trelation\ttail\na\tr\tb\n", [("a", "r", "b")]),
        ("\ufeffTail\tRelation\tHEAD\na\tr\tb\n", [("b", "r", "a")]),
        ("a\tr\tb\t0.5\nc\tr\td\t1\n", [("a", "r", "b"), ("c", "r", "d")]),
        ('"5 HT"\tr\tb\nb\tr\t"5 HT"\n', [('"5 HT"', "r", "b"), ("b", "r", '"5 HT"')]),
        ('"a"\t"r s"\t"b"\n"c"\t"r"\t"d"\n', [("a", "r s", "b"), ("c", "r", "d")]),
        ("nan\tNA\tNone\nnull\tr\t\n", [("nan", "NA", "None"), ("null", "r", "")]),
        (KGX + "x\tEX:1\tbiolink:treats\tEX:2\tRO:1\tk\n", [("EX:1", "biolink:treats", "EX:2")]),
        (
            "source\tmetaedge\ttarget\nGene::9\tGiG\tGene::10\n",
            [("Gene::9", "GiG", "Gene::10")],
        ),
        (
            PRIMEKG + 'ppi,ppi 2,0,9796,gene/protein,"PHYH, x",NCBI,1,56992,gene/protein,KIF15\n',
            [("gene/protein::9796", "ppi", "gene/protein::56992")],
        ),
        (
            BIOMEDGPS
            + "X::t::Gene:Disease\tX\t1|2\tk\tENTREZ:1\tGene\tDisease::D:2\tDisease\t.5\n",
            [("Gene::ENTREZ:1", "X::t::Gene:Disease", "Disease::D:2")],
        ),
        (
            ":START_ID(Gene);:TYPE;w;:END_ID(Disease)\n'g;1';BINDS;1;'d ''2'''\n",
            [("g;1", "BINDS", "d '2'")],
        ),
        (
            '{"id": "x", "subject": "EX:1", "predicate": "treats", "object": 2, "q": [1]}\n\n'
            '{"object": "EX:3", "subject": "é", "predicate": null}',
            [("EX:1", "treats", "2"), ("é", "", "EX:3")],
        ),
        (
            "Gene::2157\tGNBR::E::Compound:Gene\tCompound::DB1\n",
            [("Gene::2157", "GNBR::E::Compound:Gene", "Compound::DB1")],
        ),
    ],
)
@pytest.mark.parametrize("packing", PACK)
def test_forms_that_people_have_are_recognised(tmp_path, text, edges, packing):
    """Packings are recognised by content: the name says .tsv."""
    assert edges_in(written(tmp_path, PACK[packing](text.encode()))) == edges


@pytest.mark.parametrize(
    ("how", "edges"),
    [
        ({"columns": {"head": 1, "relation": 3, "tail": 4}}, [("z", "x", "b"), ("a", "r", "c")]),
        (
            {"columns": {"head": "z", "relation": "x", "tail": "b"}},  # so line 1 is a header
            [("a", "r", "c")],
        ),
        (
            {"header": ["k", "w", "rel", "to", "o"], "columns": {"head": "{k}:{w}", "tail": "o"}},
            [("z:y", "x", "w"), ("a:q", "r", "d")],
        ),
    ],
)
def test_settings_overrule_what_is_recognised(tmp_path, how, edges):
    assert edges_in(written(tmp_path, "z\ty\tx\tb\tw\na\tq\tr\tc\td\n"), **how) == edges


def test_a_header_is_counted_or_not_as_the_setting_says(tmp_path):
    path = written(tmp_path, "head\trelation\ttail\na\tr\tb\n")
    assert edges_in(path, header=False) == [("head", "relation", "tail"), ("a", "r", "b")]
    path = written(tmp_path, "von\tart\tnach\na\tr\tb\n")
    assert edges_in(path, header=True) == [("a", "r", "b")]


def test_parquet_of_any_types_is_read_as_strings(tmp_path):
    table = pa.table({"y_id": [7, 8], "relation": ["r", None], "x_id": ["a", "b"], "w": [0.5, 1]})
    pq.write_table(table, tmp_path / "kg.parquet")
    assert edges_in(tmp_path / "kg.parquet") == [("a", "r", "7"), ("b", "", "8")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "not there"),
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a\tb\n", r"has 2 columns \(a, b\)"),
        ("a\tr\tb\tx\n", "has 4 columns.*Set graph.columns"),
        ("a\tr\tb\nc\td\n", "line 2 has 2 fields, line 1 has 3"),
        ("h\tr\tt\na\tr\tb\nc\tr\td\te\n", "line 3 has 4 fields, line 1 has 3"),
        (b"a\tr\t\xff\n", "UTF8|UTF-8"),
        (gzip.compress(b"a\tr\tb\n" * 99, mtime=0)[:-9], "can't be read"),
        (PACK["zstd"](b"a\tr\tb\n" * 99)[:-3], "can't be read"),
        ("<html>\n", "is a web page, XML or JSON"),
        ('{"subject": 1\n', "line 1 is not a JSON object"),
        ('{"s": "a", "p": "r", "o": "b"}\n', r"has 3 columns \(s, p, o\); head, relation, tail"),
        ('{"h": "a", "r": "r", "t": "b"}\n{"h": ["a"]}\n', "between lines 1 and 2"),
    ],
)
def test_what_cant_be_read_is_refused_in_one_line(tmp_path, content, says):
    path = tmp_path / "edges.tsv" if content is None else written(tmp_path, content)
    with pytest.raises(InputError, match=says) as caught:
        read_columns([path])
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"head": "subjct"}, r"no column subjct, which graph\.columns\.head names.*mean subject"),
        ({"tail": 9}, r"has 6 columns, graph\.columns\.tail is 9"),
    ],
)
def test_columns_that_are_not_there_are_refused_by_name(tmp_path, columns, says):
    path = written(tmp_path, KGX + "x\tEX:1\tp\tEX:2\tRO:1\tk\n")
    with pytest.raises(InputError, match=says):
        edges_in(path, columns=columns, header=True)


def test_a_bomb_is_refused(tmp_path):
    path = written(tmp_path, gzip.compress(b"a\tr\tb\n" * (12 << 20), 1))
    with pytest.raises(InputError, match="more than 2 times its size"):
        list(EdgeFile(path, max_ratio=2).batches())


FIELD = st.text(
    st.characters(exclude_characters="\t\r\n\x00", exclude_categories=["Cs"]), min_size=1
)


@given(st.lists(st.tuples(FIELD, FIELD, FIELD), min_size=1, max_size=20))
def test_any_strings_come_back_as_they_are(tmp_path_factory, edges):
    """Behind a header: a first edge in quotes all around would be read as quoted."""
    lines = ["head\trelation\ttail", *("\t".join(edge) for edge in edges)]
    path = written(tmp_path_factory.mktemp("edges"), "\n".join(lines) + "\n")
    assert edges_in(path) == edges


def test_settings_travel_as_json_and_leave_no_trace_at_their_defaults():
    how = {"columns": {"head": 1, "tail": "{a}::{b}"}, "header": False, "quotechar": ""}
    given_settings = read_settings(EdgeReading, how, "config, graph.")
    assert edges_of_json(edges_as_json(given_settings)) == given_settings
    assert edges_as_json(EdgeReading()) == "" and edges_of_json("") == EdgeReading()
    with pytest.raises(InputError, match="--edges, colums: there is no such key"):
        edges_of_json('{"colums": {}}')


def test_distinct_ids_come_in_order_of_appearance_over_all_blocks(tmp_path, monkeypatch):
    """Against a plain loop; blocks of a few lines."""
    import kgtextvec.edge_file as module

    monkeypatch.setattr(module, "BYTES_OF_BLOCK", 64)
    monkeypatch.setattr(module, "BLOCKS_AT_ONCE", 2)
    rng = np.random.default_rng(0)
    edges = [(f"n{a}", f"r{r}", f"n{b}") for a, r, b in rng.integers(0, 40, (200, 3)).tolist()]
    file = EdgeFile(written(tmp_path, "".join("\t".join(edge) + "\n" for edge in edges)))
    found = dict.fromkeys(one for some in file.distinct(("head", "tail")) for one in some)
    assert list(found) == list(dict.fromkeys(end for a, _, b in edges for end in (a, b)))
    assert file.count == 200
