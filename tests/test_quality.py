"""draw-quality and the captions of `snakemake --report`: true, escaped, readable."""

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import jinja2
import pytest
from manifests import space_manifest

from kgtextvec.errors import InputError
from kgtextvec.pages.numbers import format_count, format_share
from kgtextvec.pages.theme import COLOURS
from kgtextvec.report.quality import draw_quality

ROOT = Path(__file__).resolve().parents[1]
HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7*7 }}"
FINDINGS: dict[str, Any] = {
    "outcome": "warn",
    "rows": 1000,
    "distinct_texts": 900,
    "labels": {"Gene": 250, "Disease": 700, HOSTILE: 50},
    "duplicates": {"same_text": 3, "other_text": 1},
    "text_from": {"description": 600, "name": 400},
    "lengths": {"characters": {"p0": 2, "p50": 40, "p100": 1234, "mean": 55.5}, "words": {}},
    "odd_characters": {"mojibake": 5, "control": 2},
    "findings": [
        {"kind": "empty_text", "level": "warn", "count": 7, "line": 12, "message": HOSTILE},
        {"kind": "duplicate_rows", "level": "warn", "count": 3, "line": None, "message": "twice"},
    ],
}


def manifest_of(model: str, **counts: int) -> dict[str, Any]:
    return space_manifest(model={"name": model}, rows=1000, max_tokens=256, counts=counts)


def drawn(
    root: Path, findings: dict[str, Any], *manifests: dict[str, Any], table: str = "entities"
) -> tuple[Any, str]:
    """Run the verb's function on the findings of `table`; return what it wrote."""
    folder = root / table
    folder.mkdir(exist_ok=True)
    (folder / "findings.json").write_text(json.dumps(findings))
    paths = [folder / f"manifest-{i}.json" for i in range(len(manifests))]
    for path, manifest in zip(paths, manifests, strict=True):
        path.write_text(json.dumps(manifest))
    draw_quality(
        findings=folder / "findings.json",
        manifest=paths,
        out_json=folder / "q.json",
        out_html=folder / "q.html",
    )
    return json.loads((folder / "q.json").read_text()), (folder / "q.html").read_text("utf-8")


class Page(HTMLParser):
    """Gathers tags, and the words of each table row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.words = ""
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in {"td", "th"}

    def handle_data(self, data: str) -> None:
        self.words += data
        if self.inside:
            self.rows[-1][-1] += data.strip()


def test_the_figures_are_those_of_the_findings_and_the_manifests(tmp_path):
    quality, html = drawn(
        tmp_path,
        FINDINGS,
        manifest_of("a", truncated=20, tokens=40_000, unknown_tokens=100),
        manifest_of("b", truncated=0, tokens=10_000, unknown_tokens=0),
    )
    assert quality["rows"] == 1000 and quality["texts"] == 900
    assert list(quality["labels"]) == ["Disease", "Gene", HOSTILE]
    assert quality["empty"] == 7 and quality["duplicate"] == 4 and quality["odd_characters"] == 7
    assert quality["over_long"] == {"a": 20, "b": 0}
    assert quality["unknown_share"] == {"a": 0.0025, "b": 0.0}
    assert [one["kind"] for one in quality["findings"]] == ["empty_text", "duplicate_rows"]
    rows = Page(html).rows
    assert ["Disease", "700", "70.00 %", ""] in rows
    assert ["a", "256", "20", "2.00 %", "truncate", "40,000", "100", "0.25 %"] in rows
    assert ["warning", "duplicate rows", "3", "all lines", "twice"] in rows
    assert ["median", "40"] in rows and ["longest", "1,234"] in rows
    assert "Fit for use," in html and "with 2 warnings" in html


def test_a_table_that_nothing_was_found_in_says_so(tmp_path):
    found = {"outcome": "ok", "rows": 2, "distinct_texts": 2, "findings": [], "labels": {}}
    nothing: dict[str, Any] = {"duplicates": {}, "text_from": {}, "lengths": {}}
    found |= nothing | {"odd_characters": {}}
    quality, html = drawn(tmp_path, found, table="names")
    assert (quality["empty"], quality["duplicate"], quality["models"]) == (0, 0, {})
    assert quality["table"] == "names"
    assert (
        "read without errors or warnings" in html and "no model has tokenized the table yet" in html
    )


def test_errors_come_first_and_the_page_says_that_the_table_is_not_fit(tmp_path):
    late = {"kind": "no_text", "level": "error", "count": 2, "line": 900, "message": "no text"}
    listed = [*FINDINGS["findings"], late]
    quality, html = drawn(tmp_path, FINDINGS | {"outcome": "error", "findings": listed})
    assert quality["findings"][0]["kind"] == "no_text"
    assert quality["empty"] == 9
    assert "Not fit for use" in html


def test_a_hostile_message_stays_words(tmp_path):
    table = HOSTILE.replace("/", "")  # the name of a folder
    _, html = drawn(tmp_path, FINDINGS, manifest_of(HOSTILE) | {"table": table}, table=table)
    page = Page(html)
    assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert all("src" not in attributes and "href" not in attributes for _, attributes in page.tags)
    assert page.words.count(table) == 2  # title, heading
    assert page.words.count(HOSTILE) == 3  # message, label, model
    assert "url(" not in html and "@import" not in html


def test_headers_have_a_scope_and_scrolling_parts_take_the_keyboard(tmp_path):
    _, html = drawn(tmp_path, FINDINGS, manifest_of("a", truncated=1))
    tags = Page(html).tags
    heads = [attributes for tag, attributes in tags if tag == "th"]
    assert heads and all(head.get("scope") in {"col", "row"} for head in heads)
    wide = [attributes for _, attributes in tags if attributes.get("class") == "wide"]
    assert wide and all(one["tabindex"] == "0" and one["aria-label"] for one in wide)
    assert [attributes for tag, attributes in tags if tag == "html"] == [{"lang": "en"}]


def brightness(colour: str) -> float:
    """Relative luminance of #rrggbb as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(scheme):
    for ground in ("ground", "panel"):
        for name in ("ink", "soft", "accent", "red", "amber", "green"):
            two = sorted(brightness(getattr(COLOURS[one], scheme)) for one in (ground, name))
            assert (two[1] + 0.05) / (two[0] + 0.05) >= 4.5, (name, ground)


def test_many_labels_are_cut_with_a_note(tmp_path):
    labels = {f"L{i:03}": 1000 - i for i in range(100)}
    quality, html = drawn(tmp_path, FINDINGS | {"labels": labels})
    assert len(quality["labels"]) == 100
    assert "40 smaller ones are in quality.json" in html
    assert "L059" in html and "L060" not in html


def test_files_of_another_table_or_no_files_are_told(tmp_path):
    with pytest.raises(InputError, match=r"manifest-0\.json: is of the table other"):
        drawn(tmp_path, FINDINGS, manifest_of("a") | {"table": "other"})
    out = {"out_json": tmp_path / "a.json", "out_html": tmp_path / "a.html"}
    for text, told in (
        ("[]", "list.json: Expected `object`, got `array`"),
        ("{}", "list.json: Object missing required field"),
        (json.dumps(FINDINGS | {"rows": "many"}), r"Expected `int`, got `str` - at `\$.rows`"),
        ("{", "not valid JSON"),
    ):
        (tmp_path / "list.json").write_text(text)
        with pytest.raises(InputError, match=told):
            draw_quality(findings=tmp_path / "list.json", **out)
    with pytest.raises(InputError, match="not there"):
        draw_quality(findings=tmp_path / "none.json", **out)
    folder = tmp_path / "entities"
    (folder / "manifest-0.json").write_text("{}")
    with pytest.raises(InputError, match=r"manifest-0\.json: Object missing required field"):
        draw_quality(
            findings=folder / "findings.json", manifest=[folder / "manifest-0.json"], **out
        )
    assert not any(path.exists() for path in out.values())


def test_the_verb_takes_manifests_in_one_go_or_none(tmp_path):
    drawn(tmp_path, FINDINGS, manifest_of("a"), manifest_of("b"))
    folder = tmp_path / "entities"
    command = [sys.executable, "-m", "kgtextvec", "draw-quality", "--findings", "findings.json"]
    command += ["--out-json", "out/quality.json", "--out-html", "out/quality.html", "--manifest"]
    settings = {"PYTHONPATH": str(ROOT / "src")}
    for manifests in (["manifest-0.json", "manifest-1.json"], []):
        subprocess.run([*command, *manifests], cwd=folder, env=settings, check=True)
        written = json.loads((folder / "out/quality.json").read_text())
        assert len(written["models"]) == len(manifests)


@pytest.mark.parametrize(
    ("value", "as_count", "as_share"),
    [
        (1234567, "1,234,567", "123456700.00 %"),
        (0, "0", "0.00 %"),
        (0.00001, "0.0", "under 0.01 %"),
        (None, "not known", "not known"),
        (True, "not known", "not known"),
    ],
)
def test_numbers_are_written_for_people(value, as_count, as_share):
    assert (format_count(value), format_share(value)) == (as_count, as_share)


CAPTIONS = sorted((ROOT / "workflow/report").glob("*.rst"))


@pytest.mark.parametrize("caption", CAPTIONS, ids=lambda path: path.stem)
def test_captions_are_valid_and_name_what_they_stand_for(caption, tmp_path):
    core = pytest.importorskip("docutils.core")
    wildcards = {"model": "some_model", "table": "relation_types", "space": "pca64"}
    config = {
        "tables": {"relation_types": {"file": "x"}, "left_out": None},
        "models": ["some_model"],
        "spaces": ["full", "pca64"],
        "reduce": {"fit_on": "entities"},
    }
    snakemake = SimpleNamespace(wildcards=Wildcards(wildcards), config=config)
    index, quality = tmp_path / "index.html", tmp_path / "texts/a b/quality.html"
    image = "A" * 30_000  # longer than a line of docutils may be
    index.write_text(
        f'<main><img src="data:,{image}"><a href="texts/a b/quality.html">quality</a></main>'
    )
    files = [SimpleNamespace(target=path.name, path=path) for path in (index, quality)]
    source = caption.read_text("utf-8")
    settings = {"trim_blocks": True, "lstrip_blocks": True}  # as Snakemake has them
    text = jinja2.Environment(undefined=jinja2.StrictUndefined, **settings)  # noqa: S701
    told = text.from_string(source).render(
        snakemake=snakemake, files=files, categories={"pages": {"all": files}}
    )
    told += "\n\n.. _index.html: #\n"  # snakemake adds a target for each file of the report
    halt = {"halt_level": 2, "report_level": 5, "file_insertion_enabled": False}
    html = core.publish_parts(told, writer="html", settings_overrides=halt)["body"]
    assert "left_out" not in html and "{{" not in html and "{%" not in html
    if caption.stem == "workflow":
        place = quote(str(quality))
        assert f"""<a href="javascript:app.showResultInfo('{place}')">quality</a>""" in html
        assert html.count("A") > 30_000
    assert all(value in html for name, value in wildcards.items() if f".{name} }}" in source)
    # A language model is trained before there are tables of vectors.
    assert caption.stem == "finetune" or "relation_types" in html


class Wildcards(dict):
    """Like Snakemake's: names as attributes or by get."""

    __getattr__ = dict.__getitem__
