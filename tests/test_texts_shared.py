"""The acceptance table beside the project, where there is one; our own is inputs/cases.yaml."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kgtextvec.settings.tables import Reading
from kgtextvec.texts.check import check_table
from kgtextvec.texts.table import CheckedTable

SHARED = Path(__file__).resolve().parents[2] / "shared"
CASES = {}
if (SHARED / "inputs" / "bad_inputs.yaml").exists():
    CASES = {
        case["id"]: case
        for case in yaml.safe_load((SHARED / "inputs" / "bad_inputs.yaml").read_text("utf-8"))[
            "cases"
        ]
        if case["input"] in {"entities", "relation_types"} and case["id"] != "huge_rows"
    }
pytestmark = pytest.mark.skipif(not CASES, reason="../shared is not here")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    program = SHARED / "inputs" / "gen_bad_inputs.py"
    subprocess.run(
        [sys.executable, program, folder, "--only", *CASES], check=True, capture_output=True
    )
    return folder


@pytest.mark.parametrize("name", CASES or ["none"])
def test_the_acceptance_table_holds(name, files):
    case = CASES[name]
    (path,) = (files / name).iterdir()
    table = CheckedTable(path, Reading(kind=case["input"]))
    report = check_table(table)
    expected = case["expect"]
    assert report["outcome"] == expected["outcome"], report["findings"]
    messages = [finding["message"] for finding in report["findings"]]
    assert any(re.search(expected.get("message", ""), one) for one in [*messages, ""]), messages
    if expected["outcome"] != "error":
        assert report["rows"] == expected.get("rows", report["rows"])
        assert report["ids"] == expected.get("ids", report["ids"])
        for row, text in expected.get("texts", {}).items():
            assert report["texts"][row] == text


def test_the_traps_are_counted_right():
    told = json.loads((SHARED / "data" / "entities_quirks.expected.json").read_text("utf-8"))
    report = check_table(
        CheckedTable(SHARED / "data" / "entities_quirks.tsv", Reading(kind="entities"))
    )
    names = {"NA", "null", "None", "nan", "NaN", "N/A"}
    assert report["rows"] == told["rows"]
    assert report["duplicates"] == {"same_text": 0, "other_text": 0}
    assert told["unique_keys"] == told["rows"]
    assert sum(text in names for text in report["texts"]) == told["names_that_look_missing"]


@pytest.mark.parametrize(("trap", "line"), [("ragged", 3), ("unbalanced", 2)])
def test_broken_shapes_are_refused(trap, line):
    path = SHARED / "data" / f"entities_quirks_{trap}.tsv"
    report = check_table(CheckedTable(path, Reading(kind="entities")))
    assert (report["outcome"], report["findings"][0]["line"]) == ("error", line)


@pytest.mark.parametrize(
    ("file", "kind", "rows"),
    [("entities_2k.tsv", "entities", 2000), ("relation_types.tsv", "relation_types", 24)],
)
def test_real_tables_pass(file, kind, rows):
    report = check_table(CheckedTable(SHARED / "data" / file, Reading(kind=kind)))
    assert (report["outcome"], report["rows"]) == ("ok", rows)


GRAPHS = SHARED / "inputs" / "graphs"
LINTED = [
    (GRAPHS / "p01-kgx-nodes-as-they-come/nodes.tsv", {}, "error", "columns: {label: category}"),
    (
        GRAPHS / "p01-kgx-nodes-as-they-come/nodes.tsv",
        {
            "columns": {"label": "category"},
            "label": "NamedThing",
            "list_separator": "|",
            "text": "{name} ({synonym}). {description}",
        },
        "ok",
        "",
    ),
    (GRAPHS / "p07-owl-is-no-sign-in-page/terms.xml", {}, "error", "ontology in OWL"),
    (GRAPHS / "p07-owl-is-no-sign-in-page/terms.txt", {}, "error", "ontology in OBO"),
    (GRAPHS / "p08-nodes-called-nan-and-NA/nodes.tsv", {"text": "name"}, "ok", ""),
    (
        GRAPHS / "p09-two-names-for-one-node/nodes.tsv",
        {"text": "name"},
        "warn",
        r"DIFFERENT text x1 .first: line 3 repeats line 2.",
    ),
    (SHARED / "inputs/tables/label_is_the_name.tsv", {}, "error", "label: type, name: label"),
    (
        SHARED / "inputs/tables/typed_nodes.csv",
        {
            "columns": {
                "id": "node_id",
                "label": "type",
                "name": "label",
                "description": "definition",
            }
        },
        "ok",
        "",
    ),
    (
        SHARED / "inputs/tables/symbols.txt",
        {"header": ("id",), "columns": {"name": "id"}, "label": "Gene", "text": "name"},
        "ok",
        "",
    ),
]


@pytest.mark.parametrize(("path", "how", "outcome", "message"), LINTED)
def test_tables_as_people_have_them(path, how, outcome, message):
    report = check_table(CheckedTable(path, Reading(kind="entities", **how)))
    assert report["outcome"] == outcome, report["findings"]
    told = " ".join(finding["message"] for finding in report["findings"])
    assert re.search(message, told), told
    assert outcome == "error" or report["rows"] == len(report["texts"]) > 0
