"""Id maps of OpenKE, against its own writer, and of DRKG, against its notebooks' reader."""

import csv
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from export_spaces import assert_same, entity_space, relation_space
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kgtextvec.export.aligned import export_aligned
from kgtextvec.export.bundle import export_bundle
from kgtextvec.registry import ID_ORDERS
from kgtextvec.settings.edges import EdgeReading
from kgtextvec.settings.spaces import Alignment

# In DRKG's form: compounds with several ids, relations with the labels that they join.
DRKG = [
    ("Gene::2157", "bioarx::HumGenHumGen:Gene:Gene", "Gene::2157"),
    ("Compound::DB00945", "GNBR::E::Compound:Gene", "Gene::5743"),
    ("Gene::drugbank:BE0000048;5743", "Hetionet::GpBP::Gene:Biological Process", "Gene::2157"),
    ("Disease::SARS-CoV2 M", "GNBR::J::Gene:Disease", "Disease::MESH:D003324"),
]
NODES = list(dict.fromkeys(one for head, _, tail in DRKG for one in (head, tail)))
RELATIONS = list(dict.fromkeys(relation for _, relation, _ in DRKG))
# What OpenKE's lines can hold: no tab, no line break, something that isn't a blank at both ends.
IDS = st.lists(
    st.text(st.sampled_from("ab\"':;é "), min_size=1, max_size=6).filter(lambda x: x == x.strip()),
    min_size=1,
    max_size=6,
    unique=True,
)


@pytest.fixture(scope="module")
def openke():
    """OpenKE as PyPI has it (0.96): the module that writes a trainer's files."""
    return pytest.importorskip(
        "openke.data.RuntimeDatasetAdapter", reason="pip install --no-deps openke==0.96"
    ).RuntimeDatasetAdapter


@pytest.fixture(scope="module")
def spaces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spaces")
    entities = [(*one.split("::", 1), one) for one in NODES]
    return [entity_space(folder / "e", entities), relation_space(folder / "r", RELATIONS)]


def ours(form, *paths):
    return ID_ORDERS[form].ids(list(paths), EdgeReading())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(IDS, IDS, st.randoms())
def test_maps_that_openke_writes_are_read_by_their_numbers(openke, entities, relations, random):
    """Whatever the order of the lines."""
    numbers = [{one: row for row, one in enumerate(ids)} for ids in (entities, relations)]
    shuffled = [dict(random.sample([*found.items()], len(found))) for found in numbers]
    with openke((), shuffled[1], shuffled[0]) as written:
        folder = Path(written.path)
        found = ours("openke", folder / "entity2id.txt", folder / "relation2id.txt")
    assert found == {"entities": entities, "relation_types": relations}


def test_ours_are_what_openke_writes(openke, spaces, tmp_path):
    export_bundle(spaces, form="openke", out_dir=tmp_path)
    written = import_module("openke.data.utils").write_mapping
    for name, ids in (("entity2id.txt", NODES), ("relation2id.txt", RELATIONS)):
        written(tmp_path / "theirs.txt", {one: row for row, one in enumerate(ids)})
        assert (tmp_path / name).read_bytes() == (tmp_path / "theirs.txt").read_bytes()


def read_by_notebook(path):
    """The reader of DRKG's notebooks, such as embedding_analysis/Train_embeddings.ipynb."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", fieldnames=["name", "id"]))
    return {row["name"]: int(row["id"]) for row in rows}


def test_drkgs_notebooks_read_our_maps(spaces, tmp_path):
    export_bundle(spaces, form="drkg", out_dir=tmp_path)
    for space, kind, name in zip(
        spaces, ("entity", "relation"), ("entities.tsv", "relations.tsv"), strict=True
    ):
        found = read_by_notebook(tmp_path / name)
        assert list(found.values()) == list(range(len(found)))
        assert_same(list(found), np.load(tmp_path / f"tiny_{kind}.npy"), space)


def test_maps_of_drkg_are_read_as_its_notebooks_do(spaces, tmp_path):
    order = np.random.default_rng(5).permutation(len(NODES)).tolist()
    path = tmp_path / "entities.tsv"
    path.write_text("".join(f"{one}\t{row}\n" for one, row in zip(NODES, order, strict=True)))
    want = read_by_notebook(path)
    assert ours("drkg", path)["entities"] == sorted(want, key=want.__getitem__)
    export_aligned(spaces, to=[path], out_dir=tmp_path / "out", settings=Alignment(form="drkg"))
    vectors = np.load(tmp_path / "out/tiny_entity.npy")
    assert_same(sorted(want, key=want.__getitem__), vectors, spaces[0])
