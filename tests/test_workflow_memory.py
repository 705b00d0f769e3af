"""mem_mb of the rules follows the size of the model."""

import json
from types import SimpleNamespace

import pytest

from workflow.lib import memory


@pytest.mark.parametrize(("mebibytes", "attempt"), [(100, 1), (14_000, 1), (14_000, 2)])
def test_a_conversion_gets_more_than_the_peak_that_was_measured(tmp_path, mebibytes, attempt):
    """1.2 times the files at most: 7 billion weights in bfloat16 are 14 GB."""
    files = [{"bytes": mebibytes << 19}, {"bytes": mebibytes << 19}]
    (tmp_path / "m.json").write_text(json.dumps({"files": files}))
    mem_mb = memory.for_conversion(unknown=12000)
    found = mem_mb(None, SimpleNamespace(downloaded=tmp_path / "m.json"), attempt)
    assert 1.2 * mebibytes + 1000 < found / attempt < 1.4 * mebibytes + 3500


def test_an_adapters_conversion_gets_the_memory_of_its_base(tmp_path):
    """7 billion weights are 13,351 MiB in bfloat16, and their sums in float32 twice that."""
    (tmp_path / "m.json").write_text(json.dumps({"files": [{"bytes": 50 << 20}]}))
    base = tmp_path / "base"
    given = SimpleNamespace(downloaded=tmp_path / "m.json", adapted=[base])
    mem_mb = memory.for_conversion(unknown=12000)
    assert mem_mb(None, given, 1) == 12000, "the base is not converted yet"
    base.mkdir()
    (base / "kgtextvec.json").write_text(json.dumps({"parameters": 7_000_000_000}))
    assert 3 * 13_351 < mem_mb(None, given, 1) < 1.4 * 3 * 13_351 + 3500


def test_a_job_gets_twice_the_models_float32_weights(tmp_path):
    record = {"parameters": 7_000_000_000}
    (tmp_path / "kgtextvec.json").write_text(json.dumps(record))
    mem_mb = memory.for_model(unknown=8000)
    assert 2 * 26_700 < mem_mb(None, SimpleNamespace(model=tmp_path), 1) < 2 * 26_700 + 8000


def test_a_model_that_is_not_there_yet_gets_what_is_usual(tmp_path):
    nowhere = SimpleNamespace(downloaded=tmp_path / "x.json", model=tmp_path / "x")
    assert memory.for_conversion(unknown=12000)(None, nowhere, 2) == 24000
    assert memory.for_model(unknown=8000)(None, nowhere, 1) == 8000
