"""The compare notebook: the same numbers as the page's, to go on with."""

from pathlib import Path

from kgtextvec.report.compare.verdict import Headline
from kgtextvec.report.notebook import (
    execute,
    read_template,
    relative,
    set_cells,
    write_notebook,
)


def render_comparison(template: Path, scores: Path, asked: Headline | None, out: Path) -> None:
    """Run `template` on scores.tsv and write the executed notebook to `out`.

    Its pictures show the headline's metric. It finds the results by a path relative to its own
    folder. Raises InputError when the template is none, or a cell fails.
    """
    notebook = read_template(template)
    folder = out.parent
    folder.mkdir(parents=True, exist_ok=True)
    parameters = {"RESULTS": relative(scores.parent, folder)}
    if asked is not None:
        parameters |= {"SCORE": asked.score, "METRIC": asked.metric}
    set_cells(notebook, title="# All spaces compared", parameters=parameters)
    execute(notebook, folder, template)
    write_notebook(notebook, out)
