"""mem_mb of the rules follows the size of the model."""

import json
from types import SimpleNamespace

import pytest

from workflow.lib import memory


@pytest.mark.parametrize(("mebibytes", "attempt"), [(100, 1), (14_000, 1), (14_000, 2)])
def test_a_conversion_gets_more_than_the_peak_that_was_measured(tmp_path, mebibytes, attempt):
    """1.2 times the files: a model of 7 billion weights in bfloat16 is 14 GB."""
    files = [{"bytes": mebibytes << 19}, {"bytes": mebibytes << 19}]
    (tmp_path / "m.json").write_text(json.dumps({"files": files}))
    mem_mb = memory.for_conversion(unknown=12000)
    found = mem_mb(None, SimpleNamespace(downloaded=tmp_path / "m.json"), attempt)
    assert 1.2 * mebibytes + 1000 < found / attempt < 1.4 * mebibytes + 3500


def test_a_job_gets_twice_the_models_float32_weights(tmp_path):
    record = {"parameters": 7_000_000_000}
    (tmp_path / "kgtextvec.json").write_text(json.dumps(record))
    mem_mb = memory.for_model(unknown=8000)
    assert 2 * 26_700 < mem_mb(None, SimpleNamespace(model=tmp_path), 1) < 2 * 26_700 + 8000


def test_a_model_that_is_not_there_yet_gets_what_is_usual(tmp_path):
    nowhere = SimpleNamespace(downloaded=tmp_path / "x.json", model=tmp_path / "x")
    assert memory.for_conversion(unknown=12000)(None, nowhere, 2) == 24000
    assert memory.for_model(unknown=8000)(None, nowhere, 1) == 8000
