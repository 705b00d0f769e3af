"""A small ELMo in bilm-tf's files goes through the whole workflow, beside the oracle's numbers."""

import json
import shutil

import elmo_oracle
import numpy as np
import pytest
from elmo_models import options_of, write
from workflow_run import RELATION_TYPES, Project, entities

from kgtextvec.encoders.elmo.words import split_words


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(
        tmp_path_factory.mktemp("elmo") / "project",
        {
            "tables": {
                "entities": {"file": "entities.tsv", "kind": "entities", "shards": 2},
                "relation_types": {"file": "relation_types.tsv", "kind": "relation_types"},
            },
            "models": ["bioelmo-small"],
            "spaces": ["full", "pca4"],
            "catalogue": {
                "bioelmo-small": {
                    "kind": "elmo",
                    "source": [
                        {"weights.hdf5": "file:raw/w.hdf5", "options.json": "file:raw/o.json"}
                    ],
                    "initial_state": "zeros",
                }
            },
            "evaluate": {"scores": []},
            "report": {"notebooks": False, "layouts": ["tsne"]},
        },
    )
    options = options_of()
    weights = elmo_oracle.random_weights(options, 0)
    write(project.folder / "bilm", options, weights)
    (project.folder / "raw").mkdir()
    shutil.move(project.folder / "bilm/weights.hdf5", project.folder / "raw/w.hdf5")
    shutil.move(project.folder / "bilm/options.json", project.folder / "raw/o.json")
    project.write_entities(entities(12))
    project.write_relation_types(RELATION_TYPES)
    project.run()
    return project, options, weights


def test_vectors_are_the_oracles(project):
    """Mean over words of the mean over layers, from zero states, by the float64 oracle."""
    mine, options, weights = project
    expected = []
    for row in entities(12):
        layers, _ = elmo_oracle.read(
            split_words(row["description"] or row["name"]), options, weights
        )
        expected.append(np.mean(layers, axis=(0, 1)))
    vectors = np.load(mine.folder / "results/bioelmo-small/entities/full/embeddings.npy")
    assert np.abs(vectors - np.array(expected)).max() <= 1e-5


def test_every_file_of_a_space_is_made(project):
    mine, _, _ = project
    for space in ("full", "pca4"):
        folder = mine.folder / f"results/bioelmo-small/entities/{space}"
        for name in ("embeddings.npy", "embeddings.tsv", "embeddings.parquet", "map.html"):
            assert (folder / name).stat().st_size
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["model"]["kind"] == "elmo"
    assert manifest["rows"] == 12


def test_another_layer_costs_no_forward_pass(project):
    mine, options, weights = project
    before = mine.n_stored()
    mine.config["catalogue"]["bioelmo-small"]["layers"] = "top"
    mine.run()
    assert mine.n_stored() == before
    text = entities(12)[1]["description"]
    layers, _ = elmo_oracle.read(split_words(text), options, weights)
    vectors = np.load(mine.folder / "results/bioelmo-small/entities/full/embeddings.npy")
    assert np.abs(vectors[1] - np.mean(layers[-1], axis=0)).max() <= 1e-5
