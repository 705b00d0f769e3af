"""A form, a score, a source, a pooling and a space of another distribution, through the workflow.

The distribution is a folder on PYTHONPATH, with its metadata; nothing in src is touched.
"""

import json

import numpy as np
from tiny_models import tiny_bert
from workflow_run import Project, entities

MODULES = {
    "toy_form": """
from kgtextvec.export.forms import ExportForm

def write_space(space, out, threads):
    out.write_text("".join(f"{node}\\n" for node in space.column("node_id").to_pylist()))

FORM = ExportForm("toys", write_space=write_space)
""",
    "toy_score": """
from kgtextvec.evaluate.scores import Score, ScoreResult
from kgtextvec.stats import score_entry

def count(context):
    found = score_entry(context.space.rows * context.space.dims, n=context.space.rows)
    return ScoreResult({"all": {"all": {"vectors": {"numbers": found}}}})

SCORE = Score("Size", "How many numbers the space has.", count)
""",
    "toy_source": """
from pathlib import Path
from kgtextvec.models.sources.path import PathSource

class AtticSource(PathSource):
    "A folder in the attic."
    schemes = ("attic",)
    form = "attic:<folder>"

    def folder(self, address):
        return Path("raw") / address.partition(":")[2]

SOURCE = AtticSource()
""",
    "toy_pooling": """
from kgtextvec.encoders.poolings import PoolingMethod

def last_token(hidden, mask, special):
    return hidden[range(len(hidden)), mask.sum(1) - 1]

POOLING = PoolingMethod(last_token, "vector of the last token")
""",
    "toy_space": """
from kgtextvec.reduce.spaces import Projection, SpaceForm

def first_dims(space, basis):
    dims = int(space.removeprefix("first"))
    return Projection(dims, lambda block: block[:, :dims])

SPACE = SpaceForm(r"first[1-9]\\d*", "firstN", "the first N dims", projection=first_dims)
""",
}
ENTRY_POINTS = """
[kgtextvec.export.forms]
toy = toy_form
[kgtextvec.evaluate.scores]
size = toy_score
[kgtextvec.models.sources]
attic = toy_source
[kgtextvec.encoders.poolings]
last = toy_pooling
[kgtextvec.reduce.spaces]
first = toy_space
"""


def test_all_kinds_of_additions_run_through_the_workflow(tmp_path, monkeypatch):
    site = tmp_path / "site"
    about = site / "toys-1.0.dist-info"
    about.mkdir(parents=True)
    for name, source in MODULES.items():
        (site / f"{name}.py").write_text(source)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.setenv("PYTHONPATH", str(site))
    config = {
        "tables": {"entities": {"file": "entities.tsv", "kind": "entities"}},
        "models": ["cased", "last"],
        "spaces": ["full", "first3"],
        "exports": ["toy"],
        "catalogue": {
            "cased": {"source": "attic:cased"},
            "last": {"source": "attic:cased", "pooling": "last"},
        },
        "evaluate": {"scores": ["size"]},
        "report": {"maps": False, "notebooks": False},
    }
    project = Project(tmp_path / "project", config)
    tiny_bert(project.folder / "raw/cased")
    rows = entities(6)
    project.write_entities(rows)
    jobs = project.run().jobs
    assert jobs["apply_pca"] == 2 and not jobs["fit_pca"]

    results = project.folder / "results"
    mean, last = (
        np.load(results / f"{model}/entities/full/embeddings.npy") for model in ("cased", "last")
    )
    assert mean.shape == last.shape
    assert np.abs(mean - last).max() > 0.01
    first = np.load(results / "last/entities/first3/embeddings.npy")
    assert np.array_equal(first, last[:, :3])
    nodes = (results / "last/entities/first3/embeddings.toy").read_text().splitlines()
    assert nodes == [f"{row['label']}::{row['id']}" for row in rows]
    card = json.loads((results / "last/entities/first3/scores.json").read_text())
    assert card["scores"]["size"]["all"]["all"]["vectors"]["numbers"]["value"] == 18
    assert project.manifest("last/entities/full")["pooling"] == "last"
    # A change of the model's files is seen, also through a source of others.
    (project.folder / "raw/cased/config.json").touch()
    assert not project.run("-n").jobs
    with (project.folder / "raw/cased/config.json").open("a") as file:
        file.write(" ")
    assert project.run("-n").jobs["download_model"] == 2
