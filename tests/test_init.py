"""init: the form of a user's files is recognised, and the config that it writes works as it is."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from graph_forms import EXAMPLES, LABEL_IS_NAME, write_forms

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
        if table.used_by is None and config.graph and table.kind == "entities":
            assert Path(config.graph.file).exists()
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
    (sorted(EXAMPLES["BioCypher"]), "BioCypher", GENE | {"Disease": 1}),
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


def test_ontologies_come_with_the_way_to_a_table(forms, capsys):
    for name in ("terms.obo", "terms.json"):
        assert main(["init", name, "--out", f"{name}.yaml"]) == 0
        text = (forms / f"{name}.yaml").read_text()
        assert f"robot export --input {name}" in text
        assert yaml.safe_load(text)["tables"] is None


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


PARAGRAPHS = re.findall(
    r"^([^\n`|#][^\n]*(?:\n[^\n]+)*)\n\n```yaml\n(.*?)```",
    (ROOT / "config/README.md").read_text("utf-8"),
    flags=re.DOTALL | re.MULTILINE,
)


@pytest.mark.parametrize("form", EXAMPLES)
def test_the_examples_in_the_docs_work(form, tmp_path, monkeypatch):
    (text,) = [block for words, block in PARAGRAPHS if words.startswith(form)]
    monkeypatch.chdir(tmp_path)
    for name, data in EXAMPLES[form].items():
        Path(name).write_text(data, "utf-8")
    for name, report in reports_of(text).items():
        assert report["outcome"] != "error", (name, report["findings"])
        assert report["rows"] >= 1
