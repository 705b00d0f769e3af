"""init: the form of a user's files is recognised, and the config that it writes works as it is."""

import csv
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from graph_forms import BIOCYPHER, LABEL_IS_NAME, NEO4J_EDGES, write_forms
from published_graphs import DOCUMENTED, RELATIONS, N, example

from kgtextvec.__main__ import main
from kgtextvec.settings.base import pick, read_settings
from kgtextvec.settings.config import Config
from kgtextvec.settings.tables import Reading
from kgtextvec.texts.check import check_table
from kgtextvec.texts.table import CheckedTable

ROOT = Path(__file__).resolve().parents[1]


def reports_of(text):
    """Check each table of a config as lint does; return its report by name."""
    config = read_settings(Config, yaml.safe_load(text), "config, ")
    reports = {}
    for name, table in config.tables.items():
        asked = [table.file] if isinstance(table.file, str) else table.file
        first, *more = [path for pattern in asked for path in sorted(Path().glob(pattern))]
        headers = sorted(Path().glob(table.header_file)) if table.header_file else []
        checked = CheckedTable(first, pick(Reading, table), more=more, headers=headers)
        reports[name] = check_table(checked)
    if config.graph:
        files = [config.graph.file] if isinstance(config.graph.file, str) else config.graph.file
        assert all(any(Path().glob(pattern)) for pattern in files)
    return reports


@pytest.fixture
def forms(tmp_path, monkeypatch):
    write_forms(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


GENE = {"Gene": 2}
CASES = [
    (["kgx_nodes.tsv", "kgx_edges.tsv"], "KGX", {"Disease": 2, "Gene": 1, "NamedThing": 1}),
    (["hetionet_nodes.tsv", "hetionet_edges.sif"], "Hetionet", {"Gene": 1, "Disease": 1}),
    (["primekg_nodes.csv", "primekg_edges.csv"], "PrimeKG", {"gene/protein": 1, "drug": 1}),
    (["entities.tsv", "relation_types.tsv", "relations.tsv"], "BioMedGPS", {"Gene": 1}),
    (["neo4j_nodes.csv", "neo4j_edges.csv"], "Neo4j", GENE),
    (["Gene-header.csv", "Gene-part000.csv", "Gene-part001.csv"], "BioCypher", GENE),
    (sorted(BIOCYPHER), "BioCypher", GENE | {"Disease": 1}),
    (["drkg_nodes.tsv", "drkg.tsv"], "DRKG", GENE),
    (["symbols.txt"], "plain list", {"Entity": 5}),
    (["entity2text.txt"], "entity2text", {"Entity": 2}),
    (["entity2id.txt"], "entity2id", GENE),
    (["label_is_name.csv"], "table", {"Gene": 10, "Disease": 10, "Drug": 10}),
]


@pytest.mark.parametrize(("files", "form", "labels"), CASES, ids=[case[0][0] for case in CASES])
def test_each_form_is_recognised_and_its_config_passes_lint(forms, capsys, files, form, labels):
    assert main(["init", "--yes", *files]) == 0
    assert f": {form}" in capsys.readouterr().err
    text = (forms / "config.yaml").read_text()
    reports = reports_of(text)
    assert reports["entities"]["outcome"] != "error", reports["entities"]["findings"]
    assert reports["entities"]["labels"].items() >= labels.items()
    shown = re.findall(r"# Text of .*?: (.*)", text)
    expected = [one for report in reports.values() for one in report["texts"][:3]]
    assert shown == expected
    edges = [name for name in files if "edges" in name or name in ("drkg.tsv", "relations.tsv")]
    assert yaml.safe_load(text).get("graph", {}).get("file") == (edges[0] if edges else None)


def test_edges_are_recognised_by_the_names_of_their_columns(forms, capsys):
    (forms / "triples.tsv").write_text("head\trelation\ttail\nGene::A\tbinds\tGene::B\n")
    assert main(["init", "--yes", "entities.tsv", "triples.tsv"]) == 0
    assert "triples.tsv: edges with a header, as graph" in capsys.readouterr().err
    assert yaml.safe_load((forms / "config.yaml").read_text())["graph"] == {"file": "triples.tsv"}


def graph_of(*files):
    assert main(["init", "--yes", *files]) == 0
    text = Path("config.yaml").read_text("utf-8")
    Path("config.yaml").unlink()
    return yaml.safe_load(text).get("graph"), text


def test_triples_without_a_header_are_a_graph_where_a_table_has_their_ends(forms, capsys):
    (forms / "train.txt").write_text("/m/027rn\tis\t/m/06cx9\n/m/027rn\tof\t/m/none\n")
    graph, text = graph_of("entity2text.txt", "train.txt")
    assert graph == {"file": "train.txt"}
    assert "of the first 2 edges, 100 % of the heads and 50 % of the tails are rows" in text
    (forms / "weighted.txt").write_text("TP53\tbinds\tMYC\t0.5\n")
    assert graph_of("symbols.txt", "weighted.txt")[0] == {"file": "weighted.txt"}
    assert graph_of("entity2text.txt", "weighted.txt")[0] is None  # nobody has TP53 there
    assert "weighted.txt: not recognised, left out" in capsys.readouterr().err


def test_a_table_of_ids_labels_and_names_is_not_taken_for_triples(forms):
    (forms / "nodes.tsv").write_text("id\tlabel\tname\nEX:1\tGene\talpha\nEX:2\tGene\tbeta\n")
    (forms / "bare.tsv").write_text("EX:1\tGene\talpha\nEX:2\tGene\tbeta\n")
    assert graph_of("nodes.tsv", "bare.tsv")[0] is None


def test_all_files_of_edges_are_one_graph(forms):
    names = ["kgx_edges.tsv", "hetionet_edges.sif", "drkg.tsv"]
    graph, text = graph_of("kgx_nodes.tsv", *names)
    assert graph == {"file": names}
    assert "Its columns: head = subject, relation = predicate, tail = object" in text
    assert "Its columns: head = column 1, relation = column 2, tail = column 3; no header" in text
    assert "Remove those that hold test triples" in text
    parts = {"binds-header.csv": NEO4J_EDGES.splitlines()[0], "binds-part000.csv": "g1;g2;BINDS"}
    for name, line in parts.items():
        (forms / name).write_text(line + "\n")
    graph, text = graph_of(*BIOCYPHER, *parts)
    assert graph == {"file": [*parts]}
    assert "Its columns: head = :START_ID, relation = :TYPE, tail = :END_ID" in text
    assert "test triples" not in text


@pytest.mark.parametrize("synonyms", ["alpha|beta", "alpha", ""])
def test_the_text_with_synonyms_that_a_comment_offers_can_be_used(forms, synonyms):
    row = f"EX:1\tGene\tone\tA text.\t{synonyms}\n"
    (forms / "n.tsv").write_text(f"id\tcategory\tname\tdescription\tsynonym\n{row}")
    assert main(["init", "n.tsv", "--yes"]) == 0
    text = (forms / "config.yaml").read_text()
    offered = text.replace("# For texts with synonyms: ", "")
    assert (offered != text) == bool(synonyms)
    want = {"alpha|beta": "one (alpha, beta). A text.", "alpha": "one (alpha). A text."}
    assert reports_of(offered)["entities"]["texts"] == [want.get(synonyms, "A text.")]


def test_tables_that_share_a_graph_come_with_the_way_to_one_table(forms):
    files = ["kgx_nodes.tsv", "hetionet_nodes.tsv"]
    assert main(["init", *files, "kgx_edges.tsv", "--yes", "--out", "several.yaml"]) == 0
    assert main(["init", *files, "--yes", "--out", "no_graph.yaml"]) == 0
    said = "are these tables parts of one graph?"
    assert said in Path("several.yaml").read_text()
    assert said not in Path("no_graph.yaml").read_text()


def test_a_category_that_every_node_has_is_not_the_label(forms):
    nodes = "id\tcategory\tname\nEX:1\tbiolink:NamedThing|biolink:Disease\tscurvy\n"
    for order in ("NamedThing|biolink:Disease", "Disease|biolink:NamedThing"):
        (forms / "one.tsv").write_text(nodes.replace("NamedThing|biolink:Disease", order))
        assert main(["init", "--yes", "one.tsv"]) == 0
        text = (forms / "config.yaml").read_text()
        (forms / "config.yaml").unlink()
        assert reports_of(text)["entities"]["labels"] == {"Disease": 1}


def test_other_formats_are_looked_at_too_and_what_is_no_table_is_refused(forms, capsys):
    lines = ['{"id": "a", "category": ["biolink:Gene"], "name": "n", "more": {"x": 1}}', ""]
    (forms / "nodes.jsonl").write_text("\n".join(lines))
    assert main(["init", "nodes.jsonl"]) == 0
    table = yaml.safe_load((forms / "config.yaml").read_text())["tables"]["entities"]
    assert table["columns"] == {"label": "category"}
    assert table["label_prefixes"] == ["biolink:"]
    assert "Text of a (Gene): n" in (forms / "config.yaml").read_text()
    for name, data in {"x.png": bytes(range(256)), "empty.tsv": b"", "page.tsv": b"<html>"}.items():
        (forms / name).write_bytes(data)
        assert main(["init", name, "--out", "new.yaml"]) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith(f"ERROR: {name}: the file")


def test_biomedgps_needs_no_key_at_all(forms):
    main(["init", "entities.tsv", "relation_types.tsv"])
    tables = yaml.safe_load((forms / "config.yaml").read_text())["tables"]
    assert tables == {
        "entities": {"file": "entities.tsv", "kind": "entities"},
        "relation_types": {"file": "relation_types.tsv", "kind": "relation_types"},
    }


def test_label_that_is_the_name_is_read_as_the_name(forms):
    main(["init", "label_is_name.csv"])
    text = (forms / "config.yaml").read_text()
    columns = yaml.safe_load(text)["tables"]["entities"]["columns"]
    mapping = {"id": "node_id", "label": "type", "name": "label", "description": "definition"}
    assert columns == mapping
    assert "Not sure" in text
    assert reports_of(text)["entities"]["texts"][:2] == ["name 0, whole", "about"]


def test_where_two_mappings_are_possible_both_are_written(forms):
    few = "\n".join(LABEL_IS_NAME.splitlines()[:6]) + "\n"
    (forms / "few.csv").write_text(few)
    main(["init", "few.csv"])
    text = (forms / "config.yaml").read_text()
    assert yaml.safe_load(text)["tables"]["entities"]["columns"]["name"] == "label"
    other = re.search(r"# Or, if label is the label.*\n +#   (columns: .*)", text)
    assert yaml.safe_load(other[1])["columns"]["label"] == "label"


def test_an_answer_on_a_terminal_decides(forms):
    (forms / "few.csv").write_text("\n".join(LABEL_IS_NAME.splitlines()[:6]) + "\n")
    ours, theirs = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "kgtextvec", "init", "few.csv"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.write(ours, b"2\n")
        assert process.wait(60) == 0
    os.close(ours)
    os.close(theirs)
    text = (forms / "config.yaml").read_text()
    assert yaml.safe_load(text)["tables"]["entities"]["columns"]["label"] == "label"


def test_an_ontology_comes_with_the_way_to_a_table(forms, capsys):
    assert main(["init", "terms.obo", "--out", "new.yaml"]) == 0
    text = (forms / "new.yaml").read_text()
    assert "robot export --input terms.obo" in text
    assert "robot convert --input terms.obo --output terms.json" in text
    assert yaml.safe_load(text)["tables"] is None


OBO = "http://purl.obolibrary.org/obo/"
SPACE = "http://www.geneontology.org/formats/oboInOwl#hasOBONamespace"
# As the schema of OBO Graphs has it (github.com/geneontology/obographs).
TERMS = [
    {
        "id": f"{OBO}EX_0000001",
        "lbl": "fever",
        "type": "CLASS",
        "meta": {
            "definition": {"val": 'A "high"\ttemperature,\nfor days.', "xrefs": ["PMID:1"]},
            "synonyms": [
                {"pred": "hasExactSynonym", "val": "pyrexia"},
                {"pred": "hasRelatedSynonym", "val": "hot|warm", "xrefs": []},
            ],
            "xrefs": [{"val": "MESH:D005334"}],
            "basicPropertyValues": [{"pred": SPACE, "val": "symptom"}],
        },
    },
    {
        "id": f"{OBO}EX_0000002",
        "lbl": "ague",
        "type": "CLASS",
        "meta": {"definition": None, "synonyms": [], "xrefs": None, "deprecated": False},
    },
    {"id": f"{OBO}EX_0000003", "lbl": "old", "type": "CLASS", "meta": {"deprecated": True}},
    {"id": f"{OBO}CHEBI_15377", "type": "CLASS"},
    {"id": "http://www.orpha.net/ORDO/Orphanet_673", "lbl": "malaria"},
    {"id": f"{OBO}RO_0002200", "lbl": "has phenotype", "type": "PROPERTY"},
]
STATEMENTS = [
    ("EX_0000002", "is_a", "EX_0000001"),
    ("EX_0000002", f"{OBO}RO_0002200", "EX_0000001"),
    ("EX_0000002", f"{OBO}RO_0002200", "CHEBI_15377"),
    ("EX_0000003", "is_a", "EX_0000001"),
]


def test_tables_are_made_of_an_ontology_in_obo_graphs_json(forms, capsys):
    edges = [{"sub": OBO + one, "pred": p, "obj": OBO + two} for one, p, two in STATEMENTS]
    graphs = [{"nodes": TERMS[1:3], "edges": edges[:1]}, {"nodes": TERMS, "edges": edges[1:]}]
    (forms / "ex.json").write_text(json.dumps({"graphs": graphs}))
    assert main(["init", "ex.json", "--yes"]) == 0
    said = capsys.readouterr().err
    assert "3 terms, 2 edges, 2 relations" in said
    assert "1 deprecated terms, 1 terms without a name, 2 edges" in said
    with (forms / "ex-nodes.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(row["id"], row["category"], row["name"]) for row in rows] == [
        ("EX:0000002", "EX", "ague"),
        ("EX:0000001", "symptom", "fever"),
        ("http://www.orpha.net/ORDO/Orphanet_673", "Orphanet", "malaria"),
    ]
    assert rows[1]["description"] == 'A "high" temperature, for days.'
    assert (rows[1]["synonym"], rows[1]["xref"]) == ("pyrexia|hot/warm", "MESH:D005334")
    assert (forms / "ex-edges.tsv").read_text().splitlines() == [
        "subject\tpredicate\tobject",
        "EX:0000002\tis_a\tEX:0000001",
        "EX:0000002\tRO:0002200\tEX:0000001",
    ]
    text = (forms / "config.yaml").read_text()
    reports = reports_of(text)
    assert reports["entities"]["labels"] == {"EX": 1, "symptom": 1, "Orphanet": 1}
    assert reports["relation_types"]["ids"] == ["is_a", "RO:0002200"]
    assert reports["relation_types"]["texts"] == ["is a", "has phenotype"]
    assert not [one for report in reports.values() for one in report["findings"]]
    assert yaml.safe_load(text)["graph"] == {"file": "ex-edges.tsv"}
    assert main(["init", "ex.json", "--out", "again.yaml"]) == 2
    assert "ex-nodes.tsv: exists, and is not overwritten" in capsys.readouterr().err
    assert not (forms / "again.yaml").exists()


@pytest.mark.parametrize("data", ['{"graphs": [{"nodes": [{"lbl": "x"}]}]}', '{"graphs": [{"no'])
def test_a_damaged_ontology_leaves_nothing(forms, capsys, data):
    (forms / "ex.json").write_text(data)
    assert main(["init", "ex.json"]) == 2
    assert "ex.json: can't be read as OBO Graphs JSON" in capsys.readouterr().err
    assert not [*forms.glob("ex-*"), *forms.glob("config.yaml")]


def test_nothing_is_overwritten_and_nothing_is_guessed(forms, capsys):
    (forms / "config.yaml").write_text("mine")
    assert main(["init", "entities.tsv"]) == 2
    assert (forms / "config.yaml").read_text() == "mine"
    (forms / "odd.tsv").write_text("a\tb\tc\td\n1\t2\t3\t4\n")
    assert main(["init", "odd.tsv", "--out", "new.yaml"]) == 2
    assert not (forms / "new.yaml").exists()
    said = capsys.readouterr().err
    assert "config.yaml: exists" in said
    assert "odd.tsv: not recognised, left out. Its first line: a, b, c, d" in said


@pytest.mark.parametrize("form", DOCUMENTED)
def test_the_examples_in_the_docs_pass_lint(form, tmp_path, monkeypatch):
    """test_runs_of_forms.py runs the workflow on them."""
    DOCUMENTED[form](tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, report in reports_of(yaml.safe_dump(example(form))).items():
        assert report["outcome"] != "error", (name, report["findings"])
        assert report["rows"] in (N, len(RELATIONS))
