"""Run the explore notebook on a space, in a kernel of this very interpreter, and show it as HTML.

Nothing of the user's Jupyter takes part: the kernel is described in a temporary folder and talks
over sockets in it, so it needs no `jupyter` on the PATH, no HOME and no network.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from kgtextvec import job_client
from kgtextvec.errors import InputError, Stopped
from kgtextvec.files import check_recorded_digest, scratch_folder, whole_file
from kgtextvec.job_client import RESUME
from kgtextvec.pages import PACKAGE, render_template
from kgtextvec.pages.charts import MARKERS, PLOTLY_MARKERS
from kgtextvec.pages.scatter import draw_scatter
from kgtextvec.pages.theme import GROUP_COLOURS, OTHERS_COLOUR
from kgtextvec.progress import say
from kgtextvec.records import read_unedited
from kgtextvec.settings.spaces import Examples
from kgtextvec.signals import STOPPING
from kgtextvec.space import Space, checked_space

PLOTLY = "application/vnd.plotly.v1+json"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LANGUAGE = {"name": "python", "pygments_lexer": "ipython3", "file_extension": ".py"}
# A table that may be wider than the window; the keyboard can scroll what it can reach.
WIDE_OUTPUT = re.compile(r'(<div class="output_html[^"]*")(>\s*<table)')
CELL_TEMPLATE = PACKAGE / "report/templates/cells.html"  # nbconvert fills it in
# The path of a Unix socket has 107 bytes at most; jupyter appends "-5" or so.
SOCKET_PATH = 100
SECONDS_A_CELL = 1800


def render_notebook(
    space: Annotated[Path, "folder of the space: results/MODEL/TABLE/SPACE"],
    *,
    template: Annotated[Path, "the notebook to run, .ipynb"],
    pca: Annotated[Path | None, "pca{N}.npz of a reduced space, or none"] = None,
    examples: Examples = Examples(),
    out_notebook: Annotated[Path, "the executed notebook"],
    out_html: Annotated[Path, "the same as a page"],
) -> None:
    """Run the explore notebook on a space; write it executed, and as a self-contained page.

    The notebook finds its files by paths relative to its own folder, so that it runs again by hand
    where it is. Cells tagged `layout`, `pca` or `scores` are left out where layout.parquet, the
    PCA or scores.json are missing. The same inputs give the same bytes.
    Raises InputError when a file of the space is missing, does not fit the others, or a cell fails.
    """
    opened = checked_space(space)
    if pca and not pca.exists():
        raise InputError(f"{pca}: not there. Run the step that makes it first.")
    notebook = read_template(template)
    folder = out_notebook.parent
    folder.mkdir(parents=True, exist_ok=True)
    optional = {
        "layout": (space / "layout.parquet").exists(),
        "pca": pca is not None,
        "scores": (space / "scores.json").exists(),
    }
    if optional["layout"]:
        check_recorded_digest(space / "layout.parquet")
    if optional["scores"]:
        read_unedited(space / "scores.json")
    left_out = {tag for tag, present in optional.items() if not present}
    notebook.cells = [cell for cell in notebook.cells if not left_out & tags_of(cell)]
    title = title_of(opened)
    set_cells(
        notebook,
        title=f"# {title}",
        parameters={
            "SPACE": relative(space, folder),
            "PCA": None if pca is None else relative(pca, folder),
            "NAMED": list(examples.named),
            "COLOURS": [colour.light for colour in GROUP_COLOURS],
            "MARKS": dict(zip(PLOTLY_MARKERS, MARKERS, strict=True)),
            "REST_COLOUR": OTHERS_COLOUR.light,
        },
    )
    with opened.vectors_checked():
        execute(notebook, folder, template)
    write_notebook(notebook, out_notebook)
    with whole_file(out_html, record_digest=True) as part:
        part.write_text(as_page(notebook, title), "utf-8")


def read_template(template: Path) -> Any:
    """Read the notebook to run (nbformat 4). Raises InputError if it is none."""
    import nbformat

    try:
        notebook = nbformat.reads(template.read_text("utf-8"), as_version=4)
        nbformat.validate(notebook)
    except FileNotFoundError:
        raise InputError(f"{template}: not there. Give a notebook with --template.") from None
    except (ValueError, nbformat.ValidationError) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"{template}: not a notebook ({why}). Correct or replace it.") from None
    return notebook


def tags_of(cell: Any) -> set[str]:
    """Return the tags of a cell."""
    return set(cell.metadata.get("tags", []))


def title_of(space: Space) -> str:
    """Return the title of a notebook: table, model, space."""
    manifest = space.manifest
    return f"{manifest['table']} by {manifest['model']['name']}, {manifest['space']}"


def relative(path: Path, folder: Path) -> str:
    """Write `path` as seen from `folder`."""
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def set_cells(notebook: Any, title: str, parameters: dict[str, Any]) -> None:
    """Fill the cell tagged `title`, and in the one tagged `parameters` the values assigned.

    A line `NAME = value  # why` keeps its comment. A parameter that the template lacks is dropped:
    a user's own template need not know them all.
    """
    for cell in notebook.cells:
        if "title" in tags_of(cell):
            cell.source = title
        if "parameters" in tags_of(cell):
            lines = cell.source.splitlines()
            for i, line in enumerate(lines):
                name = line.split("=")[0].strip()
                if name in parameters:
                    _, comment, why = line.partition("  # ")
                    lines[i] = f"{name} = {parameters[name]!r}{comment}{why}"
            cell.source = "\n".join(lines)


def write_notebook(notebook: Any, path: Path) -> None:
    """Write an executed notebook, without what its kernel recorded of this machine."""
    import nbformat

    notebook.metadata = {"kernelspec": KERNEL, "language_info": LANGUAGE}
    with whole_file(path, record_digest=True) as part:
        part.write_text(nbformat.writes(notebook) + "\n", "utf-8")


def execute(notebook: Any, folder: Path, template: Path) -> None:
    """Run all cells in place, in a kernel of this interpreter whose working folder is `folder`.

    Raises InputError that names the cell if one fails; its traceback is printed first.
    """
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    with private_kernel() as kernel:
        client = notebook_client()(
            notebook,
            km=kernel,
            timeout=SECONDS_A_CELL,
            record_timing=False,
            resources={"metadata": {"path": str(folder)}},
        )
        try:
            asyncio.run(run_cells(client))
        except CellExecutionError as error:
            say(str(error))
            raise InputError(
                f"{template}: a cell failed on {folder}: {error.ename}: {error.evalue}."
                " The traceback is above; correct the notebook or the file it names."
            ) from None
        except (CellTimeoutError, RuntimeError) as error:  # RuntimeError: also while it starts
            raise InputError(
                f"{template}: the kernel died or took over {SECONDS_A_CELL} s"
                f" ({str(error).splitlines()[0]}). Give the job more memory, or a smaller table."
            ) from None


@cache
def notebook_client() -> Any:
    """Return nbclient's client without its handlers of signals, which end in a traceback."""
    from nbclient import NotebookClient

    class Client(NotebookClient):  # type: ignore[misc]
        @asynccontextmanager
        async def async_setup_kernel(self, **options: Any) -> AsyncIterator[None]:
            try:
                await self.async_start_new_kernel(**options)
                await self.async_start_new_kernel_client()
                yield
            finally:
                if self.km is not None:  # else nbclient has done so
                    await self._async_cleanup_kernel()

    return Client


async def run_cells(client: Any) -> None:
    """Run the cells of a client's notebook. A request to stop kills the kernel; raises Stopped."""
    signals: list[int] = []
    loop, work = asyncio.get_running_loop(), asyncio.ensure_future(client.async_execute())

    def stop(number: int) -> None:
        if not signals:
            client.shutdown_kernel = "immediate"
            work.cancel()
        signals.append(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in STOPPING}
        before = {number: one for number, one in before.items() if one is not signal.SIG_IGN}
    for number in before:
        loop.add_signal_handler(number, stop, number)
    try:
        await asyncio.wait([work])
        if signals:
            work.cancelled() or work.exception()  # which then is of no interest
            raise Stopped(RESUME, signals[0])
        work.result()
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


@contextmanager
def private_kernel() -> Iterator[Any]:
    """Yield a kernel manager for this interpreter that is independent of the user's Jupyter."""
    with ExitStack() as folders:
        work = folders.enter_context(scratch_folder("kernel"))
        # A long TMPDIR leaves no room for the names of sockets.
        near = work.parent if fits(work) else Path("/tmp")  # noqa: S108
        sockets = folders.enter_context(scratch_folder("k", near))
        described = work / "kernels" / "python3"
        described.mkdir(parents=True)
        argv = [sys.executable, "-P", job_client.__file__]  # forked, where a server is at hand
        argv += ["ipykernel_launcher", "-f", "{connection_file}"]
        argv += ["--HistoryManager.enabled=False"]
        here = {
            "IPYTHONDIR": str(work / "ipython"),
            "JUPYTER_CONFIG_DIR": str(work / "config"),
            "JUPYTER_DATA_DIR": str(work / "data"),
            "JUPYTER_RUNTIME_DIR": str(work / "runtime"),
            "MPLCONFIGDIR": str(work / "matplotlib"),
            "MPLBACKEND": "agg",
        }
        text = json.dumps({"argv": argv, "env": here, **KERNEL})
        (described / "kernel.json").write_text(text, "utf-8")
        prepare_fonts(here)
        with environment(here):
            from jupyter_client.kernelspec import KernelSpecManager
            from jupyter_client.manager import AsyncKernelManager

            yield AsyncKernelManager(
                kernel_name="python3",
                kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(work / "kernels")]),
                transport="ipc",
                ip=str(sockets / "k"),
                connection_file=str(work / "connection.json"),
            )


def fits(folder: Path) -> bool:
    """Return whether a socket in a sibling of `folder` has a path short enough."""
    return len(os.fsencode(folder)) + len("/k-5") <= SOCKET_PATH


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def prepare_fonts(variables: dict[str, str]) -> None:
    """Give the kernel's matplotlib its list of fonts: building it there would print a notice."""
    import matplotlib

    own = Path(variables["MPLCONFIGDIR"])
    own.mkdir()
    lists = list(Path(matplotlib.get_cachedir()).glob("fontlist-*.json"))
    for file in lists:
        shutil.copy(file, own)
    if not lists:
        build = [sys.executable, "-c", "import matplotlib.font_manager"]
        subprocess.run(build, env={**os.environ, **variables}, check=True)  # noqa: S603


def as_page(notebook: Any, title: str) -> str:
    """Show an executed notebook as one HTML page: code folded away, pictures interactive."""
    import nbformat
    from markupsafe import Markup
    from nbconvert import HTMLExporter

    shown = nbformat.from_dict(json.loads(json.dumps(notebook)))
    scripts = live_pictures(shown)
    shown.metadata.pop("kernelspec", None)
    # nbconvert would search the user's folders for templates.
    with scratch_folder("page") as empty, environment({"JUPYTER_DATA_DIR": str(empty)}):
        exporter = HTMLExporter(raw_template=CELL_TEMPLATE.read_text("utf-8"))
        body, _ = exporter.from_notebook_node(shown)
    return render_template(
        "report/templates/notebook.html",
        title=title,
        body=Markup(WIDE_OUTPUT.sub(r'\1 tabindex="0"\2', body)),  # noqa: S704
        scripts=scripts,
    )


def live_pictures(notebook: Any) -> bool:
    """Put a picture whose points can be pointed at in the place of each that has one, in place.

    Scatter plots, as the explore notebook has, are drawn here. For any other figure of plotly the
    library (4.8 MB) goes in once, before the first of them; nothing is fetched. Returns whether it
    did.
    """
    from markupsafe import Markup

    number, with_library = 0, False
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if PLOTLY not in output.get("data", {}):
                continue
            number += 1
            figure = output.data[PLOTLY]
            picture = draw_scatter(figure, f"picture-{number}")
            if picture is None:
                picture = Markup(by_plotly(figure, f"picture-{number}", not with_library))  # noqa: S704
                with_library = True
            words = output.data.get("text/plain", "")
            output.data = {
                "text/html": render_template(
                    "report/templates/live_picture.html", words=words, picture=picture
                )
            }
    return with_library


def by_plotly(figure: Any, name: str, with_library: bool) -> str:
    """Return a figure as HTML with plotly's script, which draws it in the browser."""
    import plotly.io

    drawn: str = plotly.io.to_html(
        figure,
        include_plotlyjs=with_library,
        include_mathjax=False,
        full_html=False,
        validate=False,
        div_id=name,
        config={"displaylogo": False, "responsive": True, "scrollZoom": True},
    )
    return drawn
