"""Link prediction with PyKEEN itself: training, ranking, the workflow. `make links` installs it."""

import json
import os
import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluate_fixtures import make_space, write_triples
from test_links import ranked_slowly
from tiny_models import tiny_bert
from workflow_run import Project, entities
from xxhash import xxh3_128

from kgtextvec.errors import InputError
from kgtextvec.evaluate.graph import read_graph_triples
from kgtextvec.evaluate.link_models import Start, Trainer, model_scorer, rank_test_triples
from kgtextvec.evaluate.link_split import split_for_links
from kgtextvec.evaluate.links import predict_links
from kgtextvec.matrices import take_rows
from kgtextvec.settings.models import Device
from kgtextvec.settings.scores import LinkTraining
from kgtextvec.space import Space

pytestmark = [
    pytest.mark.slow,
    # Not ours to mend, and other ones with each release of theirs.
    pytest.mark.filterwarnings("ignore"),
]
ROOT = Path(__file__).resolve().parents[1]
DIMS = 16
MODELS = LinkTraining().models


@pytest.fixture(scope="module", autouse=True)
def pykeen(tmp_path_factory):
    """PyKEEN, with a home of its own. Where all must be shown (CI), its absence is a failure."""
    os.environ.setdefault("PYSTOW_HOME", str(tmp_path_factory.mktemp("pystow")))
    if os.environ.get("CI") == "true":
        import_module("pykeen")
    pytest.importorskip("pykeen", reason="make links")
    import torch

    torch.set_num_threads(1)


def families(folder, n_families=8, things=30, answers=10, seed=0):
    """A thing likes two answers of its family. Few edges tell the family, and the vector does.

    Answers' vectors lie on another family's axis, so that nearness alone is no answer.
    """
    rng = np.random.default_rng(seed)
    axes = np.eye(n_families, DIMS)
    vectors = np.vstack(
        [np.repeat(axes, things, axis=0), np.repeat(np.roll(axes, 1, axis=0), answers, axis=0)]
    )
    vectors += rng.normal(scale=0.05, size=vectors.shape)
    n_things = n_families * things
    labels = ["Thing"] * n_things + ["Answer"] * (n_families * answers)
    triples = [
        (f"Thing::{i}", "likes", f"Answer::{n_things + i // things * answers + answer}")
        for i in range(n_things)
        for answer in rng.choice(answers, 2, replace=False)
    ]
    return make_space(folder, vectors, labels), write_triples(folder / "triples.tsv", triples)


def told(space, triples, out, **settings):
    training = LinkTraining(**settings)
    device = Device(device="cpu")
    predict_links(space, triples=[triples], out=out, training=training, device=device, threads=1)
    return json.loads(out.read_text())


SMALL = {"epochs": 16, "batch_size": 64, "learning_rate": 0.01, "negatives": 16, "seeds": 2}


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    folder = tmp_path_factory.mktemp("families")
    return told(*families(folder), folder / "out.json", **SMALL)


@pytest.mark.parametrize("model", MODELS)
def test_where_vectors_tell_the_answer_they_win_in_an_equal_small_budget(card, model):
    scores = card["scores"][f"link_prediction_{model}"]
    for by, group in (("all", "all"), ("degree", "1-2")):
        mrr = {start: found["mrr"]["value"] for start, found in scores[by][group].items()}
        # Ten answers a family, one of them left out: knowing the family alone gives 0.31 at tails.
        assert mrr["vectors"] > 0.1
        assert mrr["vectors"] > 2 * max(mrr["random"], mrr["shuffled"], mrr["popularity"])
    gains = scores["all"]["all"]["vectors"]
    assert gains["mrr_gain_over_random"]["value"] > 0.05
    assert gains["mrr_gain_over_shuffled"]["value"] > 0.05


def test_runs_tell_the_budget_and_add_up_to_the_scores(card):
    assert len(card["runs"]) == len(MODELS) * 4 * SMALL["seeds"]
    assert {(run["model"], run["start"], run["seed"]) for run in card["runs"]} == {
        (model, start, seed)
        for model in MODELS
        for start in ("random", "vectors", "shuffled", "as_exported")
        for seed in (0, 1)
    }
    assert SMALL.items() <= card["settings"].items()
    assert card["settings"]["loss"] == "CrossEntropyLoss"
    assert card["settings"]["triples"]["file"] == "triples.tsv"
    assert {"pykeen", "torch"} <= set(card["versions"])
    for model in MODELS:
        for by, groups in card["scores"][f"link_prediction_{model}"].items():
            for group, methods in groups.items():
                runs = [
                    run["scores"][by][group]["hits_at_10"]
                    for run in card["runs"]
                    if (run["model"], run["start"]) == (model, "vectors")
                ]
                assert methods["vectors"]["hits_at_10"]["value"] == pytest.approx(
                    np.mean(runs), abs=2e-6
                )
    sizes = card["scores"]["link_prediction_TransE"]["degree"].values()
    queries = 2 * card["counts"]["link_prediction"]["test"]
    assert sum(found["vectors"]["mrr"]["n"] for found in sizes) == queries


def cut_of(folder):
    folder.mkdir(exist_ok=True)
    folder, triples = families(folder)
    space = Space(folder)
    cut = split_for_links(read_graph_triples([triples], space), 0)
    return cut, take_rows(space.matrix, cut.rows)


def trainer_of(cut, folder, **budget):
    return Trainer(cut, DIMS, LinkTraining(**{"epochs": 5, "batch_size": 64, "learning_rate": 0.01,
                                        "negatives": 8} | budget), "cpu", folder)  # fmt: skip


def numbers(representation):
    return representation(indices=None).detach().numpy()


# The models' formulas as their papers have them, written out for one head, relation and all tails.
FORMULAS = {
    "TransE": lambda h, r, t: -np.abs(h + r - t).sum(axis=-1),
    "ComplEx": lambda h, r, t: (h * r * t.conj()).sum(axis=-1).real,
    "RotatE": lambda h, r, t: -np.sqrt((np.abs(h * r - t) ** 2).sum(axis=-1)),
}


@pytest.mark.parametrize("name", MODELS)
def test_ranks_are_those_of_the_papers_formula_and_of_pykeens_evaluator(name, tmp_path):
    import torch
    from pykeen.evaluation import RankBasedEvaluator

    cut, vectors = cut_of(tmp_path / "families")
    trainer = trainer_of(cut, tmp_path)
    start = dict(trainer.starts(name, vectors, 0))["vectors"]
    model, _ = trainer.train(name, start, 0, name)
    ours = rank_test_triples(model_scorer(model), cut, DIMS)

    e, r = numbers(model.entity_representations[0]), numbers(model.relation_representations[0])
    e, r = e.astype(complex if name != "TransE" else float), r.astype(complex)
    score = FORMULAS[name]
    r = r.real if name == "TransE" else r
    by_hand = {
        2: [score(e[h], r[j], e) for h, j, _ in cut.test],
        0: [score(e, r[j], e[t]) for _, j, t in cut.test],
    }
    slow = ranked_slowly(by_hand, cut)
    # Their float32 against our float64: two candidates may change places.
    assert (np.abs(ours - slow).max(axis=1) > 1e-6).sum() <= 2
    np.testing.assert_allclose(ours.mean(axis=0), slow.mean(axis=0), atol=2e-3)

    found = RankBasedEvaluator(filtered=True).evaluate(
        model,
        torch.from_numpy(cut.test),
        additional_filter_triples=[torch.from_numpy(cut.train)],
        batch_size=16,
        use_tqdm=False,
    )
    for column, metric in enumerate(("inverse_harmonic_mean_rank", "hits_at_1", "hits_at_10")):
        theirs = found.get_metric(f"both.realistic.{metric}")
        assert ours[:, column].mean() == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_training_starts_from_the_numbers_given(name, tmp_path):
    """A step too small to see: what comes out is what went in. PyKEEN's own initialiser fails."""
    cut, vectors = cut_of(tmp_path / "families")
    trainer = trainer_of(cut, tmp_path, epochs=1, learning_rate=1e-12)
    starts = dict(trainer.starts(name, vectors, 7))
    for start in starts.values():
        before = start.entities.clone()
        model, _ = trainer.train(name, Start(start.entities, start.relations), 7, name)
        entities = numbers(model.entity_representations[0])
        entities = entities.view(np.float32).reshape(len(entities), -1)
        given = before.numpy().reshape(entities.shape)
        if name == "TransE":  # it puts entities on the unit sphere
            given = given / np.linalg.norm(given, axis=1, keepdims=True)
        np.testing.assert_allclose(entities, given, atol=1e-6)
        assert start.entities.equal(before)  # training works on a copy


@pytest.mark.parametrize("name", MODELS)
def test_starts_differ_in_what_they_tell_alone(name, tmp_path):
    cut, vectors = cut_of(tmp_path / "families")
    starts = dict(trainer_of(cut, tmp_path).starts(name, vectors, 7))
    given = {
        start: one.entities.numpy().reshape(vectors.shape).astype(float)
        for start, one in starts.items()
    }
    spread = {start: np.sqrt((one**2).mean()) for start, one in given.items()}
    assert spread["vectors"] == pytest.approx(spread["random"], rel=1e-6)
    centred = vectors - vectors.mean(axis=0)
    centred *= spread["random"] / np.sqrt((centred**2).mean())
    np.testing.assert_allclose(given["vectors"], centred, atol=1e-5)
    assert (given["vectors"] != given["shuffled"]).any(axis=1).mean() > 0.9
    for one in ("vectors", "shuffled"):
        order = np.lexsort(given[one].T)
        given[one] = given[one][order]
    np.testing.assert_array_equal(given["vectors"], given["shuffled"])
    for start in starts.values():
        assert start.relations.equal(starts["random"].relations)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_exported_is_what_a_trainer_loads(name, tmp_path):
    """The numbers of the files, paired as PyKEEN pairs them and as DGL-KE does; by plain loops."""
    cut, vectors = cut_of(tmp_path / "families")
    starts = ("random", "as_exported", "as_exported_halves", "scaled")
    trainer = trainer_of(cut, tmp_path, starts=starts)
    given = {start: one.entities.numpy() for start, one in trainer.starts(name, vectors, 7)}
    if name == "TransE":
        assert list(given) == ["random", "as_exported", "scaled"], "no complex numbers"
        np.testing.assert_array_equal(given["as_exported"], vectors)
    else:
        row, half = vectors[3], DIMS // 2
        assert given["as_exported"][3].tolist() == [
            [row[2 * i], row[2 * i + 1]] for i in range(half)
        ]
        assert given["as_exported_halves"][3].tolist() == [
            [row[i], row[half + i]] for i in range(half)
        ]
    flat = given["scaled"].reshape(vectors.shape)
    np.testing.assert_allclose(flat / flat[0, 0], vectors / vectors[0, 0], rtol=1e-4)
    size = [np.sqrt((given[start].astype(float) ** 2).mean()) for start in ("random", "scaled")]
    assert size[0] == pytest.approx(size[1], rel=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_relations_start_from_their_texts_where_asked(name, tmp_path):
    """What PyKEEN's loading page gives: entities and relations as exported; its scale, too."""
    cut, vectors = cut_of(tmp_path / "families")
    starts = ("random", "as_exported", "scaled", "relations_from_text")
    trainer = trainer_of(cut, tmp_path, starts=starts)
    texts = np.random.default_rng(1).normal(size=(len(cut.names), DIMS)).astype(np.float32)
    given = dict(trainer.starts(name, vectors, 7, texts))
    assert list(given) == list(starts)
    asked = given["relations_from_text"]
    assert asked.entities.equal(given["as_exported"].entities)
    np.testing.assert_array_equal(asked.relations.numpy().reshape(texts.shape), texts)
    assert not asked.relations.equal(given["as_exported"].relations)
    assert "relations_from_text" not in dict(trainer.starts(name, vectors, 7))
    if name != "TransE":  # the line of the page, but for the chance of the drawn numbers
        factor = (2 / DIMS) ** 0.5 / np.sqrt(np.square(vectors).mean())
        scaled = given["scaled"].entities.numpy().reshape(vectors.shape)
        np.testing.assert_allclose(scaled, vectors * factor, rtol=0.05)


def test_the_relations_space_is_read_by_the_names_in_the_triples(tmp_path):
    space, triples = families(tmp_path)
    types = make_space(
        tmp_path / "types", np.ones((1, DIMS)), ["A:B"], kind="relation_types", table="types"
    )
    index = pq.read_table(types / "index.parquet")
    for name in ("id", "node_id"):
        place = index.column_names.index(name)
        index = index.set_column(place, name, pa.array(["likes"]))
    pq.write_table(index, types / "index.parquet")
    starts = {"models": ("TransE",), "starts": ("as_exported", "relations_from_text")}
    budget = {"epochs": 1, "seeds": 1}
    out = tmp_path / "out.json"
    with pytest.raises(InputError, match="needs --relations"):
        told(space, triples, out, **starts, **budget)
    training, device = LinkTraining(**starts, **budget), Device(device="cpu")
    files = {"triples": [triples], "out": out, "relations": types}
    predict_links(space, training=training, device=device, threads=1, **files)
    runs = json.loads(out.read_text())["runs"]
    assert [run["start"] for run in runs] == ["as_exported", "relations_from_text"]
    assert runs[0]["loss"] != runs[1]["loss"]


def test_equal_seeds_give_equal_scores_and_logs_are_plain_lines(tmp_path):
    space, triples = families(tmp_path)
    environment = os.environ | {
        "PYTHONPATH": str(ROOT / "src"),
        "HOME": str(tmp_path / "home"),
        "KGTEXTVEC_PRETEND_GPUS": "1",
        "KGTEXTVEC_LEASES": str(tmp_path / "leases"),
    }
    environment.pop("PYSTOW_HOME")

    def run(name, *more):
        words = ["predict-links", space, "--triples", triples, "--epochs", 3, "--seeds", 1]
        words += ["--batch-size", 64, "--threads", 1, "--device", "cpu", "--out", name, *more]
        done = subprocess.run(
            [sys.executable, "-m", "kgtextvec", *map(str, words)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads((tmp_path / name).read_text())
        assert all(one.pop("seconds") > 0 for one in found["runs"])
        del found["record_digest"]  # of the seconds too
        return found, done

    (first, done), (second, _), (other, _) = run("1.json"), run("2.json"), run("3", "--seed", 1)
    assert first == second
    assert first["runs"] != other["runs"]
    assert done.stdout == ""
    assert done.stderr.startswith("GPU pretend-0 leased\n")
    assert done.stderr.endswith("GPU pretend-0 given back\n")
    assert "\r" not in done.stderr
    assert done.stderr.count("3/3 epochs") == 4 * len(MODELS)
    assert "TransE, vectors, seed 0, loss " in done.stderr
    assert "TransE, MRR of entities with 1-2 edges: popularity 0." in done.stderr
    assert not (tmp_path / "home").exists()  # PyKEEN left nothing there


def test_the_workflow_predicts_links_once_and_again_when_asked_otherwise(tmp_path):
    project = Project(
        tmp_path / "it's mine ü",
        {
            "tables": {"entities": {"file": "entities.tsv", "kind": "entities"}},
            "models": ["cased"],
            "spaces": ["full", "pca4"],
            "exports": ["npy"],
            "catalogue": {"cased": {"source": "path:raw/cased"}},
            "evaluate": {
                "scores": ["geometry"],
                "triples": "triples.tsv",
                "link_prediction": {"models": ["TransE", "RotatE"], "epochs": 2, "seeds": 1},
            },
            "report": {"maps": False, "notebooks": False},
        },
    )
    tiny_bert(project.folder / "raw/cased")
    rows = entities(40)
    project.write_entities(rows)
    nodes = [f"{row['label']}::{row['id']}" for row in rows]
    lines = [f"{nodes[i]}\tbinds\t{nodes[(i * 7 + k) % 40]}\n" for i in range(40) for k in (3, 5)]
    (project.folder / "triples.tsv").write_text("".join(lines))

    outcome = project.run()
    assert outcome.jobs["predict_links"] == 1
    home = project.folder / "results/cased/entities"
    card = json.loads((home / "pca4/link_prediction.json").read_text())
    assert card["settings"]["epochs"] == 2
    graph = (project.folder / "triples.tsv").read_bytes()
    recorded = {"bytes": len(graph), "xxh3": xxh3_128(graph).hexdigest()}
    assert card["sources"] == {"triples.tsv": recorded}
    assert not (home / "full/link_prediction.json").exists()
    lines = (project.folder / "results/scores.tsv").read_text().splitlines()
    cells = [line.split("\t") for line in lines]
    value = card["scores"]["link_prediction_RotatE"]["all"]["all"]["vectors"]["mrr"]["value"]
    wanted = ["cased", "entities", "pca4", "4", "link_prediction_RotatE", "all", "all", "vectors"]
    (line,) = [cell for cell in cells if cell[:9] == [*wanted, "mrr"]]
    assert float(line[9]) == pytest.approx(value, rel=1e-5)
    assert any(cell[4] == "geometry" for cell in cells)
    assert project.run().jobs == Counter()

    project.config["evaluate"]["link_prediction"]["epochs"] = 3
    jobs = {"predict_links": 1, "collect_scores": 1, "compare_spaces": 1, "draw_index": 1}
    assert project.run().jobs == jobs

    project.config["evaluate"]["link_prediction"] = None
    assert "predict_links" not in project.run().jobs
    assert "link_prediction" not in (project.folder / "results/scores.tsv").read_text()

    for wrong, message in (
        ({"link_prediction": {"spaces": ["pca9"]}}, "pca9 is not among spaces"),
        (
            {"link_prediction": {}, "triples": None},
            "needs a table of entities, and graph.file or evaluate.triples",
        ),
    ):
        project.config["evaluate"] = {"scores": ["geometry"], "triples": "triples.tsv"} | wrong
        failed = project.run(ok=False)
        assert failed.code
        assert message in failed.text
