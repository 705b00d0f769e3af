"""A million rows through every form: memory stays bounded, and rows are where they belong."""

import gzip
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from export_spaces import entity_space

from kgtextvec.registry import FORMS

ROOT = Path(__file__).resolve().parents[1]
N, DIMS = 1_000_000, 16
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux's /proc"),
]
# VmHWM, not ru_maxrss: the latter starts at the size of the process that forked this one.
EXPORT = """
import sys
from pathlib import Path
from kgtextvec.export.table import export_table
from kgtextvec.export.aligned import export_aligned
from kgtextvec.export.biomedgps import export_biomedgps
from kgtextvec.export.bundle import export_bundle
from kgtextvec.settings.spaces import Alignment
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
def export(form, space, out, dims):
    if form in ("tsv", "parquet"):
        export_table(space, format=form, out=out, threads=2)
    elif form == "biomedgps":
        export_biomedgps(space, dims=dims, out=out.with_suffix(".tsv"), threads=2)
    elif form == "aligned":
        to = [space.parent / f"{space.name}.map"]
        settings = Alignment(form="drkg", missing="random")
        export_aligned([space], to=to, out_dir=out, settings=settings)
    else:
        export_bundle([space], form=form, out_dir=out)
form, small, large, out = sys.argv[1], *map(Path, sys.argv[2:])
export(form, small, out / "small", 6)
before = peak()
export(form, large, out / "large", 16)
print(peak() - before)
"""


@pytest.fixture(scope="module")
def spaces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("million")
    rows = [(f"Label{chr(97 + i % 7)}", f"X:{i}", f"name {i}") for i in range(N)]
    vectors = np.random.default_rng(0).standard_normal((N, DIMS), dtype=np.float32)
    found = entity_space(folder / "small"), entity_space(folder / "large", rows, vectors=vectors)
    order = np.random.default_rng(1).permutation(N)
    with (folder / "large.map").open("w") as file:
        file.writelines(f"{rows[row][0]}::X:{row}\t{i}\n" for i, row in enumerate(order))
    (folder / "small.map").write_text("Gene::ENTREZ:672\t0\n")
    return *found, order


# Megabytes beyond what a handful of rows takes. The file in a million rows' order has its ids in
# memory (100 MB), and some a copy in another order; none has the vectors of a wide model.
BUNDLED = [form for form in FORMS.names() if FORMS[form].scope == "bundle"]
MEGABYTES = {form: 600 for form in BUNDLED if form != "faiss"}
MEGABYTES |= {"pgvector": 200, "tsv": 150, "parquet": 400, "biomedgps": 400, "aligned": 700}


@pytest.mark.parametrize("form", MEGABYTES)
def test_memory_is_bounded(spaces, tmp_path, form):
    small, large, order = spaces
    done = subprocess.run(
        [sys.executable, "-c", EXPORT, form, small, large, tmp_path],
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stderr
    assert float(done.stdout) < MEGABYTES[form]
    vectors = np.load(large / "embeddings.npy", mmap_mode="r")
    if form == "aligned":
        aligned = np.load(tmp_path / "large/tiny_entity.npy", mmap_mode="r")
        np.testing.assert_array_equal(aligned, vectors[order])
    if form == "pykeen":
        with gzip.open(tmp_path / "large/entity_to_id.tsv.gz", "rt") as file:
            ids = [line.rstrip("\n").rpartition(":")[2] for line in file][1:]
        sorted_rows = np.load(tmp_path / "large/entities.npy", mmap_mode="r")
        np.testing.assert_array_equal(sorted_rows, vectors[np.array(ids, int)])
    shutil.rmtree(tmp_path)
