"""BioMedGPS's bundle: what its server takes, what it would refuse, its plane."""

import csv
import json
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from export_spaces import entity_space, relation_space

from kgtextvec.errors import InputError
from kgtextvec.export.biomedgps import export_biomedgps, export_entity2d
from kgtextvec.export.loaders import write_loaders

GOOD = [
    ("Gene", "ENTREZ:7157", "TP53"),
    ("Disease", "MESH:D000544", "Alzheimer's disease"),
    ("Gene", "HGNC-old:a.b-c_D", "x" * 255),
]
# What the server's structs refuse, field by field.
BAD = [
    ("Gene", "ENTREZ7157", "no colon", "entity_id"),
    ("Gene", "ENTREZ:71 57", "a blank", "entity_id"),
    ("Gene", "ENTREZ:" + "7" * 58, "65 characters", "entity_id"),
    ("Gene", "ENTREZ:7157\n", "a line end", "entity_id"),
    ("Cell line", "CLO:1", "a blank", "entity_type"),
    ("Gène", "CLO:2", "an accent", "entity_type"),
    ("G" * 65, "CLO:3", "65 letters", "entity_type"),
    ("Gene", "CLO:4", "", "entity_name"),
    ("Gene", "CLO:5", "é" * 256, "entity_name"),
    ("Gene", "ENTREZ:7157", "the first one's key", "id"),
]


def refused(path):
    table = json.loads(path.with_suffix(".json").read_text("utf-8"))
    (kind,) = {"entities", "relation_types"} & set(table)
    assert table[kind]["refused"] == len(table[kind]["refused_rows"])
    return table[kind]["refused_rows"]


def server_refuses(row):
    """The server's checks of one row, written down a second time, by Python's re."""
    return not (
        1 <= len(row["entity_id"]) <= 64
        and re.fullmatch(r"[A-Za-z0-9\-]+:[a-z0-9A-Z.\-_]+", row["entity_id"])
        and 1 <= len(row["entity_type"]) <= 64
        and re.fullmatch(r"[A-Za-z]+", row["entity_type"])
        and 1 <= len(row["entity_name"]) <= 255
    )


def test_rows_that_the_server_refuses_are_named_and_no_others(tmp_path, capsys):
    rows = [*GOOD, *(bad[:3] for bad in BAD)]
    space = entity_space(tmp_path / "e", rows, dims=4)
    out = tmp_path / "entities_embeddings_4.tsv"
    export_biomedgps(space, dims=4, out=out)
    found = refused(out)
    assert [(one["embedding_id"], one["field"]) for one in found] == [
        (len(GOOD) + i + 1, bad[3]) for i, bad in enumerate(BAD)
    ]
    with out.open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file, delimiter="\t", strict=True))
    assert len(written) == len(rows), "all rows are in the file"
    told = {one["embedding_id"] for one in found if one["field"] != "id"}
    assert told == {int(row["embedding_id"]) for row in written if server_refuses(row)}
    assert "would refuse 10 of 13 rows, first embedding_id 4" in capsys.readouterr().err


def test_the_file_is_what_server_scripts_and_trainer_read(tmp_path):
    space = entity_space(tmp_path / "e", GOOD, dims=5)
    out = tmp_path / "entities_embeddings_5.tsv"
    export_biomedgps(space, dims=5, out=out)
    assert refused(out) == []
    frame = pd.read_csv(out, sep="\t")  # as upstream's scripts do, defaults and all
    assert frame["embedding_id"].tolist() == [1, 2, 3]
    assert frame["entity_id"].tolist() == [row[1] for row in GOOD]
    vectors = np.array([[float(one) for one in cell.split("|")] for cell in frame["embedding"]])
    back = vectors.astype(np.float32)
    np.testing.assert_array_equal(
        back.view(np.uint32), np.load(space / "embeddings.npy").view(np.uint32)
    )


def test_relation_types_of_the_server(tmp_path):
    names = ["A::b::Gene:Gene", "x" * 65, "A::c::Gene:Gene", "A::b::Gene:Gene"]
    formatted = ["f", "g", "y" * 65, "f"]
    out = tmp_path / "relation_types_embeddings_6.tsv"
    export_biomedgps(relation_space(tmp_path / "r", names, formatted=formatted), dims=6, out=out)
    assert [(one["embedding_id"], one["field"]) for one in refused(out)] == [
        (2, "relation_type"),
        (3, "formatted_relation_type"),
        (4, "id"),
    ]


def test_the_files_name_tells_the_true_dims(tmp_path):
    with pytest.raises(InputError, match=r"has 6 dims; ask for …_embeddings_6\.tsv"):
        export_biomedgps(entity_space(tmp_path / "e"), dims=400, out=tmp_path / "e_400.tsv")


def plane(path, n, nan=()):
    numbers = np.random.default_rng(0).normal(0, 30, (n, 4)).astype(np.float32)
    numbers[list(nan)] = np.nan
    names = ["tsne_x", "tsne_y", "umap_x", "umap_y"]
    columns = {name: pa.array(numbers[:, i]) for i, name in enumerate(names)}
    pq.write_table(pa.table({"row": np.arange(n), **columns}), path)
    return dict(zip(names, numbers.T, strict=True))


def test_entity2d_has_each_entitys_place_and_no_empty_one(tmp_path):
    space = entity_space(tmp_path / "e")
    numbers = plane(tmp_path / "layout.parquet", 8, nan=[2, 5])
    export_entity2d(space, layout=tmp_path / "layout.parquet", out=tmp_path / "entity2d.tsv")
    frame = pd.read_csv(tmp_path / "entity2d.tsv", sep="\t", keep_default_na=False)
    places = ["umap_x", "umap_y", "tsne_x", "tsne_y"]
    columns = ["embedding_id", "entity_id", "entity_type", "entity_name", *places]
    assert list(frame.columns) == columns
    assert frame["embedding_id"].tolist() == [1, 2, 4, 5, 7, 8]
    index = pq.read_table(space / "index.parquet").to_pandas()
    kept = index.iloc[frame["embedding_id"] - 1]
    assert frame["entity_id"].tolist() == kept["id"].tolist()
    assert frame["entity_type"].tolist() == kept["label"].tolist()
    assert frame["entity_name"].tolist() == kept["name"].tolist()
    for name in places:
        np.testing.assert_array_equal(
            frame[name].to_numpy(np.float32), numbers[name][frame["embedding_id"] - 1]
        )


def test_entity2d_needs_both_maps_of_the_same_rows(tmp_path):
    space = entity_space(tmp_path / "e")
    layout = tmp_path / "layout.parquet"
    plane(layout, 8)
    half = pq.read_table(layout).drop_columns(["umap_x", "umap_y"])
    pq.write_table(half, layout)
    with pytest.raises(InputError, match=r"has no umap_x and no umap_y; .*report\.layouts"):
        export_entity2d(space, layout=layout, out=tmp_path / "out.tsv")
    plane(layout, 7)
    with pytest.raises(InputError, match="has 7 rows"):
        export_entity2d(space, layout=layout, out=tmp_path / "out.tsv")
    plane(layout, 8, nan=range(8))
    with pytest.raises(InputError, match="places no row"):
        export_entity2d(space, layout=layout, out=tmp_path / "out.tsv")
    assert not (tmp_path / "out.tsv").exists()


def test_a_page_is_for_reports_of_its_own_form(tmp_path):
    export_biomedgps(
        entity_space(tmp_path / "e"), dims=6, out=tmp_path / "entities_embeddings_6.tsv"
    )
    report = tmp_path / "entities_embeddings_6.json"
    write_loaders([report], form="biomedgps", out=tmp_path / "README.md")
    assert "entities_embeddings_6.tsv" in (tmp_path / "README.md").read_text("utf-8")
    with pytest.raises(InputError, match="of form biomedgps, not dglke"):
        write_loaders([report], form="dglke", out=tmp_path / "README.md")
