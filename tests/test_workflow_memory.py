"""mem_mb of the rules follows the size of the model."""

import json
import re
from types import SimpleNamespace

import pytest
from workflow_run import ROOT

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
    record = {"parameters": 7_000_000_000, "token_dims": 4096}
    (tmp_path / "kgtextvec.json").write_text(json.dumps(record))
    mem_mb = memory.for_model(unknown=8000)
    given = SimpleNamespace(model=tmp_path)
    assert 2 * 26_700 < mem_mb(None, given, threads=1, attempt=1) < 2 * 26_700 + 8000
    # Each thread has a batch of its own: 1,024 tokens, of 14,336 dims inside a layer, some times.
    more = mem_mb(None, given, threads=17, attempt=1) - mem_mb(None, given, threads=1, attempt=1)
    assert 16 * 2 * 56 < more < 16 * 10 * 56


@pytest.mark.parametrize(("gigabytes", "most"), [(0.4, 12_000), (4.85, 12_500), (20, 42_000)])
def test_training_gets_twice_the_checkpoint_but_at_least_12_gb(tmp_path, gigabytes, most):
    """BioELMo's checkpoint is 4.85 GB, and 8.2 GB were the peak of its training."""
    files = [{"bytes": int(gigabytes * 1e9)}, {"name": "a record without a size"}]
    (tmp_path / "m.json").write_text(json.dumps({"files": files}))
    mem_mb = memory.for_training(least=12000)
    given = SimpleNamespace(downloaded=tmp_path / "m.json")
    assert max(12_000, 2 * gigabytes * 1e9 / 2**20) <= mem_mb(None, given, 1) <= most
    assert mem_mb(None, given, 2) == 2 * mem_mb(None, given, 1)


def test_every_job_that_loads_a_model_gets_memory_by_its_size():
    """A rule that reads a converted model or a checkpoint names memory.py, but for the probes.

    probe_model reads the folder's record alone.
    """
    rules = {}
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for text in re.split(r"^rule |^checkpoint ", path.read_text("utf-8"), flags=re.M)[1:]:
            rules[text.partition(":")[0]] = text
    reads_model = r"^        (model|folder|downloaded|adapted)=(?!directory)"
    loads = {name for name, text in rules.items() if re.search(reads_model, text, re.M)}
    sized = {name for name, text in rules.items() if "mem_mb=memory." in text}
    assert sized == {"convert_model", "embed_shard", "cache_tokens", "finetune_model"}
    assert loads - sized <= {"probe_model", "download_model", "unpack_model"}, loads - sized


def test_a_model_that_is_not_there_yet_gets_what_is_usual(tmp_path):
    nowhere = SimpleNamespace(downloaded=tmp_path / "x.json", model=tmp_path / "x")
    assert memory.for_conversion(unknown=12000)(None, nowhere, 2) == 24000
    assert memory.for_model(unknown=8000)(None, nowhere, threads=1, attempt=1) == 8050
    assert memory.for_training(least=12000)(None, nowhere, 1) == 12000
