"""Columns by other names; labels as constants, in lists, with prefixes; headers of their own."""

import json
import re

import pytest

from kgtextvec.__main__ import main

KGX = """id\tcategory\tname\tdescription\tsynonym
EX:1\tbiolink:NamedThing|biolink:Disease\tscurvy\tBleeding gums.\tbarlow|Möller| |moeller|x
EX:2\t\tpellagra\tSkin, gut; mind|all suffer.\t
EX:3\tbiolink:NamedThing\tberiberi\t\tbb
"""
TRAP = "id\ttype\tlabel\tdescription\n" + "".join(
    f"X:{n}\t{'Gene' if n % 2 else 'Disease'}\tname {n}\tabout {n}\n" for n in range(12)
)


@pytest.fixture
def lint(tmp_path, monkeypatch, capsys):
    """Check a file as the command line does; return (exit code, report, what was said)."""
    monkeypatch.chdir(tmp_path)

    def run(data, *words, name="table.txt", kind="entities"):
        files = data if isinstance(data, dict) else {name: data}
        for file, text in files.items():
            (tmp_path / file).write_text(text, "utf-8")
        listed = [file for file in files if "header" not in file]
        code = main(["lint", *listed, "--kind", kind, "--json", *words])
        out, err = capsys.readouterr()
        return code, json.loads(out), err

    return run


def test_labels_come_from_lists_with_prefixes_and_a_constant_fills_empty_ones(lint):
    words = ["--columns", "label=category", "--list-separator", "|", "--label-prefixes", "biolink:"]
    words += [
        "--label",
        "Thing",
        "--text",
        "{label}: {name} ({synonym:2}). {synonym}. {description}",
    ]
    code, report, _ = lint(KGX, *words)
    assert code == 0
    assert report["labels"] == {"NamedThing": 2, "Thing": 1}
    assert report["texts"] == [
        "NamedThing: scurvy (barlow, Möller). barlow, Möller, moeller, x. Bleeding gums.",
        "Thing: pellagra. Skin, gut; mind|all suffer.",
        "NamedThing: beriberi (bb). bb.",
    ]
    for asked, label in [("last", "Disease"), ("Gene,Disease", "Disease"), ("Gene,", "NamedThing")]:
        _, report, _ = lint(KGX, *words, "--label-of", asked)
        assert report["labels"][label] >= 1
        assert sum(report["labels"].values()) == 3


def test_the_first_column_that_is_not_empty_counts_and_absent_ones_are_reported(lint):
    data = "node\tkind\tdefinition\tcomment\na\tK\t \tc1\nb\tK\td2\tc2\n"
    mapping = {"id": "node", "label": "kind", "description": ["notes", "definition", "comment"]}
    mapping["name"] = "node"
    code, report, err = lint(data, "--columns", json.dumps(mapping))
    assert (code, report["ids"], report["texts"]) == (0, ["a", "b"], ["c1", "d2"])
    assert "columns.description: there is no column notes" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "set columns: {label: type, name: label}"),
        (["--text", "label"], "12 rows have 12 different labels.*{label: type, name: label}"),
        (["--columns", "name=label"], "columns.name: takes the column label, so none is left for"),
        (["--columns", "nmae=label"], "nmae is not a column that is read.*Did you mean name"),
        (["--columns", "name=lable,label=type"], "no column lable. Did you mean label"),
        (["--columns", "name"], "--columns: not readable .'name' has no ="),
        (["--columns", "{"], "--columns: not readable"),
        (["--columns", "name=label,label=type", "--text", "{description:2}"], "Set list_separator"),
        (["--columns", "name=label,label=type", "--text", "{name:0}"], "asks for no values"),
    ],
)
def test_a_wrong_or_half_right_mapping_is_refused_by_name(lint, tmp_path, words, message, capsys):
    (tmp_path / "t.tsv").write_text(TRAP)
    assert main(["lint", str(tmp_path / "t.tsv"), "--kind", "entities", *words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(message, said), said


def test_the_complete_mapping_of_the_trap_is_read(lint):
    code, report, _ = lint(TRAP, "--columns", "label=type,name=label", "--text", "name")
    assert code == 0
    assert report["labels"] == {"Gene": 6, "Disease": 6}
    assert report["texts"] == [f"name {n}" for n in range(12)]
    code, report, _ = lint(TRAP, "--columns", "label=label", "--text", "description")
    assert (code, len(report["labels"])) == (0, 12)
    code, report, _ = lint(TRAP, "--columns", "name=label", "--label", "Thing", "--text", "name")
    assert (code, report["labels"]) == (0, {"Thing": 12})


def test_a_file_without_a_header_and_a_plain_list(lint):
    code, report, _ = lint(
        "E:1\tone, first\nE:2\ttwo\n", "--header", "id,name", "--label", "E", "--text", "name"
    )
    assert (code, report["ids"], report["texts"]) == (0, ["E:1", "E:2"], ["one, first", "two"])
    words = ["--header", "id", "--columns", "name=id", "--label", "Gene", "--text", "name"]
    code, report, _ = lint("TP53\nNA\nnan\n", *words)
    assert (code, report["ids"], report["texts"]) == (
        0,
        ["TP53", "NA", "nan"],
        ["TP53", "NA", "nan"],
    )
    code, _, err = lint("TP53\nNA\n")
    assert code == 2
    assert "plain list" in err


def test_neo4j_headers_types_and_single_quotes(lint):
    files = {
        "Gene-header.csv": ":ID(Gene);name;synonyms:string[];note:string;:LABEL\n",
        "Gene-part000.csv": "g1;'a; b';'x|y';'p|q';Gene|Thing\ng2;c;;;Gene\n",
        "Gene-part001.csv": "g3;'it''s';z;;Gene\n",
    }
    words = ["--header-file", "Gene-header.csv", "--columns", "id=:ID,label=:LABEL"]
    words += ["--list-separator", "|", "--quotechar", "'", "--text", "{name} ({synonyms}) {note}"]
    code, report, _ = lint(files, *words)
    assert code == 0
    assert report["ids"] == ["g1", "g2", "g3"]
    assert report["texts"] == ["a; b (x, y) p|q", "c", "it's (z)"]
    assert report["labels"] == {"Gene": 3}


def test_each_part_has_the_header_named_alike_and_lines_are_counted_through(lint):
    files = {
        "Gene-header.csv": ":ID;name;:LABEL",
        "GeneSet-header.csv": ":ID;label2;name;:LABEL",
        "Gene-part0.csv": "g1;a;Gene\n",
        "GeneSet-part0.csv": "s1;x;b;Set\ns2;b;Set\n",
    }
    words = ["--columns", "id=:ID,label=:LABEL", "--text", "name"]
    words += ["--header-file", "Gene-header.csv", "GeneSet-header.csv"]
    code, _, err = lint(files, *words)
    assert code == 2
    assert "line 3 has 3 fields, the header has 4" in err
    assert "Gene-part0.csv begins at 1, GeneSet-part0.csv begins at 2" in err
    code, report, _ = lint(files, *words, "--bad-lines", "skip")
    assert (code, report["ids"], report["texts"]) == (0, ["g1", "s1"], ["a", "b"])


def test_files_of_one_table_may_call_their_columns_differently(lint):
    """A column that only some files lack is no finding; one that all of them lack is."""
    files = {
        "genes.csv": "Node;Kind;Title\ng1;Gene;a\n",
        "others.tsv": "curie\tcategory\tlabel\nd1\tDisease\tb\n",
    }
    columns = {"id": ["Node", "curie"], "label": ["Kind", "category"], "name": ["Title", "label"]}
    words = ["--text", "name", "--columns"]
    code, report, err = lint(files, *words, json.dumps(columns))
    assert (code, report["ids"], report["texts"]) == (0, ["g1", "d1"], ["a", "b"])
    assert report["findings"] == [] and "WARNING" not in err
    columns["id"].append("identifier")
    code, report, _ = lint(files, *words, json.dumps(columns))
    (found,) = report["findings"]
    assert (code, found["count"]) == (0, 1) and "there is no column identifier" in found["message"]


def test_a_column_that_a_later_file_lacks_is_said_with_its_name(lint):
    files = {"a.tsv": "id\tlabel\tname\n1\tGene\tx\n", "b.tsv": "x\ty\n2\tGene\n"}
    code, _, err = lint(files, "--text", "name")
    assert code == 2
    assert "ERROR: a.tsv: b.tsv: column id missing, column label missing" in err
    assert "header line? Line numbers run through all files: a.tsv begins at 1" in err


def test_labels_of_relation_types_are_refused(lint):
    code, _, err = lint(
        "predicate\nr\n",
        "--columns",
        "relation_type=predicate",
        "--label",
        "x",
        "--text",
        "relation_type",
        kind="relation_types",
    )
    assert code == 2
    assert "label: tables of relation_types have no labels" in err


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("id\tEX:1\tEX:2\nlabel\tGene\tGene\nname\ta\tb\n", "transposed.*each node has a row"),
        (
            "gene\t" + "\t".join(f"s{n}" for n in range(30)) + "\n"
            "TP53\t" + "\t".join("1.5" for _ in range(30)) + "\n",
            "matrix of numbers with 31 columns",
        ),
        (
            "id\tname\tdescription\nX\ta\tb\n",
            "column label missing. Found: id, name, description.$",
        ),
    ],
)
def test_a_transposed_table_and_a_matrix_are_named(lint, data, message):
    code, _, err = lint(data)
    assert code == 2
    assert re.search(message, err.strip()), err
