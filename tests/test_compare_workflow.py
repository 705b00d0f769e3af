"""The compare page in the workflow: made whenever there are scores, remade when they change."""

from collections import Counter
from pathlib import Path

import pytest
from tiny_models import tiny_bert
from workflow_run import Project, entities

N = 40


def base_config() -> dict:
    table = {"file": "entities.tsv", "kind": "entities"}
    return {
        "tables": {
            "entities": dict(table),
            "names": table | {"text": "{name}"},
        },
        "models": ["cased"],
        "spaces": ["full", "pca8"],
        "exports": ["npy"],
        "catalogue": {"cased": {"source": "path:raw/cased"}},
        "evaluate": {"scores": ["cold_start"], "triples": "triples.tsv"},
        "report": {"maps": False, "notebooks": False},
    }


def users_project(folder: Path) -> Project:
    project = Project(folder / "it's mine ü", base_config())
    tiny_bert(project.folder / "raw/cased")
    rows = entities(N)
    project.write_entities(rows)
    nodes = [f"{row['label']}::{row['id']}" for row in rows]
    lines = [f"{nodes[i]}\tbinds\t{nodes[(i * 7 + 3) % N]}" for i in range(N)]
    (project.folder / "triples.tsv").write_text("head\trelation\ttail\n" + "\n".join(lines) + "\n")
    return project


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    project = users_project(tmp_path_factory.mktemp("compare"))
    return project, project.run()


@pytest.mark.parametrize("scores", [["geometry"], []])
def test_the_page_is_planned_when_there_are_scores(tmp_path, scores):
    project = users_project(tmp_path)
    project.config["evaluate"] = {"scores": scores}
    assert ("compare_spaces" in project.run("--dry-run").text) == bool(scores)


def page_of(project: Project) -> str:
    return (project.folder / "results/compare.html").read_text("utf-8")


@pytest.mark.slow
def test_the_page_is_made_with_the_scores(first_run):
    project, outcome = first_run
    assert outcome.jobs["compare_spaces"] == 1
    page = page_of(project)
    assert "Comparison of 4 spaces of 1 model" in page
    assert "entities (description, else name) and names (“{name}”) read one file." in page
    assert f'<td class="number">{N} of {N}</td>' in page
    assert str(project.folder) not in page


@pytest.mark.slow
def test_it_is_made_again_just_when_what_it_tells_changed(first_run):
    project, _ = first_run
    for path in project.folder.glob("results/**/*.json"):
        path.touch()
    assert project.run().jobs == Counter()
    before = page_of(project)

    project.config["evaluate"]["seed"] = 1
    jobs = project.run().jobs
    pages = {"compare_spaces": 1, "draw_index": 1}
    assert jobs == {"evaluate_space": 4, "collect_scores": 1} | pages
    assert page_of(project) != before

    # The vectors stay, but their manifest now tells that none was embedded.
    project.config["tables"]["entities"]["shards"] = 2
    assert project.run().jobs["compare_spaces"] == 1
    assert "not measured in this run" in page_of(project)
    assert (project.folder / "results/compare.ipynb").exists()
    assert "compare_spaces" not in project.run().jobs


@pytest.mark.slow
def test_a_deleted_page_comes_back_alone(first_run):
    project, _ = first_run
    before = page_of(project)
    for name in ("compare.html", "compare.ipynb"):
        (project.folder / "results" / name).unlink()
    assert project.run().jobs == {"compare_spaces": 1}
    assert page_of(project) == before
