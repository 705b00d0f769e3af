"""What other distributions add: a module of theirs, named by an entry point, without touching src.

Each test puts a module and its metadata into a folder, as pip would, and runs our command line
with that folder on PYTHONPATH.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from export_spaces import ENTITIES, entity_space, relation_space

ROOT = Path(__file__).resolve().parents[1]

TOY_FORM = '''
"""A form that lists each row's id and the first number of its vector."""

from pathlib import Path

from kgtextvec.export.forms import ExportForm, template_beside


def write_space(space, out, threads):
    lines = zip(space.column("node_id").to_pylist(), space.vectors[:, 0].tolist())
    out.write_text("".join(f"{node}={number}\\n" for node, number in lines))


def write_table(space, folder, model):
    write_space(space, folder / f"{space.kind.name}.toy", 1)
    return {"file": f"{space.kind.name}.toy", "rows": space.rows}


FORM = ExportForm("toys", template_beside(__file__), write_space, write_table)
'''
TOY_PAGE = """{% extends "loading_page.md.j2" %}
{% block about %}
A toy.
{% endblock %}
{% block code scoped %}
{{ export.folder }}/{{ e.file }}
{% endblock %}
"""


def install(folder: Path, name: str, source: str, group: str, entry: str) -> dict[str, str]:
    """Write a module and the metadata of its distribution; return the environment for runs."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(source)
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{group}]\n{entry} = {name}\n")
    return os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{folder}"}


def run_verb(environment: dict[str, str], *words) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "kgtextvec", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_a_form_of_another_distribution_exports_spaces_and_bundles(tmp_path):
    group = "kgtextvec.export.forms"
    environment = install(tmp_path / "site", "toy_form", TOY_FORM, group, "toy")
    (tmp_path / "site/toy_form.md.j2").write_text(TOY_PAGE)
    entities, relations = entity_space(tmp_path / "e"), relation_space(tmp_path / "r")

    out = tmp_path / "embeddings.toy"
    done = run_verb(environment, "export-table", entities, "--format", "toy", "--out", out)
    assert not done.returncode, done.stderr
    first = np.load(entities / "embeddings.npy")[:, 0]
    assert out.read_text().splitlines() == [
        f"{label}::{one}={number}"
        for (label, one, _), number in zip(ENTITIES, first.tolist(), strict=True)
    ]

    bundle = tmp_path / "bundle"
    words = ("export-bundle", entities, relations, "--form", "toy", "--out-dir", bundle)
    done = run_verb(environment, *words)
    assert not done.returncode, done.stderr
    assert (bundle / "entities.toy").read_text() == out.read_text()
    page = tmp_path / "README.md"
    done = run_verb(environment, "write-loaders", bundle, "--form", "toy", "--out", page)
    assert not done.returncode, done.stderr
    assert page.read_text().endswith(f"## tiny, pca6\n\n{bundle}/entities.toy\n")


def test_vectors_that_a_form_does_not_compare_are_compared_after_it(tmp_path):
    group = "kgtextvec.export.forms"
    environment = install(tmp_path / "site", "toy_form", TOY_FORM, group, "toy")
    space = entity_space(tmp_path / "e")
    data = bytearray((space / "embeddings.npy").read_bytes())
    data[-4] ^= 1
    (space / "embeddings.npy").write_bytes(data)
    for words in (
        ("export-table", space, "--format", "toy", "--out", tmp_path / "out"),
        ("export-bundle", space, "--form", "toy", "--out-dir", tmp_path / "out"),
    ):
        done = run_verb(environment, *words)
        assert done.returncode == 2 and "damaged or replaced" in done.stderr
        assert not (tmp_path / "out").exists()


def test_a_form_that_is_not_installed_is_refused_with_those_there_are(tmp_path):
    space = entity_space(tmp_path / "e")
    words = ("export-table", space, "--format", "toy", "--out", tmp_path / "x")
    done = run_verb(os.environ | {"PYTHONPATH": str(ROOT / "src")}, *words)
    assert done.returncode == 2
    assert "'toy'" in done.stderr and "parquet" in done.stderr
