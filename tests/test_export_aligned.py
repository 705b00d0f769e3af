"""Vectors in a trainer's own order: shuffled maps, ids without a row, scales, self-checks."""

import gzip
import json

import numpy as np
import pytest
from export_spaces import ENTITIES, RELATION_TYPES, entity_space, expected, relation_space
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kgtextvec.errors import InputError
from kgtextvec.export.aligned import export_aligned
from kgtextvec.kinds import IN_GRAPHS, KINDS
from kgtextvec.registry import ID_ORDERS
from kgtextvec.settings.base import read_settings
from kgtextvec.settings.spaces import Alignment


@pytest.fixture(scope="module")
def spaces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spaces")
    return [entity_space(folder / "e"), relation_space(folder / "r")]


NODES = list(dict.fromkeys(f"{label}::{one}" for label, one, _ in ENTITIES))


def write_map(path, ids, form):
    """The consumer's own file, by the form's description."""
    lines = [f"{row}\t{one}" for row, one in enumerate(ids)]
    if form != "dglke":
        lines = [f"{one}\t{row}" for row, one in enumerate(ids)]
    if form == "openke":
        lines.insert(0, str(len(ids)))
    if form == "pykeen":
        lines = ["id\tlabel", *(f"{row}\t{one}" for row, one in enumerate(ids))]
        path.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n"))
    else:
        path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def run(spaces, folder, to, form="dglke", scale="none", **options):
    given = {"form": form, "scale": scale.split(",") if "," in scale else scale, **options}
    settings = read_settings(Alignment, given, "config, align.", strict=False)
    export_aligned(spaces, to=to, out_dir=folder, settings=settings)


def align(spaces, folder, to, form="dglke", **options):
    run(spaces, folder, to, form, **options)
    files = ID_ORDERS[form].files
    check = json.loads((folder / "selfcheck.json").read_text())
    return [
        np.load(folder / files.vectors_of(kind, "tiny"))
        for name, kind in KINDS.items()
        if name in check
    ]


def told(folder, name="manifest"):
    return json.loads((folder / f"{name}.json").read_text("utf-8"))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.permutations(NODES),
    st.permutations(RELATION_TYPES),
    st.sampled_from(["dglke", "drkg", "openke", "pykeen"]),
)
def test_shuffled_maps_give_shuffled_rows(tmp_path_factory, spaces, nodes, relations, form):
    folder = tmp_path_factory.mktemp("maps")
    to = [write_map(folder / "e", nodes, form), write_map(folder / "r", relations, form)]
    found = align(spaces, folder / "out", to, form)
    for ids, vectors, space in zip((nodes, relations), found, spaces, strict=True):
        want = expected(space)
        np.testing.assert_array_equal(vectors, np.array([want[one] for one in ids]))
    for path, kind in zip(to, IN_GRAPHS, strict=True):
        ours = (folder / "out" / ID_ORDERS[form].files.map_of(kind)).read_bytes()
        data = path.read_bytes()
        if form == "pykeen":
            ours, data = gzip.decompress(ours), gzip.decompress(data)
        assert ours == data, "the map that lies beside the matrix is the consumer's"


def test_maps_are_followed_by_their_numbers_not_by_their_lines(spaces, tmp_path):
    (tmp_path / "map").write_text(f"2\t{NODES[0]}\n0\t{NODES[1]}\n1\t{NODES[2]}\n")
    (vectors,) = align(spaces, tmp_path / "out", [tmp_path / "map"])
    want = expected(spaces[0])
    np.testing.assert_array_equal(vectors, [want[NODES[1]], want[NODES[2]], want[NODES[0]]])
    assert "relation_types" not in told(tmp_path / "out", "coverage")


TRIPLES = [
    (NODES[4], RELATION_TYPES[1], NODES[0]),
    (NODES[2], RELATION_TYPES[0], NODES[4]),
    (NODES[1], RELATION_TYPES[1], NODES[2]),
]


@pytest.mark.parametrize("form", ["dglke", "triples"])
def test_triples_deal_ids_as_their_trainer_does(spaces, tmp_path, form):
    path = tmp_path / "train.tsv"
    path.write_text("".join("\t".join(triple) + "\n" for triple in TRIPLES))
    entities, relations = align(spaces, tmp_path / "dgl", [path], form)
    want, types = expected(spaces[0]), expected(spaces[1])
    seen = [NODES[4], NODES[0], NODES[2], NODES[1]]  # head, tail, head, tail, … as they come
    np.testing.assert_array_equal(entities, [want[one] for one in seen])
    np.testing.assert_array_equal(relations, [types[RELATION_TYPES[i]] for i in (1, 0)])
    entities, relations = align(spaces, tmp_path / "keen", [path], "pykeen")
    np.testing.assert_array_equal(entities, [want[one] for one in sorted(seen)])
    np.testing.assert_array_equal(relations, [types[one] for one in sorted(RELATION_TYPES[:2])])


def test_several_files_of_triples_are_one_graph(spaces, tmp_path):
    for number, triple in enumerate(TRIPLES):
        (tmp_path / f"{number}.tsv").write_text("\t".join(triple) + "\n")
    (tmp_path / "all.tsv").write_text("".join("\t".join(triple) + "\n" for triple in TRIPLES))
    parts = align(spaces, tmp_path / "a", [tmp_path / f"{i}.tsv" for i in range(3)], "triples")
    whole = align(spaces, tmp_path / "b", [tmp_path / "all.tsv"], "triples")
    for one, other in zip(parts, whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_pykeens_map_as_json(spaces, tmp_path):
    (tmp_path / "map.json").write_text(json.dumps({NODES[1]: 1, NODES[3]: 0}))
    (vectors,) = align(spaces, tmp_path / "out", [tmp_path / "map.json"], "pykeen")
    want = expected(spaces[0])
    np.testing.assert_array_equal(vectors, [want[NODES[3]], want[NODES[1]]])


@pytest.mark.parametrize(
    ("form", "content", "why"),
    [
        ("dglke", "0\ta\n1\ta\n", r"line 2: the id 'a' appears twice, first in line 1"),
        ("dglke", "0\ta\n0\tb\n", r"line 2: row 0 appears twice, first for 'a'"),
        ("dglke", "0\ta\n2\tb\n", r"line 2: row 2 of 'b' isn't in 0 … 1"),
        ("dglke", "a\t0\nb\t1\n", r"line 1: 'a' is not a row number\. If the columns are swapped"),
        ("drkg", "0\ta\n1\tb\n", r"line 1: 'a' is not a row number\. If the columns are swapped"),
        ("dglke", "0\ta\n1\tb\tc\n", r"line 2 has 3 fields.*set form: triples"),
        ("dglke", "a\tr\tb\n\n", r"line 2 has 1 fields, which DGL-KE can't read"),
        ("dglke", b"\xef\xbb\xbfa\tr\tb\n", r"byte order mark"),
        ("dglke", "a\tr\tb\n", r"2 of 2 ids have no row: a, b"),
        ("drkg", "a\tr\tb\n", r"line 1 has 3 fields.*set form: triples"),
        ("pykeen", "a\tr\tb\nc\td\n", r"4 of 4 ids have no row: , a, b, c"),
        ("pykeen", "head\trelation\ttail\na\tr\tb\n", r"no row: a, b, head, tail"),
        ("triples", "head\trelation\ttail\na\tr\tb\n", r"line 1 is a header.*graph\.header: true"),
        ("openke", "3\na\t0\nb\t1\n", r"line 1 announces '3' ids, the file has 2"),
        ("openke", "a\t0\nb\t1\n", r"line 1 announces"),
        ("triples", "a\tb\n", r"has 2 columns \(a, b\); head, relation, tail can't be recognised"),
        ("triples", "a\tr\tb\nc\n", r"line 2 has 1 fields, line 1 has 3"),
        ("dglke", None, "no such file"),
        ("dglke", b"0\t\xff\n", "can't be read"),
    ],
)
def test_maps_that_are_none_are_refused(spaces, tmp_path, form, content, why):
    path = tmp_path / "map"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        path.write_text(content)
    with pytest.raises(InputError, match=why):
        run(spaces, tmp_path / "out", [path], form)
    assert not (tmp_path / "out").exists()


STRANGE = ["Gene::X:1", NODES[2], "Virus::X:2", "MESH:D000544", "ENTREZ:672", "Gene::X:3"]


def test_missing_ids_stop_it_by_default(spaces, tmp_path):
    path = write_map(tmp_path / "map", STRANGE, "dglke")
    with pytest.raises(InputError, match=r"4 of 6 ids have no row: Gene::X:1, Virus::X:2"):
        run(spaces, tmp_path / "out", [path])
    assert not (tmp_path / "out").exists()


def test_what_is_missing_and_how_it_was_filled_is_told(spaces, tmp_path):
    path = write_map(tmp_path / "map", STRANGE, "dglke")
    (vectors,) = align(spaces, tmp_path / "out", [path], missing="mean_of_label")
    assert told(tmp_path / "out", "coverage")["entities"] == {
        "ids": 6,
        "found": 2,
        "missing": 4,
        "missing_by_label": {"Gene": 2, "Virus": 1, "": 1},
        "first_missing": ["Gene::X:1", "Virus::X:2", "MESH:D000544", "Gene::X:3"],
        "under_several_labels": 1,
        "filled_by_mean_of_all": 2,
        "table_rows": 8,
        "table_rows_unused": 7,
        "table_rows_of_an_earlier_id": 1,
    }
    space = np.load(spaces[0] / "embeddings.npy").astype(np.float64)
    genes = [label == "Gene" for label, _, _ in ENTITIES]
    np.testing.assert_allclose(vectors[0], space[genes].mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(vectors[0], vectors[5])
    np.testing.assert_array_equal(vectors[1], vectors[4])  # a bare id of the same node
    assert told(tmp_path / "out")["missing"] == {"policy": "mean_of_label", "seed": 0}


def test_only_the_first_twenty_missing_are_listed(spaces, tmp_path):
    ids = [f"Gene::X:{i}" for i in range(50)]
    path = write_map(tmp_path / "map", ids, "dglke")
    align(spaces, tmp_path / "out", [path], missing="random")
    found = told(tmp_path / "out", "coverage")["entities"]
    assert (found["missing"], found["first_missing"]) == (50, ids[:20])


def test_relations_without_a_row_get_the_mean_of_their_pair(spaces, tmp_path):
    to = [
        write_map(tmp_path / "e", NODES[:1], "dglke"),
        write_map(tmp_path / "r", ["New::heals::Compound:Disease"], "dglke"),
    ]
    _, relations = align(spaces, tmp_path / "out", to, missing="mean_of_label")
    rows = np.load(spaces[1] / "embeddings.npy").astype(np.float64)[[0, 2]]
    np.testing.assert_allclose(relations[0], rows.mean(axis=0), atol=1e-6)


def scaled(spaces, tmp_path, scale):
    to = [
        write_map(tmp_path / "e", NODES, "dglke"),
        write_map(tmp_path / "r", RELATION_TYPES, "dglke"),
    ]
    plain = align(spaces, tmp_path / "plain", to)
    found = align(spaces, tmp_path / scale, to, scale=scale)
    assert told(tmp_path / "plain")["scale"] == {"asked": "none", "factor": 1.0, "shift": 0.0}
    manifest = told(tmp_path / scale)["scale"]
    assert manifest["asked"] == scale
    return plain, found, manifest


def test_unit_gives_each_vector_length_one_and_keeps_its_direction(spaces, tmp_path):
    plain, found, _ = scaled(spaces, tmp_path, "unit")
    for before, after in zip(plain, found, strict=True):
        lengths = np.linalg.norm(before.astype(np.float64), axis=1, keepdims=True)
        np.testing.assert_allclose(after, before / lengths, rtol=1e-6)


def test_std_is_one_factor_for_entities_and_relations(spaces, tmp_path):
    plain, found, manifest = scaled(spaces, tmp_path, "std")
    numbers = np.concatenate([part.ravel() for part in plain]).astype(np.float64)
    assert manifest["factor"] == pytest.approx(1 / numbers.std(), rel=1e-6)
    for before, after in zip(plain, found, strict=True):
        np.testing.assert_allclose(after, before / numbers.std(), rtol=1e-5)


def test_a_symmetric_range_keeps_directions(spaces, tmp_path):
    plain, found, manifest = scaled(spaces, tmp_path, "-0.03,0.03")
    most = max(np.abs(part).max() for part in plain)
    assert (manifest["factor"], manifest["shift"]) == (pytest.approx(0.03 / most, rel=1e-6), 0)
    for before, after in zip(plain, found, strict=True):
        np.testing.assert_allclose(after, before * (0.03 / most), rtol=1e-5)


def test_another_range_is_filled_from_end_to_end(spaces, tmp_path):
    plain, found, manifest = scaled(spaces, tmp_path, "0,2")
    numbers = np.concatenate([part.ravel() for part in found])
    assert (numbers.min(), numbers.max()) == (pytest.approx(0, abs=1e-6), pytest.approx(2))
    for before, after in zip(plain, found, strict=True):
        told_so = before.astype(np.float64) * manifest["factor"] + manifest["shift"]
        np.testing.assert_allclose(after, told_so, atol=1e-6)


@pytest.mark.parametrize("scale", ["2,1", "a,b", "1", "0,inf", "half"])
def test_scales_that_are_none_are_refused(spaces, tmp_path, scale):
    path = write_map(tmp_path / "map", NODES, "dglke")
    with pytest.raises(InputError, match=r"align\.scale"):
        run(spaces, tmp_path / "out", [path], scale=scale)


def test_the_self_check_holds_and_notices_rows_out_of_order(spaces, tmp_path):
    ids = NODES[::-1]
    (vectors,) = align(spaces, tmp_path / "out", [write_map(tmp_path / "m", ids, "dglke")])
    check = told(tmp_path / "out", "selfcheck")["entities"]["check"]
    assert [one["row"] for one in check] == [0, 1, 3, 4, 6]
    assert [one["id"] for one in check] == [ids[one["row"]] for one in check]

    def holds(matrix):
        norms = [np.linalg.norm(matrix[one["row"]].astype(np.float64)) for one in check]
        return np.allclose(norms, [one["norm"] for one in check], rtol=1e-6)

    assert holds(vectors)
    assert not holds(vectors[::-1]) and not holds(np.roll(vectors, 1, axis=0))


def test_relation_types_alone_cannot_be_aligned_to_entities(spaces, tmp_path):
    path = write_map(tmp_path / "map", NODES, "dglke")
    with pytest.raises(InputError, match="no table of entities"):
        run(spaces[1:], tmp_path / "out", [path])
