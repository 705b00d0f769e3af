"""Inverse relations in PyKEEN's order: each behind its relation, negated or from texts."""

import gzip
import json

import numpy as np
import pytest
from export_spaces import RELATION_TYPES, entity_space, expected, relation_space

from kgtextvec.errors import InputError
from kgtextvec.export.aligned import export_aligned
from kgtextvec.export.bundle import export_bundle
from kgtextvec.settings.spaces import Alignment, InverseRelations

NEGATED = InverseRelations(inverse_relations="negated")
FROM_TEXTS = InverseRelations(inverse_relations="inverses")


@pytest.fixture(scope="module")
def spaces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spaces")
    return [entity_space(folder / "e"), relation_space(folder / "r")]


@pytest.fixture(scope="module")
def inverse_texts(tmp_path_factory):
    return relation_space(tmp_path_factory.mktemp("inverse") / "i", RELATION_TYPES[::-1], seed=7)


def test_negated_vectors_stand_behind_those_of_their_relations(spaces, tmp_path):
    export_bundle(spaces, form="pykeen", out_dir=tmp_path / "out", inverses=NEGATED)
    matrix, vectors = np.load(tmp_path / "out/relations.npy"), expected(spaces[1])
    want = [row for one in sorted(vectors) for row in (vectors[one], -vectors[one])]
    np.testing.assert_array_equal(matrix, want)
    lines = gzip.decompress((tmp_path / "out/relation_to_id.tsv.gz").read_bytes())
    lines = lines.decode().splitlines()
    assert lines == ["id\tlabel", *(f"{row}\t{one}" for row, one in enumerate(sorted(vectors)))]
    about = json.loads((tmp_path / "out/manifest.json").read_text())["relation_types"]
    assert (about["rows"], about["ids"], about["inverse_relations"]) == (6, 3, "negated")
    assert about["check"][1]["id"].endswith("_inverse")
    assert len(np.load(tmp_path / "out/entities.npy")) == 7


@pytest.mark.parametrize("scale", ["none", "std"])
def test_texts_of_inverses_give_their_vectors_on_the_same_scale(
    spaces, inverse_texts, tmp_path, scale
):
    path = tmp_path / "train.tsv"
    path.write_text("".join(f"ENTREZ:672\t{one}\tENTREZ:672\n" for one in RELATION_TYPES))
    export_aligned(
        spaces,
        to=[path],
        out_dir=tmp_path / "out",
        settings=Alignment(form="pykeen", scale=scale),
        inverse=[inverse_texts],
        inverses=FROM_TEXTS,
    )
    about = json.loads((tmp_path / "out/manifest.json").read_text())
    factor = about["scale"]["factor"]
    vectors, inverses = expected(spaces[1]), expected(inverse_texts)
    want = [row for one in sorted(vectors) for row in (vectors[one], inverses[one])]
    np.testing.assert_allclose(
        np.load(tmp_path / "out/relations.npy"), np.array(want) * factor, rtol=1e-6
    )


@pytest.mark.parametrize("missing", ["mean_of_label", "random"])
def test_inverses_are_filled_and_scaled_as_the_setting_says(
    spaces, inverse_texts, tmp_path, missing
):
    path = tmp_path / "train.tsv"
    relations = [*RELATION_TYPES, "new"]
    path.write_text("".join(f"ENTREZ:672\t{one}\tENTREZ:672\n" for one in relations))
    export_aligned(
        spaces,
        to=[path],
        out_dir=tmp_path / "out",
        settings=Alignment(form="pykeen", scale=(-1.0, 2.0), missing=missing),
        inverse=[inverse_texts],
        inverses=FROM_TEXTS,
    )
    found = np.load(tmp_path / "out/relations.npy")
    both = np.concatenate([found, np.load(tmp_path / "out/entities.npy")])
    assert (both.min(), both.max()) == pytest.approx((-1, 2))
    about = json.loads((tmp_path / "out/manifest.json").read_text())["scale"]
    place = sorted(relations).index("new")
    forward, inverse = (found[2 * place : 2 * place + 2] - about["shift"]) / about["factor"]
    if missing == "mean_of_label":
        mean = np.mean(list(expected(inverse_texts).values()), axis=0)
        np.testing.assert_allclose(inverse, mean, atol=1e-5)
    assert abs(np.corrcoef(forward, inverse)[0, 1]) < 0.9


def test_damaged_vectors_of_inverses_are_refused(spaces, tmp_path):
    damaged = relation_space(tmp_path / "i", RELATION_TYPES)
    data = bytearray((damaged / "embeddings.npy").read_bytes())
    data[-4] ^= 1
    (damaged / "embeddings.npy").write_bytes(data)
    with pytest.raises(InputError, match=r"i/embeddings\.npy: damaged or replaced"):
        export_bundle(
            spaces, form="pykeen", out_dir=tmp_path / "out", inverse=[damaged], inverses=FROM_TEXTS
        )
    assert not (tmp_path / "out").exists()


def test_other_forms_have_no_inverses(spaces, tmp_path):
    export_bundle(spaces, form="dglke", out_dir=tmp_path / "out", inverses=NEGATED)
    assert len(np.load(tmp_path / "out/tiny_relation.npy")) == 3


def test_inverses_of_another_model_are_refused(spaces, tmp_path):
    other = relation_space(tmp_path / "o", dims=4)
    with pytest.raises(InputError, match="of another model or dims"):
        export_bundle(
            spaces, form="pykeen", out_dir=tmp_path / "out", inverse=[other], inverses=FROM_TEXTS
        )
    with pytest.raises(InputError, match="is not a table of relation types"):
        export_bundle(
            spaces, form="pykeen", out_dir=tmp_path / "out", inverse=spaces, inverses=FROM_TEXTS
        )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_pykeen_finds_each_inverse_where_it_looks_for_it(spaces, tmp_path):
    import torch

    triples = pytest.importorskip("pykeen.triples", reason="make links")
    from pykeen.models import TransE

    export_bundle(spaces, form="pykeen", out_dir=tmp_path / "out", inverses=NEGATED)
    vectors = expected(spaces[1])
    nodes = list(expected(spaces[0]))
    edges = [(nodes[0], one, nodes[1]) for one in vectors]
    factory = triples.TriplesFactory.from_labeled_triples(
        np.array(edges), create_inverse_triples=True
    )
    numbers = torch.from_numpy(np.load(tmp_path / "out/relations.npy"))
    model = TransE(
        triples_factory=factory,
        embedding_dim=6,
        relation_initializer=lambda weights: numbers.to(weights, copy=True).view(weights.shape),
        relation_constrainer=None,
    )
    rows = model.relation_representations[0](indices=None).detach().numpy()
    inverter = factory.relation_inverter
    for one, number in factory.relation_to_id.items():
        batch = torch.tensor([[0, number, 1]])
        place = int(inverter.map(batch)[0, 1])
        inverse = int(inverter.map(batch, invert=True)[0, 1])
        np.testing.assert_allclose(rows[place], vectors[one], rtol=1e-6)
        np.testing.assert_allclose(rows[inverse], -vectors[one], rtol=1e-6)
