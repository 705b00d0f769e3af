"""A file whose content changed under an old date: Snakemake looks at dates, so we look at bytes."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import xxhash
from export_spaces import entity_space
from tiny_models import tiny_bert
from workflow_run import ROOT, Project

from kgtextvec.__main__ import main
from kgtextvec.errors import InputError
from kgtextvec.records import read_unedited, write_record
from kgtextvec.source_files import SourceFiles

sys.path.insert(0, str(ROOT / "workflow"))
from lib.checks import check_files
from lib.plan import Plan
from lib.unseen import check_unseen_changes

OLD = 1_500_000_000  # a date before any result's
GRAPH = "X:1\ttreats\tX:2\n"
TABLE = {"file": "a table.tsv", "kind": "entities", "text": "name", "used_by": "graph.tsv"}
CONFIG = {
    "tables": {"entities": TABLE},
    "models": ["tiny"],
    "spaces": ["full"],
    "catalogue": {"tiny": {"source": "path:raw"}},
    "graph": {"file": "graph.tsv", "header": False},
}


def table(*names: str) -> str:
    return "id\tlabel\tname\n" + "".join(f"X:{i}\tGene\t{n}\n" for i, n in enumerate(names, 1))


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("raw") / "raw")


@pytest.fixture
def made(tmp_path, monkeypatch, raw) -> Plan:
    """A table's texts and a model's record, made by the verbs that the workflow runs."""
    monkeypatch.chdir(tmp_path)
    Path("a table.tsv").write_text(table("one", "two"))
    Path("graph.tsv").write_text(GRAPH)
    shutil.copytree(raw, "raw")
    plan = Plan(CONFIG, ROOT / "config/models.yaml", ROOT, in_conda=False)
    words = ["read-texts", "a table.tsv", "--table=entities", "--kind=entities", "--text=name"]
    words += ["--used-by", "graph.tsv", "--graph", "graph.tsv"]
    assert main([*words, "--out-dir=results/texts/entities"]) == 0
    words = ["download-model", "tiny", "--entry", json.dumps(CONFIG["catalogue"]["tiny"])]
    words += ["--lock=lock.yaml", "--downloads=downloads"]
    assert main([*words, "--out=resources/downloads/tiny.json"]) == 0
    for path in [*Path("raw").iterdir(), Path("a table.tsv"), Path("graph.tsv")]:
        os.utime(path, (OLD, OLD))
    return plan


def test_what_is_read_is_recorded(made):
    recorded = read_unedited(Path("results/texts/entities/manifest.json"))["sources"]
    assert recorded == {
        name: {
            "bytes": Path(name).stat().st_size,
            "xxh3": xxhash.xxh3_128(Path(name).read_bytes()).hexdigest(),
        }
        for name in ("a table.tsv", "graph.tsv")
    }


FILES = {
    "a table.tsv": r"config, tables\.entities\.file: a table\.tsv: .* touch 'a table\.tsv', or",
    "graph.tsv": r"config, tables\.entities\.used_by: graph\.tsv: .* Run touch graph\.tsv, or",
    "raw/vocab.txt": r"catalogue, tiny\.source: .*raw/vocab\.txt: .* Run touch .*vocab\.txt, or",
}


@pytest.mark.parametrize("longer", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_another_content_under_an_old_date_is_an_error(made, name, longer):
    check_unseen_changes(made)
    path = Path(name)
    sound = path.read_bytes()
    path.write_bytes(sound[:-2] + b"~\n" + b"~\n" * longer)
    os.utime(path, (OLD, OLD))
    with pytest.raises(InputError, match=FILES[name]) as caught:
        check_unseen_changes(made)
    assert "\n" not in str(caught.value)
    path.touch()  # as the message says: Snakemake sees it now
    check_unseen_changes(made)
    path.write_bytes(sound)
    os.utime(path, (OLD, OLD))
    check_unseen_changes(made)


def test_a_path_may_begin_at_the_working_directory(made):
    """Records name the file without `./`."""
    tables = {"entities": TABLE | {"file": "./a table.tsv"}}
    plan = Plan(CONFIG | {"tables": tables}, ROOT / "config/models.yaml", ROOT, in_conda=False)
    check_unseen_changes(plan)
    Path("a table.tsv").write_text(table("one", "six"))
    os.utime("a table.tsv", (OLD, OLD))
    with pytest.raises(InputError, match=r"config, tables\.entities\.file: \./a table\.tsv: "):
        check_unseen_changes(plan)


@pytest.mark.parametrize("name", FILES)
def test_the_same_content_put_in_place_anew_is_no_error(made, name):
    shutil.copy(name, "copy")
    os.utime("copy", (OLD, OLD + 1))
    Path("copy").rename(name)
    check_unseen_changes(made)


def test_the_files_of_a_trainer_are_compared_too(made):
    """Two maps in the order of DGL-KE, recorded by the export of vectors in that order."""
    config = CONFIG | {"align": {"to": ["nodes.tsv"], "form": "dglke"}}
    plan = Plan(config, ROOT / "config/models.yaml", ROOT, in_conda=False)
    nodes = Path("nodes.tsv")
    nodes.write_text("0\tGene::X:1\n1\tGene::X:2\n")
    entity_space(Path("space"), [("Gene", "X:1", "one"), ("Gene", "X:2", "two")])
    words = ["export-aligned", "space", "--to", "nodes.tsv", "--form", "dglke"]
    assert main([*words, "--out-dir=results/exports/aligned/tiny/full"]) == 0
    os.utime(nodes, (OLD, OLD))
    check_unseen_changes(plan)
    nodes.write_text("0\tGene::X:2\n1\tGene::X:1\n")
    os.utime(nodes, (OLD, OLD))
    with pytest.raises(InputError, match=r"config, align\.to: nodes\.tsv: .*Run touch nodes\.tsv"):
        check_unseen_changes(plan)


def test_results_of_earlier_versions_record_nothing_to_compare(made):
    manifest = Path("results/texts/entities/manifest.json")
    found = read_unedited(manifest)
    del found["sources"]
    write_record(manifest, found)
    Path("a table.tsv").write_text(table("three"))
    os.utime("a table.tsv", (OLD, OLD))
    check_unseen_changes(made)


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text(table("one"))
    files = SourceFiles([path])
    assert files.record()
    path.write_text(table("two"))
    with pytest.raises(InputError, match=r"table\.tsv: was changed while it was read\. Run again"):
        files.record()


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "closed"])
def test_what_is_no_file_is_reported_with_the_plan(made, kind):
    Path("a table.tsv").unlink()
    wrong = {
        "folder": "is a folder, not a file. Name the file in it.",
        "pipe": "is a pipe or a device, which can be read only once. Save it as a file.",
        "link": "is a link to nowhere, which is not there. Correct the link.",
        "closed": "permission denied; make the file readable.",
    }
    if kind == "closed" and os.geteuid() == 0:
        pytest.skip("root may read everything")
    if kind == "folder":
        Path("a table.tsv").mkdir()
    elif kind == "pipe":
        os.mkfifo("a table.tsv")
    elif kind == "closed":
        Path("a table.tsv").touch(0)
    else:
        Path("a table.tsv").symlink_to("nowhere")
    with pytest.raises(InputError) as caught:
        check_files(made)
    assert str(caught.value) == f"config, tables.entities.file: a table.tsv: {wrong[kind]}"


@pytest.mark.slow
def test_snakemake_stops_with_that_line_and_makes_it_anew_after_a_touch(tmp_path, raw):
    project = Project(tmp_path, CONFIG | {"evaluate": {"scores": []}, "exports": ["npy"]})
    (tmp_path / "a table.tsv").write_text(table("one", "two"))
    (tmp_path / "graph.tsv").write_text(GRAPH)
    shutil.copytree(raw, tmp_path / "raw")
    target = "results/tiny/entities/full/embeddings.npy"
    project.run(target)
    before = (tmp_path / target).read_bytes()
    (tmp_path / "a table.tsv").write_text(table("one", "six"))
    os.utime(tmp_path / "a table.tsv", (OLD, OLD))
    done = project.run(target, ok=False)
    assert done.code == 2 and "its date is older" in done.text
    (tmp_path / "a table.tsv").touch()
    project.run(target)
    assert (tmp_path / target).read_bytes() != before
