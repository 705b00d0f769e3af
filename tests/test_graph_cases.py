"""The cases of graph users beside the project, where they are; our own tests are in the others."""

import gzip
import json
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from export_spaces import write_space

from kgtextvec.__main__ import main
from kgtextvec.embed.gather import Found, index_of

CASES = Path(__file__).resolve().parents[2] / "shared/inputs/graphs"
NAMES = [path.name for path in sorted(CASES.glob("p*"))]
DIMS = 384


def make_space(table, kind, text, name):
    """Read a table and give its rows random vectors, as the space out/NAME/full."""
    texts = Path("out", name, "texts")
    words = ["--table", name, "--kind", kind, "--text", text, "--out-dir", str(texts)]
    assert main(["read-texts", table, *words]) == 0
    form = json.loads((texts / "manifest.json").read_text()).get("node_id")
    rows = pq.read_table(texts / "rows.parquet")
    index = index_of(rows, kind, form, Found(len(rows), DIMS)).to_pydict()
    strings = {name: values for name, values in index.items() if isinstance(values[0], str)}
    write_space(Path("out", name, "full"), kind, strings, DIMS, 0, None, {})


def holds(wanted, code, said):
    """Whether what a step gave is what the case says is right."""
    if code != wanted.get("rc", code):
        return False
    if not all(re.search(one, said) for one in wanted.get("out", ())):
        return False
    if any(re.search(one, said) for one in wanted.get("not", ())):
        return False
    for file, lines in wanted.get("lines", {}).items():
        if not Path(file).exists():
            return False
        data = Path(file).read_bytes()
        data = gzip.decompress(data) if file.endswith(".gz") else data
        if data.decode().splitlines() != lines:
            return False
    return all(
        Path(file).exists() and all(part in Path(file).read_text() for part in parts)
        for file, parts in wanted.get("file", {}).items()
    )


@pytest.mark.skipif(not NAMES, reason="../shared is not here")
@pytest.mark.parametrize("name", NAMES or ["none"])
def test_a_case_of_a_graph_user_gives_what_is_right(tmp_path, monkeypatch, capsys, name):
    shutil.copytree(CASES / name, tmp_path / name)
    monkeypatch.chdir(tmp_path / name)
    case = yaml.safe_load(Path("expect.yaml").read_text("utf-8"))
    for step in case["steps"]:
        if "space" in step:
            make_space(**step["space"])
            continue
        capsys.readouterr()
        code = main(step["argv"])
        said = "".join(capsys.readouterr())
        assert holds(step, code, said), (step, code, said)
        if "any" in step:
            assert any(holds(one, code, said) for one in step["any"]), (step, code, said)
