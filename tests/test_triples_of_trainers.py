"""Triples are numbered as each trainer numbers them, by the loaders of PyKEEN and DGL-KE."""

from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import module_from_spec, spec_from_file_location

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kgtextvec.errors import InputError
from kgtextvec.registry import ID_ORDERS
from kgtextvec.settings.edges import EdgeReading

CASES = {
    "a header": "head\trelation\ttail\nb\tr\ta\nc\tr\tb\n",
    "quotes": '"b x"\tr\ta\nc\t"q"\t"b x"\n',
    "a quote inside": 'a"x\tr\tb\n',
    "missing values' names": "nan\tr\tNA\nNone\tr\tnan\n",
    "numbers": "1\tr\t2\n10\t1\t01\n",
    "line ends of Windows": "b\tr\ta\r\nc\tr\tb\r\n",
    "blanks": " a\tr\tb \n",
    "relations of inverses": "a\ts_inverse\tb\na\ts\tb\nd\tr_inverse\tc\na\ts_inversex\tb\n",
    "a weight": "a\tr\tb\t1\n",
    # As in drkg.tsv, which DGL-KE trains on by this very reader.
    "DRKG": (
        "Gene::2157\tbioarx::HumGenHumGen:Gene:Gene\tGene::2157\n"
        "Gene::drugbank:BE0000048;5743\tGNBR::E::Compound:Gene\tCompound::DB00945\n"
        "Gene::2157\tHetionet::GpBP::Gene:Biological Process\tDisease::SARS-CoV2 M\n"
    ),
    "case and accents": "b\tr\tB\né\tr\ta\nZ\tr\te\n",
}
ODD = {
    "blank lines": "b\tr\ta\n\nc\tr\tb\n\n",
    "a byte order mark": "\ufeffb\tr\ta\nb\ts\tc\n",
    "a short line": "a\tr\tb\nc\tr\n",
}
FIELD = st.text(st.sampled_from("ab\"' .é"), min_size=1, max_size=4)
TRIPLE = st.tuples(FIELD, FIELD, FIELD)


def ours(form, *paths):
    return ID_ORDERS[form].ids(list(paths), EdgeReading())


def as_dglke(path):
    """What KGDatasetUDDRaw of dglke 0.1.2 does, said again for where it isn't installed."""
    nodes, relations = {}, {}
    for line in path.read_text("utf-8").splitlines(keepends=True):
        head, relation, tail = line.strip().split("\t")[:3]
        for one, found in ((head, nodes), (tail, nodes), (relation, relations)):
            found.setdefault(one, len(found))
    return {"entities": list(nodes), "relation_types": list(relations)}


@pytest.fixture(scope="module")
def dglke():
    """DGL-KE's readers. The package imports dgl, which has no build for this Python; they don't."""
    try:
        found = distribution("dglke").locate_file("dglke/dataloader/KGDataset.py")
    except PackageNotFoundError:
        pytest.skip("lock-consumers.txt is not installed")
    spec = spec_from_file_location("dglke_datasets", found)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_by_dglke(dglke, *paths):
    """Return the ids in the order of DGL-KE's numbers; None where it fails."""
    folder = paths[0].parent
    try:
        data = dglke.KGDatasetUDDRaw(folder, "x", "\t", [path.name for path in paths], "hrt")
    except (IndexError, UnicodeError):
        return None
    found = {"entities": data.entity2id, "relation_types": data.relation2id}
    assert all(list(ids.values()) == list(range(len(ids))) for ids in found.values())
    return {kind: list(ids) for kind, ids in found.items()}


def ours_or_none(form, *paths):
    try:
        return ours(form, *paths)
    except InputError:
        return None


@pytest.mark.parametrize("name", CASES)
def test_dglke_numbers_raw_triples_so(tmp_path, name):
    path = tmp_path / "train.tsv"
    path.write_bytes(CASES[name].encode())
    assert ours("dglke", path) == as_dglke(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CASES, *ODD])
def test_its_own_reader_numbers_raw_triples_so(tmp_path, dglke, name):
    """Also the maps that it writes are read as its numbers."""
    path = tmp_path / "train.tsv"
    path.write_bytes((CASES | ODD)[name].encode())
    want = read_by_dglke(dglke, path)
    if name == "a byte order mark":  # DGL-KE takes it for a part of the first id; we stop
        want = None
    assert ours_or_none("dglke", path) == want
    if want:
        maps = tmp_path / "entities.tsv", tmp_path / "relations.tsv"
        if name != "blanks":  # which its maps lose
            assert ours("dglke", *maps) == want


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(TRIPLE, min_size=1, max_size=4), min_size=3, max_size=3))
def test_its_own_reader_numbers_any_triples_so(tmp_path_factory, dglke, files):
    folder = tmp_path_factory.mktemp("t")
    paths = [folder / f"{name}.tsv" for name in ("train", "valid", "test")]
    for path, edges in zip(paths, files, strict=True):
        path.write_text("".join("\t".join(edge) + "\n" for edge in edges), "utf-8")
    assert ours_or_none("dglke", *paths) == read_by_dglke(dglke, *paths)
    assert ours_or_none("dglke", paths[0]) == read_by_dglke(dglke, paths[0])


def test_dglke_takes_one_or_three_plain_files(tmp_path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path in paths:
        path.write_text(f"{path.name}\tr\tx\n")
    assert ours("dglke", *paths)["entities"] == ["a", "x", "b", "c"]
    with pytest.raises(InputError, match=r"DGL-KE takes one .train. or three"):
        ours("dglke", *paths[:2])


def test_pykeen_numbers_the_training_triples_alone(tmp_path):
    train, test = tmp_path / "train.tsv", tmp_path / "test.tsv"
    train.write_text("b\tr\ta\n")
    test.write_text("a\tr\tb\n")
    assert ours("pykeen", train, test)["entities"] == ["a", "b"]
    test.write_text("a\tr\tnew\n")
    with pytest.raises(InputError, match=r"has 1 ids that .* lacks, such as new"):
        ours("pykeen", train, test)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*CASES, *ODD])
def test_pykeen_numbers_triples_so(tmp_path, name):
    triples = pytest.importorskip("pykeen.triples", reason="make links")
    path = tmp_path / "train.tsv"
    path.write_bytes((CASES | ODD)[name].encode())
    factory = triples.TriplesFactory.from_path(path)
    assert ours("pykeen", path) == {
        "entities": list(factory.entity_to_id),
        "relation_types": list(factory.relation_to_id),
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(TRIPLE, min_size=1, max_size=6))
def test_pykeen_numbers_any_triples_so_or_fails_too(tmp_path_factory, edges):
    triples = pytest.importorskip("pykeen.triples", reason="make links")
    path = tmp_path_factory.mktemp("t") / "train.tsv"
    path.write_text("".join("\t".join(edge) + "\n" for edge in edges), "utf-8")
    try:
        factory = triples.TriplesFactory.from_path(path)
        want = {
            "entities": list(factory.entity_to_id),
            "relation_types": list(factory.relation_to_id),
        }
    except (ValueError, TypeError, IndexError):
        want = None
    try:
        found = ours("pykeen", path)
    except InputError:
        found = None
    assert found == want
