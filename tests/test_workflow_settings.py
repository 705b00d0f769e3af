"""A setting that a later version adds: at its default no one notices it."""

import shutil

from tiny_models import tiny_bert
from workflow_run import ROOT, Project, entities

PARTS = ("Snakefile", "workflow", "config", "envs", "profiles", "src")
PLACE = 'class Embed(Compute):\n    """How models run."""\n'
NEW = """
    polish: Literal["none", "high"] = "none"
    \"\"\"A setting of a later version.\"\"\"
"""


def test_a_new_setting_at_its_default_reruns_nothing_and_keeps_every_stored_vector(tmp_path):
    config = {
        "tables": {"entities": {"file": "entities.tsv", "kind": "entities"}},
        "models": ["cased"],
        "spaces": ["full"],
        "exports": ["npy"],
        "catalogue": {"cased": {"source": "path:raw/cased"}},
        "embed": {"device": "cpu"},
        "evaluate": {"scores": []},
        "report": {"maps": False, "notebooks": False},
    }
    project = Project(tmp_path / "project", config)
    tiny_bert(project.folder / "raw/cased")
    project.write_entities(entities(8))
    project.run()
    vectors = (project.folder / "results/cased/entities/full/embeddings.npy").read_bytes()
    stored = project.n_stored()

    later = tmp_path / "later"
    for name in PARTS:
        copy = shutil.copy if (ROOT / name).is_file() else shutil.copytree
        later.mkdir(exist_ok=True)
        copy(ROOT / name, later / name)
    models = later / "src/kgtextvec/settings/models.py"
    before = models.read_text("utf-8")
    assert PLACE in before
    models.write_text(before.replace(PLACE, PLACE + NEW), "utf-8")
    project.root = later
    assert not project.run().jobs

    # Even where its job runs again, every vector comes from the store.
    (project.folder / "results/cased/entities/full/manifest.json").unlink()
    project.run()
    assert project.manifest("cased/entities/full")["counts"]["texts_embedded"] == 0
    assert project.n_stored() == stored

    # Away from its default it changes vectors, as far as anyone can know: all are computed again.
    project.config["embed"]["polish"] = "high"
    assert project.run().jobs["embed_shard"] == 1
    manifest = project.manifest("cased/entities/full")
    assert manifest["settings"] == {"polish": "high"}
    assert manifest["counts"]["texts_from_store"] == 0
    assert project.n_stored() == 2 * stored
    assert (project.folder / "results/cased/entities/full/embeddings.npy").read_bytes() == vectors
