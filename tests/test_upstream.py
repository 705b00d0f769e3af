"""BioMedGPS's own command line: same options, same files, the script's numbers when faithful."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from downloads import server
from plain_loop import plain_loop
from sklearn.decomposition import PCA
from test_models_hub import COMMIT, add_hub
from tiny_models import tiny_bert
from workflow_run import RELATION_TYPES, Project, entities

from kgtextvec.__main__ import main
from kgtextvec.errors import InputError
from kgtextvec.upstream import chain

__all__ = ["server"]
ROWS = entities(12)
ROWS[1]["description"] = "TP53 Encodes The tumor protein."
TEXTS = [row["description"] or row["name"] for row in ROWS]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with tables and a model as a hub has it."""
    folder = tmp_path_factory.mktemp("home")
    project = Project(folder, {})
    project.write_entities(ROWS)
    project.write_relation_types(RELATION_TYPES)
    tiny_bert(folder / "raw/bert")
    return folder


@pytest.fixture
def here(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return home


def numbers_of(frame):
    """A column of |-joined numbers, each rounded once to float32."""
    return np.stack([np.array(cell.split("|"), "S").astype(np.float32) for cell in frame])


def read(path):
    """As upstream's scripts read it."""
    frame = pd.read_csv(path, sep="\t")
    return frame, numbers_of(frame["embedding"])


def script_vectors(folder, texts):
    """The script's steps as they stand: a text at a time, the mean over all its tokens."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    found = []
    for text in texts:
        inputs = tokenizer(text, return_tensors="pt", padding=True, truncation=True)
        with torch.no_grad():
            found.append(model(**inputs).last_hidden_state.mean(dim=1)[0].numpy())
    return np.array(found)


@pytest.mark.parametrize("mode", ["correct", "faithful"])
def test_entities_are_upstreams_file(here, mode):
    words = ["entities", "-e", f"{here}/entities.tsv", "-m", f"{here}/raw/bert", "-o", "out/e.tsv"]
    assert main([*words, "--mode", mode]) == 0
    frame, vectors = read("out/e.tsv")
    columns = ["embedding_id", "entity_id", "entity_name", "entity_type", "embedding"]
    assert list(frame.columns) == columns
    assert frame["embedding_id"].tolist() == list(range(1, 13))
    for column, key in zip(columns[1:4], ("id", "name", "label"), strict=True):
        assert frame[column].tolist() == [row[key] for row in ROWS]
    (model,) = Path(".kgtextvec/models").iterdir()
    correct = plain_loop(model, TEXTS, 512)
    faithful = script_vectors(here / "raw/bert", TEXTS)
    assert np.abs(faithful[1] - correct[1]).max() > 0.01, "the script lower-cases TP53"
    assert np.abs(vectors - (correct if mode == "correct" else faithful)).max() <= 1e-5
    assert [path.name for path in Path("out").iterdir()] == ["e.tsv"]
    assert sorted(path.name for path in Path(".kgtextvec").iterdir()) == ["models", "store"]


def test_relation_types_are_upstreams_file_by_long_options(here):
    words = ["relation-types", "--relation-type-file", f"{here}/relation_types.tsv"]
    words += ["--model-name", f"{here}/raw/bert", "--output", "r.tsv", "--mode", "faithful"]
    assert main(words) == 0
    frame, vectors = read("r.tsv")
    assert list(frame.columns) == ["embedding_id", "relation_type", "embedding"]
    assert frame["relation_type"].tolist() == [name for name, _ in RELATION_TYPES]
    expected = script_vectors(here / "raw/bert", [text for _, text in RELATION_TYPES])
    assert np.abs(vectors - expected).max() <= 1e-5


def test_a_second_run_takes_model_and_vectors_from_the_first(here, capsys):
    words = ["entities", "-e", f"{here}/entities.tsv", "-m", f"{here}/raw/bert", "-o"]
    assert main([*words, "a.tsv"]) == 0
    capsys.readouterr()
    assert main([*words, "b.tsv"]) == 0
    assert "from the store" in (said := capsys.readouterr().err) and "embed: " not in said
    assert Path("a.tsv").read_bytes() == Path("b.tsv").read_bytes()
    # A converted folder is a model's name, too.
    (model,) = Path(".kgtextvec/models").iterdir()
    assert main([*words[:4], str(model), "-o", "c.tsv"]) == 0
    assert Path("a.tsv").read_bytes() == Path("c.tsv").read_bytes()


def test_a_catalogues_name_is_a_model(here, monkeypatch):
    Path("config").mkdir()
    entry = {"mine": {"source": f"path:{here}/raw/bert", "pooling": "cls"}}
    Path("config/models.yaml").write_text(yaml.safe_dump(entry))
    words = ["relation-types", "-r", f"{here}/relation_types.tsv", "-m", "mine", "-o", "r.tsv"]
    assert main(words) == 0
    assert main([*words[:-1], "mean.tsv", "-m", f"{here}/raw/bert"]) == 0
    assert np.abs(read("r.tsv")[1] - read("mean.tsv")[1]).max() > 0.01, "the entry's pooling"


def test_a_hubs_name_is_pinned_at_first_use(here, server):
    files = {path.name: path.read_bytes() for path in (here / "raw/bert").iterdir()}
    add_hub(server, files)
    server.add("/api/models/some/model", json.dumps({"sha": COMMIT}).encode())
    words = ["relation-types", "-r", f"{here}/relation_types.tsv", "-m", "some/model", "-o"]
    assert main([*words, "a.tsv"]) == 0
    (record,) = Path(".kgtextvec/models").glob("*/kgtextvec.json")
    assert json.loads(record.read_text())["source"] == f"hub:some/model@{COMMIT}"
    asked = len(server.requests)
    assert main([*words, "b.tsv"]) == 0
    assert len(server.requests) == asked, "the second run asks nobody"
    assert Path("a.tsv").read_bytes() == Path("b.tsv").read_bytes()


def test_a_catalogues_hub_name_is_taken_at_the_catalogues_commit(monkeypatch, tmp_path):
    entry = {"bio": {"source": f"hub:some/model@{COMMIT}", "do_lower_case": False}}
    monkeypatch.setattr(chain, "read_catalogue", lambda: entry)
    monkeypatch.setattr(chain, "from_source", lambda name, about, work: (name, about))
    assert chain.find_model("some/model", tmp_path) == ("bio", entry["bio"])
    assert chain.find_model(f"some/model@{COMMIT}", tmp_path) == ("bio", entry["bio"])
    other = "f" * 40
    found = chain.find_model(f"some/model@{other}", tmp_path)
    assert found == ("model", {"source": f"hub:some/model@{other}"})


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["entities", "-e", "nowhere.tsv", "-m", "x", "-o", "o"], "not there"),
        (["entities", "-e", "{home}/entities.tsv", "-m", "no model", "-o", "o"], "is not a folder"),
        (["entities", "-e", "{home}/relation_types.tsv", "-m", "x", "-o", "o"], "id"),
    ],
)
def test_what_cant_be_used_is_told_in_one_line(here, capsys, words, why):
    assert main([word.format(home=here) for word in words]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("ERROR: ") and why in error
    assert not Path("o").exists()


# --- reduce-dimensions -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A file as `entities` writes it, with two clear groups and hostile names."""
    random = np.random.default_rng(0)
    vectors = random.normal(0, 1, (60, 20)) @ np.diag(np.linspace(2, 0.1, 20))
    vectors[30:] += 8
    path = tmp_path_factory.mktemp("table") / "entities_embeddings.tsv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["embedding_id", "entity_id", "entity_name", "entity_type", "embedding"])
        for i, vector in enumerate(vectors.astype(np.float32)):
            name = ["NA", "tab\there", 'a "quote"', "0012", "line\nend", "x"][i % 6]
            writer.writerow([i + 1, f"00{i}", name, "Gene", "|".join(map(str, vector))])
    return path


def reduced(table, tmp_path, *words):
    out = tmp_path / "out.tsv"
    assert main(["reduce-dimensions", "-e", str(table), "-o", str(out), *words]) == 0
    before = pd.read_csv(table, sep="\t", dtype=str, keep_default_na=False)
    after = pd.read_csv(out, sep="\t", dtype=str, keep_default_na=False)
    assert list(after.columns) == list(before.columns)
    rest = before.columns[:-1]
    assert after[rest].equals(before[rest]), "all else is as it was"
    return numbers_of(before["embedding"]), numbers_of(after["embedding"])


def up_to_signs(found, wanted):
    signs = np.sign((found * wanted).sum(axis=0))
    return np.abs(found - wanted * signs).max()


@pytest.mark.parametrize("mode", ["correct", "faithful"])
def test_pca_is_scikit_learns(table, tmp_path, mode):
    vectors, found = reduced(table, tmp_path, "-d", "5", "-m", "pca", "--mode", mode)
    assert found.shape == (60, 5)
    expected = PCA(n_components=5, svd_solver="full").fit_transform(vectors.astype(np.float64))
    assert up_to_signs(found, expected) < 1e-4


def test_pca_with_more_dims_than_rows(table, tmp_path, capsys):
    lines = table.read_text("utf-8").splitlines(keepends=True)
    few = tmp_path / "few.tsv"
    few.write_text(lines[0] + "1\t1\ta\tGene\t1|2|3\n2\t2\tb\tGene\t3|2|5\n", "utf-8")
    _, found = reduced(few, tmp_path, "-d", "3", "-m", "pca")
    assert "only 1 components carry variance" in capsys.readouterr().err
    assert not found[:, 1:].any()
    _, faithful = reduced(few, tmp_path, "-d", "3", "-m", "pca", "--mode", "faithful")
    np.testing.assert_allclose(np.abs(faithful[:, 0]), np.abs(found[:, 0]), atol=1e-5)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["-m", "umap"], marks=pytest.mark.slow),
        ["-p", "10", "-i", "500"],
        ["-m", "tsne", "-d", "1", "-i", "300"],
        ["-m", "tsne", "-d", "3", "-p", "10", "-l", "20", "-i", "400"],
        ["-m", "tsne", "-p", "10", "-l", "50", "-i", "400", "--mode", "faithful"],
    ],
    ids=["umap", "the script's default", "tsne 1", "tsne 3", "tsne as the script"],
)
def test_maps_keep_groups_apart_and_come_out_the_same_again(table, tmp_path, words):
    _, found = reduced(table, tmp_path, *words)
    dims = int(words[words.index("-d") + 1]) if "-d" in words else 2
    assert found.shape == (60, dims)
    far = np.linalg.norm(found[:, None] - found, axis=2) + np.diag(np.full(60, np.inf))
    groups = np.arange(60) >= 30
    assert (groups[far.argmin(axis=1)] == groups).mean() > 0.9
    assert np.array_equal(reduced(table, tmp_path, *words)[1], found)


def test_the_options_of_tsne_change_what_comes_out(table, tmp_path):
    _, one = reduced(table, tmp_path, "-i", "300")
    for words in (["-p", "5"], ["-l", "20"], ["-i", "350"]):
        _, other = reduced(table, tmp_path, "-i", "300", *words)
        assert not np.allclose(one, other)


@pytest.mark.parametrize(
    ("content", "words", "why"),
    [
        ("a\tb\n1\t2\n", [], "has no column embedding"),
        ("embedding\n1|2\n1|x\n", [], r"row 2 (counting from 1): embedding isn't 2 finite"),
        ("embedding\n1|2\n1|2|3\n", [], "row 2"),
        ("embedding\n1|2\nnan|3\n", [], "row 2"),
        ("embedding\ta\n1|2\tb\n1|2\n", [], "line 3 has 1 fields, the header 2"),
        ("embedding\n1|2\n", [], "has 1 row;"),
        ("embedding\n1|2\n2|1\n", ["-m", "pca", "-d", "3"], "-d 3: the vectors have 2 dims"),
        ("embedding\n1|2\n2|1\n", ["-m", "pca", "-d", "0"], "-d 0"),
        ("embedding\n1|2\n2|1\n", ["-m", "umap", "-d", "5"], "UMAP of 2 rows can have 0"),
        (None, [], "no such file"),
    ],
)
def test_tables_that_cant_be_reduced_are_told_in_one_line(tmp_path, capsys, content, words, why):
    path, out = tmp_path / "in.tsv", tmp_path / "out.tsv"
    if content:
        path.write_text(content)
    assert main(["reduce-dimensions", "-e", str(path), "-o", str(out), *words]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("ERROR: ") and why in error
    assert [path.name for path in tmp_path.iterdir()] == (["in.tsv"] if content else [])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: {source: [x}", "line 1, column 15: not valid YAML"),
        ("a: {pooling: mean}", "not a catalogue: each model needs a source"),
        ("- a", "not a catalogue"),
    ],
)
def test_a_damaged_catalogue_is_one_line(tmp_path, monkeypatch, text, what):
    path = tmp_path / "config/models.yaml"
    path.parent.mkdir()
    path.write_text(text)
    monkeypatch.setattr(chain, "CATALOGUES", [path])
    with pytest.raises(InputError, match=f"config/models.yaml.*{what}.* or give -m a folder.$"):
        chain.find_model("nothing", tmp_path)
