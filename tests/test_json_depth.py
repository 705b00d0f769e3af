"""JSON of any depth that a user, a model or a server gives ends in one line."""

import json
from pathlib import Path

import pytest

import kgtextvec
from kgtextvec.__main__ import main
from kgtextvec.encoders.elmo.options import read_options
from kgtextvec.errors import InputError
from kgtextvec.export.forms.pykeen import read_saved_map
from kgtextvec.files import parse_json, read_json
from kgtextvec.finetune.checkpoint import read_snapshot
from kgtextvec.finetune.source import read_training
from kgtextvec.models.cache import MARKER, from_cache
from kgtextvec.models.entry import read_entry
from kgtextvec.models.lock import read_lock
from kgtextvec.models.sources import hub
from kgtextvec.models.tokenizer import tokenizer_config
from kgtextvec.models.weights import check_weight_files, read_config
from kgtextvec.probe.corpora import read_pairs
from kgtextvec.settings.models import ModelTraits

DEEP = '{"auto_map": ' * 50_000 + "1" + "}" * 50_000
SOURCES = Path(kgtextvec.__file__).parent
READERS = {
    "config.json": lambda path: read_config(path.parent),
    "tokenizer_config.json": lambda path: tokenizer_config(path.parent),
    "model.safetensors.index.json": lambda path: check_weight_files(path.parent),
    "options.json": read_options,
    "training.json": read_training,
    "map.json": lambda path: list(read_saved_map(path)),
    "pairs.jsonl": lambda path: read_pairs([path]),
    "models.lock.yaml": read_lock,
    "state.json": lambda path: read_snapshot(path.parent),
    "ours.json": read_json,
    "entry": lambda path: read_entry("m", path.read_text(), ModelTraits),
}


@pytest.mark.parametrize("depth", [150, 900, 50_000])
@pytest.mark.parametrize("name", READERS)
def test_a_file_nested_too_deeply_is_refused_in_one_line(tmp_path, name, depth):
    text = '{"a": [' * depth + "]}" * depth
    if name == "models.lock.yaml":
        text = "[" * 20_000
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        READERS[name](tmp_path / name)
    assert "\n" not in str(caught.value)


def test_convert_model_refuses_a_deep_config(tmp_path, capsys):
    (tmp_path / "m").mkdir()
    (tmp_path / "m/config.json").write_text(DEEP)
    assert main(["convert-model", str(tmp_path / "m"), "--out", str(tmp_path / "out")]) == 2
    assert "config.json: not valid JSON (nested too deeply)" in capsys.readouterr().err
    assert main(["lint", "t", "--kind", "entities", "--text", "[" * 50_000]) == 2
    assert main(["disk", DEEP]) == 2


def test_a_deep_answer_of_a_server_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "kgtextvec.models.fetch.fetch", lambda request: request.target.write_text(DEEP)
    )
    with pytest.raises(InputError, match="the answer is not JSON"):
        hub.ask_hub("https://hub/x", tmp_path, {})


def test_a_deep_mark_in_the_cache_counts_as_none(tmp_path):
    (tmp_path / MARKER).write_text(DEEP)
    assert from_cache(tmp_path, "m") == {}


@pytest.mark.parametrize("text", ["1", '"a"', "[]", '{"a": [1, {"b": null}]}', "[" * 90 + "]" * 90])
def test_json_of_usual_depth_is_read(text):
    assert parse_json(text) == parse_json(text.encode()) == json.loads(text)


def test_json_is_parsed_in_one_place():
    files = [path for path in SOURCES.rglob("*.py") if "json.loads(" in path.read_text()]
    # Notebooks are those of nbformat; a job's server reads what the job's client wrote.
    own = {"notebook.py", "job_server.py"}
    assert [path.name for path in files if path.name not in own] == ["files.py"]
