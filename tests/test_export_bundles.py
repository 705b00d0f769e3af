"""Each consumer's files by their documented form, read without our code."""

import csv
import gzip
import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from export_spaces import (
    ENTITIES,
    RELATION_TYPES,
    assert_same,
    entity_space,
    expected,
    relation_space,
)
from safetensors.numpy import load_file

from kgtextvec.checksums import xxh3_of
from kgtextvec.errors import InputError
from kgtextvec.export.bundle import export_bundle
from kgtextvec.export.loaders import write_loaders
from kgtextvec.files import sha256_of
from kgtextvec.registry import FORMS


@pytest.fixture(scope="module")
def spaces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spaces")
    return entity_space(folder / "e"), relation_space(folder / "r")


def bundle(spaces, form, tmp_path):
    out = tmp_path / form
    export_bundle(list(spaces), form=form, out_dir=out)
    return out, json.loads((out / "manifest.json").read_text("utf-8"))


def tab_pairs(path):
    return [line.split("\t") for line in path.read_text("utf-8").removesuffix("\n").split("\n")]


@pytest.mark.parametrize("form", ["dglke", "drkg"])
def test_dglke_and_drkg_differ_in_the_maps_columns(spaces, form, tmp_path):
    out, manifest = bundle(spaces, form, tmp_path)
    for space, kind, ids_file in zip(
        spaces, ("entity", "relation"), ("entities.tsv", "relations.tsv"), strict=True
    ):
        pairs = tab_pairs(out / ids_file)
        rows, ids = zip(*(pairs if form == "dglke" else [p[::-1] for p in pairs]), strict=True)
        assert [int(row) for row in rows] == list(range(len(ids)))
        assert_same(ids, np.load(out / f"tiny_{kind}.npy"), space)
    assert manifest["entities"]["table_rows"] == 8 and manifest["entities"]["rows"] == 7


@pytest.mark.parametrize(("gamma", "dims"), [(12.0, 400), (143.0, 64)])
def test_the_line_of_the_page_gives_the_size_of_dglkes_own_numbers(spaces, tmp_path, gamma, dims):
    """DGL-KE draws uniformly from ±(gamma + 2) / dims: here drawn, there computed."""
    out, _ = bundle(spaces, "dglke", tmp_path)
    write_loaders([out], form="dglke", out=tmp_path / "README.md")
    page = (tmp_path / "README.md").read_text("utf-8")
    (line,) = re.findall(r"`(entities \*= [^`]*)`", " ".join(page.split()))
    rng = np.random.default_rng(0)
    names = {"gamma": gamma, "dims": dims, "entities": rng.normal(3, 2, (1000, dims))}
    before = names["entities"].copy()
    exec(line, names)  # noqa: S102 (the page's own line)
    end = (gamma + 2) / dims
    drawn = rng.uniform(-end, end, (1000, dims))
    size = np.sqrt([(each**2).mean() for each in (names["entities"], drawn)])
    assert size[0] == pytest.approx(size[1], rel=0.01)
    assert names["entities"] / before == pytest.approx(names["entities"][0, 0] / before[0, 0])


def test_openke_counts_first(spaces, tmp_path):
    out, _ = bundle(spaces, "openke", tmp_path)
    for space, kind in zip(spaces, ("entity", "relation"), strict=True):
        first, *pairs = tab_pairs(out / f"{kind}2id.txt")
        assert [int(first[0])] == [len(pairs)]
        assert [int(row) for _, row in pairs] == list(range(len(pairs)))
        assert_same([one for one, _ in pairs], np.load(out / f"{kind}2vec.npy"), space)


def test_pykeen_has_sorted_labels_in_its_own_map(spaces, tmp_path):
    out, _ = bundle(spaces, "pykeen", tmp_path)
    for space, kind, name in zip(
        spaces, ("entity", "relation"), ("entities", "relations"), strict=True
    ):
        with gzip.open(out / f"{kind}_to_id.tsv.gz", "rt", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        labels = [row["label"] for row in rows]
        assert labels == sorted(labels) == sorted(expected(space))
        assert [int(row["id"]) for row in rows] == list(range(len(rows)))
        assert_same(labels, np.load(out / f"{name}.npy"), space)


def test_pyg_has_a_tensor_per_label(spaces, tmp_path):
    out, manifest = bundle(spaces, "pyg", tmp_path)
    tensors = load_file(out / "entities.safetensors")
    nodes = pq.read_table(out / "entities.parquet").to_pylist()
    assert set(tensors) == {label for label, _, _ in ENTITIES}
    assert manifest["entities"]["tensors"] == {one: len(tensors[one]) for one in sorted(tensors)}
    assert_same(
        [node["node_id"] for node in nodes],
        [tensors[node["label"]][node["row"]] for node in nodes],
        spaces[0],
    )
    assert {node["name"] for node in nodes} < {name for _, _, name in ENTITIES}
    relations = load_file(out / "relation_types.safetensors")
    ids = pq.read_table(out / "relation_types.parquet")["node_id"].to_pylist()
    assert_same(ids, relations["relation_types"], spaces[1])


def test_venomx_says_how_the_vectors_were_made(spaces, tmp_path):
    out, _ = bundle(spaces, "venomx", tmp_path)
    for space, kind in zip(spaces, ("entities", "relation_types"), strict=True):
        table = pq.read_table(out / f"{kind}.parquet")
        assert table.schema.names == ["id", "values"]
        assert_same(table["id"].to_pylist(), np.array(table["values"].to_pylist(), "f4"), space)
        made = json.loads((space / "manifest.json").read_text("utf-8"))
        about = yaml.safe_load((out / f"{kind}.yaml").read_text("utf-8"))
        assert about["embeddings_dimensions"] == made["dims"] == len(table["values"][0])
        assert about["embedding_model"]["name"] == made["model"]["name"]
        assert about["embedding_input_method"]["fields"] == made["text"].split(",")
        assert about["id"] == made["vectors_xxh3"]


def read_word2vec(path):
    """word2vec's binary form by its own C reader: up to a blank, numbers, a line end."""
    data = path.read_bytes()
    header, _, rest = data.partition(b"\n")
    n, dims = (int(word) for word in header.split())
    found = []
    for _ in range(n):
        key, _, rest = rest.partition(b" ")
        found.append((key.decode(), np.frombuffer(rest[: 4 * dims], np.float32)))
        assert rest[4 * dims : 4 * dims + 1] == b"\n"
        rest = rest[4 * dims + 1 :]
    assert not rest
    return found


def test_word2vec_has_the_node_id_as_key(spaces, tmp_path):
    out, _ = bundle(spaces, "word2vec", tmp_path)
    for space, kind in zip(spaces, ("entities", "relation_types"), strict=True):
        keys, vectors = zip(*read_word2vec(out / f"{kind}.bin"), strict=True)
        assert_same(keys, vectors, space)


def test_word2vec_writes_blanks_in_keys_so_that_they_are_one_word(tmp_path):
    relations = ["Made::is a::Gene:Gene", "Made::b\u3000c::Gene:Gene"]
    space = relation_space(tmp_path / "r", relations)
    export_bundle([space], form="word2vec", out_dir=tmp_path / "out")
    found = read_word2vec(tmp_path / "out/relation_types.bin")
    assert [key for key, _ in found] == ["Made::is%20a::Gene:Gene", "Made::b%E3%80%80c::Gene:Gene"]
    manifest = json.loads((tmp_path / "out/manifest.json").read_text("utf-8"))
    assert manifest["relation_types"]["keys_with_blanks"] == 2
    twice = relation_space(tmp_path / "twice", ["a b", "a%20b"])
    with pytest.raises(InputError, match=r"'a b' and 'a%20b' would be one key"):
        export_bundle([twice], form="word2vec", out_dir=tmp_path / "no")


UNESCAPED = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}


def read_copy(path):
    """COPY's text form: a line per row, tabs between fields, four escapes and nothing else."""
    text = path.read_bytes().decode("utf-8")
    assert text.endswith("\n") and "\r" not in text
    for line in text[:-1].split("\n"):
        fields = line.split("\t")
        for number, field in enumerate(fields):
            assert not re.sub(r"\\[\\tnr]", "", field).count("\\"), field
            fields[number] = re.sub(r"\\.", lambda found: UNESCAPED[found[0]], field)
        vector = fields.pop()
        assert re.fullmatch(r"\[-?[0-9.e+-]+(,-?[0-9.e+-]+)*\]", vector)
        yield [*fields, np.array([np.float32(n) for n in vector[1:-1].split(",")])]


def test_pgvectors_file_is_what_copy_reads(spaces, tmp_path):
    out, _ = bundle(spaces, "pgvector", tmp_path)
    rows = list(read_copy(out / "entities.copy"))
    vectors = np.load(spaces[0] / "embeddings.npy")
    assert [row[0] for row in rows] == [str(i) for i in range(len(ENTITIES))]
    for row, (label, identifier, name), vector in zip(rows, ENTITIES, vectors, strict=True):
        assert row[1:5] == [f"{label}::{identifier}", identifier, label, name]
        np.testing.assert_array_equal(row[5].view(np.uint32), vector.view(np.uint32))
    assert [row[1] for row in read_copy(out / "relation_types.copy")] == RELATION_TYPES
    assert "embedding vector(6) NOT NULL" in (out / "entities.sql").read_text("utf-8")


def test_pgvector_tells_what_it_cannot_hold_or_index(tmp_path):
    wide = entity_space(tmp_path / "wide", dims=2001)
    export_bundle([wide], form="pgvector", out_dir=tmp_path / "out")
    sql = (tmp_path / "out/entities.sql").read_text("utf-8")
    assert "hnsw" not in sql.lower().replace("an hnsw index", "") and "too many for an HNSW" in sql
    wider = entity_space(tmp_path / "wider", dims=16001)
    with pytest.raises(InputError, match="pgvector takes 16000 at most"):
        export_bundle([wider], form="pgvector", out_dir=tmp_path / "no")


BUNDLED = [form for form in FORMS.names() if FORMS[form].scope == "bundle"]
LIBRARY_FREE = [form for form in BUNDLED if form != "faiss"]


@pytest.mark.parametrize("form", LIBRARY_FREE)
def test_the_same_space_gives_the_same_bytes(spaces, form, tmp_path):
    first, _ = bundle(spaces, form, tmp_path / "a")
    again, _ = bundle(spaces, form, tmp_path / "b")
    for path in first.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


@pytest.mark.parametrize("form", LIBRARY_FREE)
def test_tables_without_rows_and_single_tables_are_written(form, tmp_path):
    nothing = entity_space(tmp_path / "e", ENTITIES[:1], vectors=np.empty((1, 4), np.float32))
    table = pq.read_table(nothing / "index.parquet").slice(0, 0)
    pq.write_table(table, nothing / "index.parquet")
    np.save(nothing / "embeddings.npy", np.empty((0, 4), np.float32))
    changes = {"rows": 0, "vectors_xxh3": xxh3_of(nothing / "embeddings.npy")}
    manifest = json.loads((nothing / "manifest.json").read_text()) | changes
    (nothing / "manifest.json").write_text(json.dumps(manifest))
    export_bundle([nothing], form=form, out_dir=tmp_path / "out")
    told = json.loads((tmp_path / "out/manifest.json").read_text())
    assert told["entities"]["rows"] == 0 and "relation_types" not in told
    write_loaders([tmp_path / "out"], form=form, out=tmp_path / "README.md")


def flip_last_bit(path):
    """Of a float32's mantissa, so that it stays a number."""
    data = bytearray(path.read_bytes())
    data[-4] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("form", BUNDLED)
def test_a_flipped_bit_is_refused_also_in_a_row_that_the_form_leaves_out(form, tmp_path):
    if form == "faiss":
        pytest.importorskip("faiss")
    space = entity_space(tmp_path / "e", [*ENTITIES, ENTITIES[0]])
    flip_last_bit(space / "embeddings.npy")
    with pytest.raises(InputError, match=r"e/embeddings\.npy: damaged or replaced: expected"):
        export_bundle([space], form=form, out_dir=tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


ONCE = list({(label, one): (label, one, name) for label, one, name in ENTITIES}.values())


@pytest.mark.parametrize("form", ["dglke", "drkg", "openke", "pykeen"])
@pytest.mark.parametrize("entities", [ENTITIES, ONCE, sorted(ONCE)])
@pytest.mark.parametrize("padded", [False, True])
def test_the_recorded_digest_is_that_of_the_file(form, entities, padded, tmp_path):
    """A matrix that equals the space's has its digest; with another header it is another file."""
    space = entity_space(tmp_path / "e", entities)
    source = space / "embeddings.npy"
    if padded:  # as other versions of numpy pad it
        data = source.read_bytes()
        longer = data[10:127] + b" " * 64 + b"\n"
        source.write_bytes(data[:8] + len(longer).to_bytes(2, "little") + longer + data[128:])
        manifest = json.loads((space / "manifest.json").read_text())
        manifest["vectors_xxh3"] = xxh3_of(source)
        (space / "manifest.json").write_text(json.dumps(manifest))
    out, manifest = bundle([space], form, tmp_path)
    about = manifest["entities"]
    assert about["xxh3_128"] == xxh3_of(out / about["file"])
    others = {path.name for path in out.iterdir()} - {about["file"], "manifest.json"}
    assert manifest["files"] == {name: sha256_of(out / name) for name in others}
    assert len(np.load(out / about["file"])) == len(ONCE)
    equal = not padded and ((entities is ONCE and form != "pykeen") or entities == sorted(ONCE))
    assert (about["xxh3_128"] == xxh3_of(source)) == equal


@pytest.mark.parametrize("form", LIBRARY_FREE)
def test_nan_is_refused_and_nothing_is_left(form, tmp_path):
    vectors = np.ones((8, 4), np.float32)
    vectors[6, 1] = np.nan
    with pytest.raises(InputError, match="NaN or Inf"):
        export_bundle(
            [entity_space(tmp_path / "e", vectors=vectors)], form=form, out_dir=tmp_path / "out"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


@pytest.mark.parametrize("form", ["dglke", "drkg", "openke", "pykeen"])
@pytest.mark.parametrize("name", ["a\tb", "a\nb", " a", "a ", ""])
def test_ids_that_a_map_cannot_hold_are_refused(form, name, tmp_path):
    space = relation_space(tmp_path / "r", [*RELATION_TYPES, name])
    with pytest.raises(InputError, match="id maps can't hold it"):
        export_bundle([space], form=form, out_dir=tmp_path / "out")


def test_spaces_that_do_not_belong_together_are_refused(spaces, tmp_path):
    other = relation_space(tmp_path / "o", pca={"fit_on_digest": "other"})
    for folders, why in (
        ([spaces[0], other], "another model, space or PCA"),
        ([spaces[0], relation_space(tmp_path / "d", dims=5)], "another model, space or PCA"),
        ([spaces[0], spaces[0]], "a second table of entities"),
    ):
        with pytest.raises(InputError, match=why):
            export_bundle(folders, form="dglke", out_dir=tmp_path / "out")


def test_without_faiss_the_export_says_what_to_install(spaces, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(InputError, match=r"needs the package faiss-cpu.*pip install faiss-cpu"):
        export_bundle(list(spaces), form="faiss", out_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()
