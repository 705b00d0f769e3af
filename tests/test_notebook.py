"""render-notebook: what it shows is true, runs again by hand, and needs nothing from outside."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from manifests import space_manifest

from kgtextvec.checksums import xxh3_of
from kgtextvec.errors import InputError
from kgtextvec.report.notebook import render_notebook
from kgtextvec.settings.spaces import Examples

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / "workflow/notebooks/explore.ipynb"
HOSTILE = "</script><img src=x onerror=alert(1)> $\\frac ]]> 基因"
NAMED = ["TP53", "ASPIRIN", "Anemia, Sickle Cell", "X:40", "nobody"]
LABELS = ["Gene", "Disease", "Compound", "<b>Odd</b> $x"]


def make_space(
    root: Path,
    n: int = 120,
    dims: int = 12,
    kind: str = "entities",
    space: str = "pca5",
    vectors: np.ndarray | None = None,
) -> Path:
    """Write the files of a space as the steps before leave them; rows 0..3 share a text."""
    random = np.random.default_rng(7)
    folder = root / "results" / "tiny" / kind / space
    folder.mkdir(parents=True)
    entities = kind == "entities"
    labels = [LABELS[i % 4] if entities else f"{LABELS[i % 3]}:Gene" for i in range(n)]
    names = [f"name {i}" if entities else f"R{i % 2}::r{i}::{labels[i]}" for i in range(n)]
    if n > 40 and entities:
        names[:3], names[40] = ["TP53", "aspirin", "Anemia, Sickle Cell"], HOSTILE
    ids = [f"X:{i}" for i in range(n)] if entities else names
    texts = ["shared" if i < 4 else f"text {i}" for i in range(n)]
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    if vectors is None:
        vectors = (random.normal(size=(n, dims)) + 0.3).astype(np.float32)
        vectors[:4] = vectors[:1]
    np.save(folder / "embeddings.npy", vectors)
    index = {
        "row": pa.array(range(n), pa.int64()),
        "id": pa.array(ids, pa.string()),
        "label": pa.array(labels, pa.string()),
        "name": pa.array(names, pa.string()),
        "resource": pa.array([f"R{i % 2}" for i in range(n)], pa.string()),
        "node_id": pa.array([f"{x}::{y}" for x, y in zip(labels, ids, strict=True)], pa.string()),
        "text_sha256": pa.array(digests, pa.string()),
        "n_tokens": pa.array([5] * n, pa.int32()),
        "truncated": pa.array([False] * n, pa.bool_()),
    }
    pq.write_table(pa.table(index), folder / "index.parquet")
    manifest = space_manifest(
        model={"source": "path:/home/someone/tiny"},
        table=kind,
        kind=kind,
        space=space,
        text="description,name",
        rows=n,
        dims=vectors.shape[1],
        counts={"truncated": 2, "tokens": 12345, "unknown_tokens": 6},
        versions={"torch": "2.13"},
        vectors_xxh3=xxh3_of(folder / "embeddings.npy"),
        command="kgtextvec gather-shards /home/someone/work",
    )
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def add_layout(folder: Path, drop: int = 0) -> None:
    n = pq.read_metadata(folder / "index.parquet").num_rows
    places = np.random.default_rng(3).normal(size=(4, n)).astype(np.float32)
    places[:, n - drop :] = np.nan
    names = ["tsne_x", "tsne_y", "umap_x", "umap_y"]
    columns = {"row": pa.array(range(n), pa.int64())} | dict(zip(names, places, strict=True))
    pq.write_table(pa.table(columns), folder / "layout.parquet")


def add_pca(folder: Path, n: int = 5, dims: int = 12, scale: float = 1.0) -> Path:
    spectrum = scale * 2.0 ** -np.arange(dims)
    path = folder.parents[1] / "pca5.npz"
    about = {"n_rows": 117, "rank": n, "fit_on": "entities", "total_variance": spectrum.sum()}
    np.savez(path, components=np.eye(n, dims), spectrum=spectrum, **about)
    return path


def render(folder: Path, pca: Path | None = None, named: list[str] | None = None) -> str:
    render_notebook(
        folder,
        template=TEMPLATE,
        pca=pca,
        examples=Examples(named=tuple(named or ())),
        out_notebook=folder / "explore.ipynb",
        out_html=folder / "explore.html",
    )
    return (folder / "explore.ipynb").read_text("utf-8")


def outputs_of(notebook: str) -> list[dict]:
    cells = nbformat.reads(notebook, as_version=4).cells
    return [output for cell in cells for output in cell.get("outputs", [])]


def words_of(notebook: str) -> str:
    """All that the outputs say, without markup."""
    html = [output.get("data", {}).get("text/html", "") for output in outputs_of(notebook)]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", " ".join(html))))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A space with all that may be there, hostile names included, and its notebook."""
    folder = make_space(tmp_path_factory.mktemp("whole"))
    add_layout(folder, drop=10)
    ours = {"mrr": {"value": 0.2468, "interval": [0.21, 0.29], "n": 9}}
    chance = {"mrr": {"value": 0.0123, "interval": None, "n": 9}}
    by_method = {"chance": chance, "random": chance, "tfidf_chars": chance, "vectors": ours}
    scores = {"cold_start": {"all": {"all": by_method}}}
    (folder / "scores.json").write_text(json.dumps({"scores": scores, "notes": ["<b>a note</b>"]}))
    render(folder, add_pca(folder), NAMED)
    return folder


def test_every_cell_ran_without_a_warning(whole):
    notebook = (whole / "explore.ipynb").read_text()
    nbformat.validate(nbformat.reads(notebook, as_version=4))
    assert {output["output_type"] for output in outputs_of(notebook)} == {"display_data"}
    counts = re.findall(r'"execution_count": (\w+)', notebook)
    assert counts == [str(i + 1) for i in range(len(counts))] and len(counts) > 8


def test_the_notebook_tells_what_the_files_hold(whole):
    words = words_of((whole / "explore.ipynb").read_text())
    assert "120 rows of the table entities hold 117 distinct texts" in words
    assert "description, else name" in words and "12,345" in words
    assert "110 of 120 rows are on the map" in words
    # A spectrum of 1, 1/2, 1/4 …: half lies in 1 direction, five hold 31/32 of nearly all.
    assert "fitted on the 117 vectors of entities" in words
    assert "(50% in 1, 90% in 4, 99% in 7 directions)" in words
    assert "The first 5 of 12 directions keep 96.9%" in words
    assert "4 rows share their text with another" in words
    assert "Not in this table: nobody." in words
    assert "these vectors 0.247 [0.210, 0.290] TF-IDF of characters 0.012 random vectors" in words


def test_neighbours_are_the_nearest_by_cosine(whole):
    vectors = np.load(whole / "embeddings.npy")
    names = pq.read_table(whole / "index.parquet")["name"].to_pylist()
    long = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = long @ long[0]
    best = [i for i in np.argsort(-cosines) if i > 3][:8]  # 0..3 share a text: not neighbours
    html = [output["data"].get("text/html", "") for output in outputs_of(read(whole))]
    table = html[next(i for i, part in enumerate(html) if part.startswith("<h3>TP53")) + 1]
    cells = re.findall(r"<td>(.*?)</td>", table)
    assert [unescape(name) for name in cells[1::4]] == [names[i] for i in best]
    assert cells[0::4] == [f"{cosines[i]:.3f}" for i in best]
    lonely = words_of(read(whole)).split("distinct texts: ")[1].split("cosine to it ")[1]
    between = long[4:] @ long[3:].T
    between[np.arange(len(between)), np.arange(1, len(between) + 1)] = -1
    assert lonely.startswith(names[4 + between.max(axis=1).argmin()])


def read(folder: Path) -> str:
    return (folder / "explore.ipynb").read_text("utf-8")


def test_no_path_of_this_machine_is_in_the_files(whole):
    for file in ("explore.ipynb", "explore.html"):
        text = (whole / file).read_text("utf-8")
        for path in (str(whole), str(ROOT), sys.prefix, "/home/someone", "/tmp/"):  # noqa: S108
            assert path not in text
    assert "PCA = '../../pca5.npz'" in nbformat.reads(read(whole), 4).cells[2].source
    assert json.loads(read(whole))["metadata"]["kernelspec"]["name"] == "python3"


def test_the_same_inputs_give_the_same_bytes(whole, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(whole.parents[2], copy)
    folder = copy / whole.relative_to(whole.parents[2])
    for file in ("explore.ipynb", "explore.html"):
        (folder / file).unlink()
    pca = folder.parents[1] / "pca5.npz"
    render(folder, pca, NAMED)
    for file in ("explore.ipynb", "explore.html"):
        assert (folder / file).read_bytes() == (whole / file).read_bytes()


class Page(HTMLParser):
    """Gathers the tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_page_asks_nothing_of_the_net_and_runs_nothing_from_the_data(whole):
    text = (whole / "explore.html").read_text("utf-8")
    tags = Page(text).tags
    assert not {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in tags}
    for tag, attributes in tags:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        address = attributes.get("src") or attributes.get("href") or ""
        assert address.startswith(("data:", "#")) or not address, (tag, address)
    assert all("src" not in attributes for tag, attributes in tags if tag == "script")
    styles = "".join(re.findall(r"<style>(.*?)</style>", text, re.DOTALL))
    assert "@import" not in styles and "url(" not in styles
    assert "MathJax.js" not in text and "require.min.js" not in text
    policy = [a["content"] for tag, a in tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    assert "script" not in {tag for tag, _ in tags}
    assert len(text) < 600_000
    assert "&lt;/script&gt;&lt;img" in text  # the hostile name is there, as words


def test_it_runs_again_by_hand_where_the_package_is_not_installed(whole, tmp_path):
    copy = tmp_path / "taken home"
    shutil.copytree(whole.parents[2], copy)
    folder = copy / whole.relative_to(whole.parents[2])
    (folder / "explore.html").unlink()
    by_hand = """
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read("explore.ipynb", 4)
for cell in notebook.cells:
    if cell.cell_type == "code":
        cell.outputs.clear()
check = "import sys; assert sys.modules['kgtextvec'] is None"
notebook.cells.append(nbformat.v4.new_code_cell(check))
NotebookClient(notebook).execute()
nbformat.write(notebook, "again.ipynb")
"""
    kernel = tmp_path / "jupyter/kernels/python3"
    kernel.mkdir(parents=True)
    start = (
        "import sys; sys.modules['kgtextvec'] = None;"  # an import of it fails
        "from ipykernel.kernelapp import launch_new_instance; launch_new_instance()"
    )
    argv = [sys.executable, "-I", "-c", start, "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Python 3"}))
    settings = {
        "PATH": os.defpath,
        "HOME": str(tmp_path),
        "JUPYTER_PATH": str(tmp_path / "jupyter"),
        "JUPYTER_PREFER_ENV_PATH": "0",
    }
    done = subprocess.run(
        [sys.executable, "-I", "-c", by_hand], cwd=folder, env=settings, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    again = (folder / "again.ipynb").read_text("utf-8")
    assert words_of(again) == words_of(read(whole))


def test_the_verb_needs_no_home_no_path_and_none_of_the_users_jupyter(tmp_path):
    folder = make_space(tmp_path, n=30, kind="relation_types")
    add_layout(folder)
    broken = tmp_path / "theirs/kernels/python3"
    broken.mkdir(parents=True)
    (broken / "kernel.json").write_text('{"argv": ["/nowhere/python"], "display_name": "x"}')
    startup = tmp_path / "theirs/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("print('a line from the user')")
    long = tmp_path / ("a-long-name-" * 8) / ("of-a-folder-" * 8)
    long.mkdir(parents=True)
    settings = {
        "PYTHONPATH": str(ROOT / "src"),
        "JUPYTER_PATH": str(tmp_path / "theirs"),
        "IPYTHONDIR": str(tmp_path / "theirs"),
        "TMPDIR": str(long),
    }
    command = [sys.executable, "-W", "error", "-m", "kgtextvec", "render-notebook", str(folder)]
    command += ["--template", str(TEMPLATE), "--pca", "--named", "TP53"]
    command += ["--out-notebook", "explore.ipynb", "--out-html", "explore.html"]
    done = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list(long.iterdir())
    words = words_of(read(folder))
    assert "a line from the user" not in words
    # One map by group, one by resource, in that order.
    maps = [x["data"]["text/plain"] for x in outputs_of(read(folder)) if "t-SNE" in str(x)]
    assert [("group" in told, "resource" in told) for told in maps[:2]] == [
        (True, False),
        (False, True),
    ]
    assert "How many dimensions" not in read(folder) and "scores.json" not in read(folder)


@pytest.mark.parametrize(
    "vectors",
    [
        pytest.param(np.zeros((0, 12), np.float32), id="no row"),
        pytest.param(np.ones((1, 12), np.float32), id="one row"),
        pytest.param(np.zeros((6, 12), np.float32), id="all zero"),
    ],
)
def test_a_space_with_nothing_to_see_is_still_shown(vectors, tmp_path):
    folder = make_space(tmp_path, n=len(vectors), vectors=vectors)
    add_layout(folder, drop=len(vectors))
    notebook = render(folder, add_pca(folder, scale=0.0))
    assert {output["output_type"] for output in outputs_of(notebook)} == {"display_data"}
    assert f"{len(vectors)} rows of the table" in words_of(notebook)
    assert "no variance to keep" in words_of(notebook)


def test_a_large_table_is_sampled_in_the_interactive_map_alone(tmp_path):
    folder = make_space(tmp_path, n=30_000, dims=4)
    add_layout(folder)
    one = pq.read_table(folder / "layout.parquet").drop_columns(["umap_x", "umap_y"])
    pq.write_table(one, folder / "layout.parquet")
    notebook = render(folder)
    assert "The interactive maps show 10,000 of the rows" in words_of(notebook)
    assert "drawn at random) of the 29,997 distinct texts" in words_of(notebook)
    assert (folder / "explore.html").stat().st_size < 7_500_000
    assert (folder / "explore.ipynb").stat().st_size < 2_500_000


def test_what_does_not_fit_is_told_before_anything_runs(tmp_path):
    folder = make_space(tmp_path, n=5)
    with pytest.raises(InputError, match=r"pca9\.npz: not there"):
        render(folder, folder / "pca9.npz")
    np.save(folder / "embeddings.npy", np.zeros((4, 12), np.float32))
    with pytest.raises(InputError, match=r"embeddings\.npy has 4 rows, index\.parquet has 5"):
        render(folder)
    (folder / "embeddings.npy").unlink()
    with pytest.raises(InputError, match=r"embeddings\.npy: not there"):
        render(folder)
    assert not (folder / "explore.ipynb").exists()


def test_a_template_that_fails_is_named_and_leaves_no_file(tmp_path, capsys):
    folder = make_space(tmp_path, n=5)
    template = tmp_path / "mine.ipynb"
    outs = {"out_notebook": folder / "explore.ipynb", "out_html": folder / "explore.html"}
    template.write_text("{")
    with pytest.raises(InputError, match=r"mine\.ipynb: not a notebook"):
        render_notebook(folder, template=template, **outs)
    cell = nbformat.v4.new_code_cell("{}['no such key']")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), template)
    with pytest.raises(InputError, match=r"mine\.ipynb: a cell failed .* KeyError"):
        render_notebook(folder, template=template, **outs)
    assert "Traceback" in capsys.readouterr().err
    assert not any(path.exists() for path in outs.values())


@pytest.mark.slow
def test_a_browser_draws_the_maps_with_the_net_off(whole):
    playwright = pytest.importorskip("playwright.sync_api")
    browser_file = shutil.which("chromium")
    if not browser_file:
        pytest.skip("no chromium on the PATH")
    flags = ["--headless", "--no-sandbox", "--disable-background-networking", "--disable-sync"]
    flags += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    said: list[str] = []
    asked: list[str] = []
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=browser_file, args=flags)
        context = browser.new_context(viewport={"width": 1100, "height": 800})
        context.set_offline(True)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.goto((whole / "explore.html").as_uri())
        drawn = page.locator("#picture-1 use:visible")
        assert drawn.count() == 2 * 110  # t-SNE and UMAP of the rows that were laid out
        group = page.locator("#picture-1 .group-0:visible use").count()
        page.locator("#picture-1-0").uncheck()
        assert group > 0 and drawn.count() == 2 * 110 - group
        width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        browser.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [
        (whole / "explore.html").as_uri()
    ]
    assert width[0] <= width[1]
