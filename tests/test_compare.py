"""The compare page: its numbers are the files', all of them, and nothing is fetched or run."""

import json
import re
import xml.etree.ElementTree as ET
from decimal import Decimal
from html.parser import HTMLParser

import numpy as np
import pytest
from compare_results import (
    cold_start,
    compared,
    labels,
    number,
    retention,
    three_models,
    write_space,
    write_texts,
)

from kgtextvec.__main__ import main
from kgtextvec.errors import InputError
from kgtextvec.pairs import ItemSums
from kgtextvec.report.compare import compare_spaces, differences_table
from kgtextvec.report.compare.scores import ComparedSpace, ScoreValue

HOSTILE = "</td><script>alert(1)</script>{{ 7*7 }} --> {description}"


class Page(HTMLParser):
    """Gathers the tables of a page: by their label, rows of cells; and every tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.values: list[float] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words, self.here, self.inside = "", "", False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.tags.append((tag, told))
        if told.get("role") == "region":
            self.here = told["aria-label"]
            self.tables[self.here] = []
        elif tag == "tr":
            self.tables[self.here].append([])
        elif tag in {"td", "th"}:
            self.tables[self.here][-1].append("")
            self.inside = True
        elif tag == "small" and self.inside:
            self.tables[self.here][-1][-1] += " "
        elif tag == "data":
            self.values.append(float(told["value"]))

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in {"td", "th"}

    def handle_data(self, data):
        self.words += data
        if self.inside:
            self.tables[self.here][-1][-1] += data.strip()


def svgs(html: str) -> list[str]:
    return re.findall(r"<svg.*?</svg>", html, re.DOTALL)


def written(found: dict) -> str:
    """A number of scores.json as the page writes it."""
    value, low, high = (
        f"{Decimal(f'{one:.1e}'):f}" if 0 < abs(one) < 0.01 else f"{one:.3f}"
        for one in (found["value"], *found["interval"])
    )
    return f"{value} {low} to {high}"


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    root = tmp_path_factory.mktemp("three") / "results"
    return root, three_models(root)


def test_every_number_is_that_of_its_file(three):
    root, html = three
    tables = Page(html).tables
    for table in ("entities", "names"):
        lines = {(row[0], row[1]): row for row in tables[f"Cold start of {table}"][1:]}
        probes = {(row[0], row[1]): row for row in tables[f"Label probe of {table}"][1:]}
        for model in ("alpha", "beta", "gamma"):
            for space in ("full", "pca64", "pca8"):
                card = json.loads((root / model / table / space / "scores.json").read_text())
                own = card["scores"]["cold_start"]["all"]["all"]["vectors"]
                assert lines[model, space][2:] == [
                    str(card["dims"]),
                    written(own["mrr"]),
                    written(own["hits_at_10"]),
                    written(own["mrr_gain_over_tfidf"]),
                ]
                own = card["scores"]["labels"]["all"]["all"]["vectors"]
                balanced = f"{own['knn_balanced']['value']:.3f}"
                assert probes[model, space][3:] == [written(own["knn_accuracy"]), balanced]


def test_baselines_stand_below_each_once(three):
    tables = Page(three[1]).tables
    below = [row[0] for row in tables["Cold start of entities"][10:]]
    assert below == [
        "TF-IDF of words",
        "TF-IDF of words + SVD, 64, 128, 256, 384 dims",
        "TF-IDF of words + SVD, 8 dims",
        "popularity",
        "random vectors",
    ]
    assert tables["Cold start of entities"][10][1:] == [
        "0.200 0.190 to 0.210",
        "0.300 0.290 to 0.310",
        "–",
    ]


def test_what_was_not_computed_is_a_dash(three):
    rows = {tuple(row[:2]): row[3:] for row in Page(three[1]).tables["Retention of entities"]}
    assert rows["alpha", "full"] == ["–", "–"]
    assert rows["alpha", "pca8"] == ["0.400 0.390 to 0.410", "64"]
    assert "Not computed for this table: Geometry." in three[1]


def test_the_verdict_stands_on_top(three):
    words = " ".join(Page(three[1]).words.split())
    assert "Comparison of 18 spaces of 3 models" in words
    told = words[words.index("Summary") : words.index("The table entities")]
    assert "The best of 9 spaces is gamma full: cold-start MRR 0.400" in told
    assert "gamma pca64 keeps 100 % of the full space's cold-start MRR (0.400 of 0.400" in told
    assert "gamma full: best with entities, at cold-start MRR 0.400" in told


def test_text_rules_stand_side_by_side(three):
    rows = Page(three[1]).tables["Text rules"]
    assert rows[0] == ["Model and space", "entities “{name}. {description}”", "names name"]
    assert rows[1] == ["alpha full", "0.300 0.290 to 0.310", "0.200 0.190 to 0.210"]
    assert ["TF-IDF of words", "0.200 0.190 to 0.210", "0.200 0.190 to 0.210"] in rows


def test_costs_are_those_of_the_manifests(three):
    rows = Page(three[1]).tables["Cost of the spaces of entities"]
    assert rows[1][:2] == ["alpha", "full"]
    assert rows[1][2:] == ["10.4 kB", "10.0 M", "float32", "cpu", "20 of 20", "2.0", "10"]
    assert rows[-1][2:] == ["768 bytes", "30.0 M", "float32", "cpu", "20 of 20", "6.0", "3.3"]


def test_vectors_from_the_store_were_not_measured(tmp_path):
    counts = {"texts_embedded": 0, "texts_from_store": 20}
    write_space(
        *(tmp_path, "a", "entities", "full", 8, {"cold_start": cold_start(0.3)}),
        counts=counts,
        seconds=0.004,
    )
    html = compared(tmp_path)
    (row,) = Page(html).tables["Cost of the spaces of entities"][1:]
    assert row[-2:] == ["0 of 20", "not measured in this run"]
    assert "every vector came from the store: a." in html


def test_a_reduced_space_has_its_models_speed_of_the_last_run(tmp_path):
    """Vectors taken again from the store leave the reduced space, and its manifest, as it was."""
    write_space(tmp_path, "a", "t", "pca8", 8, {})
    write_space(tmp_path, "a", "t", "full", 16, {}, counts={"texts_embedded": 0})
    rows = Page(compared(tmp_path)).tables["Cost of the spaces of t"][1:]
    assert [row[-1] for row in rows] == ["not measured in this run"] * 2


def test_bars_are_as_long_as_their_numbers(three):
    """All spaces and baselines, from zero, in the tables' proportions."""
    bars = svgs(three[1])[0]
    corners = re.findall(
        r'<path d="M ([\d.]+) [\d.]+ \nL ([\d.]+)[^"]*"[^>]*fill: var\(--(?:group-0|other)\)', bars
    )
    lengths = [float(right) - float(left) for left, right in corners]
    root = three[0]
    own = [
        json.loads(path.read_text())["scores"]["cold_start"]["all"]["all"]["vectors"]["mrr"][
            "value"
        ]
        for path in root.glob("*/entities/*/scores.json")
    ]
    expected = [*sorted(own, reverse=True), 0.2, 0.15, 0.12, 0.1, 0.05]
    assert len(lengths) == len(expected)
    assert [one / lengths[0] * 0.4 for one in lengths] == pytest.approx(expected, abs=1e-5)


def test_charts_are_sound_and_in_the_pages_colours(three):
    html = three[1]
    ids = [told["id"] for _, told in Page(html).tags if told.get("id")]
    assert len(svgs(html)) == 6 and len(ids) == len(set(ids))
    for svg in svgs(html):
        ET.fromstring(svg)  # noqa: S314 (ours)
        for used in re.findall(r'href="#([^"]+)|url\(#([^)]+)', svg):
            assert "".join(used) in ids
        assert not re.search(r"#[0-9a-f]{6}\b", svg), "a colour that a dark page can't change"
    for name in set(re.findall(r"var\(--([a-z0-9-]+)\)", html)):
        assert f"--{name}:" in html


def test_the_page_asks_nothing_of_the_net_and_runs_nothing(tmp_path):
    for table in ("entities", "names"):
        write_texts(tmp_path, table, "e.tsv")
    scores = {"cold_start": cold_start(0.3, **{"<b>mine": 0.1})}
    write_space(
        *(tmp_path, "<b>a", "entities", "full", 8, scores),
        text=HOSTILE,
        notes=[HOSTILE],
        devices=["<b>"],
    )
    write_space(tmp_path, "<b>a", "names", "full", 8, {"labels": labels(0.5)})
    html = compared(tmp_path)
    page = Page(html)
    assert not {"script", "link", "img", "iframe", "b"} & {tag for tag, _ in page.tags}
    assert "{{ 7*7 }}" in page.words
    for _, told in page.tags:
        assert not any(name.startswith("on") for name in told)
        address = told.get("src") or told.get("href") or told.get("xlink:href") or "#"
        assert address.startswith("#")
    assert "default-src 'none'" in html and "@import" not in html and "<!--" not in html
    assert set(re.findall(r"https?://[^\"' )]+", html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_one_space_alone_makes_a_page(tmp_path):
    scores = {"cold_start": cold_start(0.3, tfidf=0.2)}
    write_space(tmp_path, "a", "entities", "full", 8, scores)
    html = compared(tmp_path)
    assert "Comparison of 1 space of 1 model" in html
    # A chart of one point says nothing: the bars are there, with the baselines.
    assert len(svgs(html)) == 1 and "a full is the only space to score" in html
    assert "Text rules" not in html


def test_notes_name_their_spaces_and_tables_of_differences_have_no_empty_columns(tmp_path):
    for space, dims, notes in (
        ("full", 16, ["of all", "of one"]),
        ("pca8", 8, ["of all", "of two"]),
        ("pca4", 4, ["of all", "of two"]),
    ):
        scores = {"cold_start": cold_start(0.3, tfidf=0.2)}
        write_space(tmp_path, "a", "entities", space, dims, scores, notes=notes)
    words = Page(compared(tmp_path)).words
    for note in ("of all", "a full: of one", "a pca4 and a pca8: of two"):
        assert note in words
    assert "a full: of all" not in words
    reduced = [retained(dims) for dims in (8, 4)]
    found = differences_table(reduced, "retention", ["recall_at_10"])
    assert found["heads"] == ["the best, a pca4"], "no baseline, no full space"
    assert found["counts"] == "1 between spaces"
    assert [len(cells) for _, _, cells in found["lines"]] == [1, 1]


def retained(dims):
    """A reduced space with the recall of each of 50 rows."""
    rng = np.random.default_rng(dims)
    each = rng.beta(5, 2, 50) - dims / 100
    sums = ItemSums(np.arange(50), np.ones(50, np.int64), {"vectors.recall_at_10": each}, "q")
    scores = {("retention", "vectors", "recall_at_10"): ScoreValue(each.mean())}
    return ComparedSpace("a", "t", f"pca{dims}", scores=scores, items={"retention": sums})


def test_relation_types_and_no_triples_make_a_page(tmp_path):
    note = "cold_start: left out, evaluate.triples names no file"
    for table, kind, scores in (
        ("entities", "entities", {"labels": labels(0.8)}),
        ("relation_types", "relation_types", {}),
    ):
        for space, dims in (("full", 16), ("pca8", 8)):
            more = {"retention": retention(0.7)} if space == "pca8" else {}
            write_space(
                *(tmp_path, "a", table, space, dims, scores | more), kind=kind, notes=[note]
            )
    html = compared(tmp_path)
    page = Page(html)
    assert "the label probe ranks them" in html and "Nothing here says which space is best" in html
    assert len(svgs(html)) == 3, "relation types have no headline to draw"
    assert [row[1] for row in page.tables["Retention of relation_types"][1:]] == ["full", "pca8"]
    assert page.words.count(note) == 2, "once a table"
    assert "cold-start MRR" not in html


def test_scores_that_the_page_does_not_know_are_shown_as_they_come(tmp_path):
    trained = {"random": {"mrr": number(0.33, 0.02)}, "vectors": {"mrr": number(0.41, 0.01)}}
    by_probe = {"ner": {"NCBI": {"vectors": {"f1": number(0.77)}}}}
    scores = {"link_prediction_TransE": {"all": {"all": trained}}, "probe": by_probe}
    write_space(tmp_path, "a", "entities", "full", 8, scores)
    tables = Page(compared(tmp_path)).tables
    assert tables["Link prediction TransE"] == [
        ["Table", "Model", "Space", "Method", "mrr"],
        ["entities", "a", "full", "vectors", "0.410 0.400 to 0.420"],
        ["entities", "a", "full", "random vectors", "0.330 0.310 to 0.350"],
    ]
    assert tables["Probe"][1] == ["entities", "a", "full", "ner", "NCBI", "vectors", "0.770"]


def test_thirty_spaces_make_a_page(tmp_path):
    for i in range(10):
        for space, dims in (("full", 100 + 50 * i), ("pca64", 64), ("pca8", 8)):
            scores = {"cold_start": cold_start(0.2 + 0.01 * i, random=0.05 + dims / 1e5)}
            write_space(tmp_path, f"model-{i}", "entities", space, dims, scores)
    html = compared(tmp_path)
    assert "Comparison of 30 spaces of 10 models" in html
    assert len(Page(html).tables["Cost of the spaces of entities"]) == 31
    assert len(html) < 1_000_000


def test_the_same_files_give_the_same_bytes(three, tmp_path):
    assert three_models(tmp_path / "results") == three[1]


def test_no_path_of_this_machine_is_in_the_page(three):
    root, html = three
    assert str(root.parent) not in html


def test_the_verb_takes_folders_or_manifests(three, tmp_path):
    root, html = three
    folders = sorted(path.parent for path in root.glob("*/*/*/manifest.json"))
    words = [
        "--scores",
        str(root / "scores.tsv"),
        "--out-html",
        str(tmp_path / "c.html"),
        "--texts",
    ]
    words += map(str, sorted((root / "texts").glob("*/manifest.json")))
    given = [str(path / "manifest.json") if i % 2 else str(path) for i, path in enumerate(folders)]
    assert main(["compare-spaces", *given, *words]) == 0
    assert (tmp_path / "c.html").read_text("utf-8") == html


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda root: (root / "scores.tsv").unlink(), "scores.tsv: not there"),
        (lambda root: (root / "scores.tsv").write_text("a\tb\n"), "has no column model"),
        (lambda root: (root / "a/t/full/manifest.json").unlink(), "manifest.json: not there"),
        (
            lambda root: (root / "a/t/full/manifest.json").write_text("{}"),
            "manifest.json: Object missing required field",
        ),
        (lambda root: (root / "a/t/full/scores.json").write_text("{"), "not valid JSON"),
    ],
)
def test_what_is_missing_or_damaged_is_told(tmp_path, damage, told):
    write_space(tmp_path, "a", "t", "full", 8, {"cold_start": cold_start(0.3)})
    compared(tmp_path)
    (tmp_path / "compare.html").unlink()
    damage(tmp_path)
    with pytest.raises(InputError, match=told):
        compare_spaces(
            [tmp_path / "a/t/full"],
            scores=tmp_path / "scores.tsv",
            out_html=tmp_path / "compare.html",
        )
    assert not (tmp_path / "compare.html").exists()
