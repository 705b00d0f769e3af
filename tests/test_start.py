"""The start of a job: what it leaves out, and that it puts everything back."""

import gc
import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_models import tiny_bert

from kgtextvec.fast_imports import quick_imports
from kgtextvec.models.convert import convert_model

SOURCE = Path(__file__).resolve().parents[1] / "src"
# Tells what is imported when the first vectors come out of the encoder.
CODE = """
import json, sys
from kgtextvec.embed import shard
real = shard.store_as_finished
def told(encoded, *rest):
    def first():
        for one in encoded:
            print(json.dumps(sorted(sys.modules)))
            yield one
    return real(first(), *rest)
shard.store_as_finished = told
from kgtextvec.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_job_imports_nothing_large_that_it_does_not_use(tmp_path):
    tiny_bert(tmp_path / "raw")
    convert_model(tmp_path / "raw", out=tmp_path / "model", model="tiny")
    text = "a protein kinase"
    columns = {"text_sha256": [sha256(text.encode()).hexdigest()], "text": [text]}
    pq.write_table(pa.table(columns), tmp_path / "shard.parquet")
    words = ["shard.parquet", "--model", "model", "--store", "store", "--out", "out.npy"]
    done = subprocess.run(
        [sys.executable, "-c", CODE, "embed-shard", *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    imported = set(json.loads(done.stdout.splitlines()[0]))
    assert {"torch", "transformers"} <= imported
    large = {"pandas", "scipy.optimize", "sklearn", "matplotlib", "numba", "snakemake", "h5py"}
    assert not imported & large


@pytest.mark.parametrize("kind", ["transformer", "elmo"])
def test_afterwards_all_is_as_before_also_after_an_error(kind):
    from transformers import utils

    there = utils.is_scipy_available
    with pytest.raises(RuntimeError), quick_imports(kind):
        assert not gc.isenabled()
        assert (kind == "elmo") == (utils.is_scipy_available is there)
        raise RuntimeError
    gc.unfreeze()
    assert gc.isenabled() and utils.is_scipy_available is there


def test_snakemake_starts_without_libraries_that_only_a_report_of_a_plugin_needs():
    code = """
import sys
from kgtextvec.start_snakemake import IMPORTED_LATER, import_later
import_later(*IMPORTED_LATER)
import snakemake.cli
assert not {"pandas.core", "numpy.linalg", "pyarrow.lib"} & set(sys.modules)
import importlib.util
assert importlib.util.find_spec("pandas").origin.endswith("pandas/__init__.py")
import numpy.linalg
assert numpy.linalg.norm([3, 4]) == 5
from snakemake_executor_plugin_slurm.efficiency_report import parse_reqmem, pd
assert pd.DataFrame({"a": [1, 2]}).shape == (2, 1)
assert parse_reqmem("1000M") == 1000
import pandas
assert pandas.DataFrame is pd.DataFrame
"""
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
