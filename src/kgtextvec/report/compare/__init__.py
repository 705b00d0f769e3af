"""The compare page: all spaces of all models and tables side by side, and what that comes to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from kgtextvec.errors import InputError
from kgtextvec.files import whole_file
from kgtextvec.pages import render_template
from kgtextvec.pages.numbers import format_bytes, format_rate
from kgtextvec.pairs import Difference
from kgtextvec.report.compare.advice import advise
from kgtextvec.report.compare.leakage import leakage_sentences
from kgtextvec.report.compare.notebook import render_comparison
from kgtextvec.report.compare.paired import (
    RulePairs,
    TablePairs,
    compare_rules,
    compare_table,
)
from kgtextvec.report.compare.rules import rules_verdict, same_file
from kgtextvec.report.compare.scores import (
    OWN_METHOD,
    ComparedSpace,
    ScoreLine,
    ScoreValue,
    baselines_of,
    by_table,
    known_scores,
    method_name,
    read_rows,
    read_spaces,
)
from kgtextvec.report.compare.verdict import (
    Headline,
    headline,
    join_names,
    rule_of,
    table_verdict,
)
from kgtextvec.settings.scores import Scoring

MOST_LINES = 200  # of a score that the page does not know; scores.tsv has all


def compare_spaces(
    spaces: Annotated[list[Path], "folders of spaces, or their manifest.json"],
    *,
    scores: Annotated[Path, "scores.tsv"],
    texts: Annotated[
        list[Path] | None, "results/texts/TABLE/manifest.json: which tables read the same file"
    ] = None,
    out_html: Annotated[Path, "the page"],
    template: Annotated[Path | None, "a notebook to run on the same scores, .ipynb"] = None,
    out_notebook: Annotated[Path | None, "the executed notebook"] = None,
) -> None:
    """Write a self-contained page that compares spaces by their scores and costs.

    With a template also an executed notebook. The same files give the same bytes. Raises
    InputError when a file is missing or damaged.
    """
    if (template is None) != (out_notebook is None):
        raise InputError("compare-spaces: --template and --out-notebook go together. Give both.")
    rows = read_rows(scores, known_scores())
    read = read_spaces(spaces, texts or [], rows)
    colours = {model: i for i, model in enumerate(dict.fromkeys(space.model for space in read))}
    tables = by_table(read)
    html = render_template(
        "report/templates/compare.html",
        n_spaces=len(read),
        n_models=len(colours),
        advice=advise(read),
        tables=[
            table_section(table, its, colours, f"t{i}")
            for i, (table, its) in enumerate(tables.items())
        ],
        rules=[rules_section(group) for group in same_file(read)],
        further=further_scores(rows),
    )
    with whole_file(out_html, record_digest=True) as part:
        part.write_text(html, "utf-8")
    if template and out_notebook:
        render_comparison(template, scores, headline(read), out_notebook)


def table_section(
    table: str, spaces: Sequence[ComparedSpace], colours: dict[str, int], salt: str
) -> dict[str, Any]:
    """Return what the page shows of one table."""
    from kgtextvec.report.compare.charts import draw_bars, draw_cost, draw_dims

    asked = headline(spaces)
    mine = {space.model: colours[space.model] for space in spaces}
    charts = {}
    if asked:
        scored = [space for space in spaces if asked.of(space)]
        charts = {"bars": draw_bars(spaces, asked, f"{salt}-bars")}
        if len({space.dims for space in scored}) > 1:
            charts["dims"] = draw_dims(spaces, asked, mine, f"{salt}-dims")
        if len(scored) > 1:  # a single point is no chart
            charts["cost"] = draw_cost(spaces, asked, mine, f"{salt}-cost")
    return {
        "name": table,
        "rule": rule_of(spaces[0]),
        "rows": spaces[0].rows,
        "words": [*table_verdict(spaces), *leakage_sentences(spaces)],
        "asked": asked,
        "charts": charts,
        "scores": [
            score_table(spaces, score) for score in known_scores() if has_score(spaces, score)
        ],
        "left_out": [
            known_scores()[score].title
            for score in Scoring().scores
            if not has_score(spaces, score)
        ],
        "costs": [space_costs(space) for space in spaces],
        "unmeasured": list(dict.fromkeys(space.model for space in spaces if space.embedded == 0)),
        "notes": notes_of(spaces),
    }


def notes_of(spaces: Sequence[ComparedSpace]) -> list[str]:
    """Return each note once, after the names of its spaces unless all have it."""
    owners: dict[str, dict[str, None]] = {}
    for space in spaces:
        for note in space.notes:
            owners.setdefault(note, {})[space.name] = None
    return [
        note if len(names) == len(spaces) else f"{join_names(list(names))}: {note}"
        for note, names in owners.items()
    ]


def has_score(spaces: Sequence[ComparedSpace], score: str) -> bool:
    """Return whether any space has that score, baselines aside."""
    return any(
        name == score and method == OWN_METHOD
        for space in spaces
        for name, method, _ in space.scores
    )


def score_table(spaces: Sequence[ComparedSpace], score: str) -> dict[str, Any]:
    """Return a score as a table: a line per space and per baseline, a column per metric."""
    known = known_scores()[score]
    heads = known.metrics
    own = {key[2] for space in spaces for key in space.scores if key[:2] == (score, OWN_METHOD)}
    metrics = [metric for metric in heads if metric in own] or sorted(own)
    return {
        "differences": differences_table(spaces, score, metrics),
        "title": known.title,
        "what": known.description,
        "heads": [heads.get(metric, metric.replace("_", " ")) for metric in metrics],
        "lines": [
            (space.model, space.space, space.dims, [space.get(score, metric) for metric in metrics])
            for space in spaces
        ],
        "baselines": [
            (name, [found.get(metric) for metric in metrics])
            for name, found in baselines_of(spaces, score, metrics)
        ],
    }


def differences_table(
    spaces: Sequence[ComparedSpace], score: str, metrics: Sequence[str]
) -> dict[str, Any] | None:
    """Return the paired differences of a score's first metric that has sums per item.

    A line per space: its differences from the best space, the best baseline and the full space.
    """
    summed = {
        name.removeprefix(f"{OWN_METHOD}.")
        for space in spaces
        if score in space.items
        for name in space.items[score].sums
    }
    metric = next((one for one in metrics if one in summed), None)
    if metric is None:
        return None
    pairs = compare_table(spaces, score, metric)
    scored = [space for space in spaces if space.get(score, metric)]
    best = max(scored, key=lambda space: required_value(space, score, metric))
    full = {space.model: space.name for space in spaces if space.space == "full"}
    lines = [
        (space.model, space.space, difference_cells(space.name, best.name, full, pairs))
        for space in scored
        if space.name not in pairs.unpaired
    ]
    baseline = pairs.baseline.name if pairs.baseline else "a baseline"
    heads = [f"the best, {best.name}", baseline, "full"]
    used = [place for place in range(len(heads)) if any(cells[place] for _, _, cells in lines)]
    counts = ((pairs.n_between, "between spaces"), (len(pairs.over_baseline), f"from {baseline}"))
    return {
        "metric": known_scores()[score].metrics.get(metric, metric),
        "heads": [heads[place] for place in used],
        "counts": " and ".join(f"{n:,} {what}" for n, what in counts if n),
        "margin": pairs.margin,
        "lines": [
            (model, space, [cells[place] for place in used]) for model, space, cells in lines
        ],
    }


def difference_cells(
    name: str, best: str, full: dict[str, str], pairs: TablePairs
) -> list[tuple[Difference, str] | None]:
    """Return a space's differences from the best space, the best baseline, its full space."""
    model = name.rpartition(" ")[0]
    found = (
        pairs.between.get((name, best)),
        pairs.over_baseline.get(name),
        pairs.between.get((name, full.get(model, ""))),
    )
    return [(one, pairs.decide(one)) if one else None for one in found]


def required_value(space: ComparedSpace, score: str, metric: str) -> float:
    """Return a space's number, below all others if it has none."""
    found = space.get(score, metric)
    return found.value if found else -1.0


def space_costs(space: ComparedSpace) -> dict[str, Any]:
    """Return what a space cost, as text where there are units."""
    return {
        "space": space,
        "size": format_bytes(space.n_bytes) if space.n_bytes is not None else None,
        "speed": format_rate(space.speed) if space.speed else None,
        "parameters": f"{space.parameters / 1e6:,.1f} M" if space.parameters else None,
    }


def rules_section(group: Sequence[ComparedSpace]) -> dict[str, Any]:
    """Return what the page shows of tables that read one file by different text rules.

    A line per model and space, a column per table, with the headline; the baselines last.
    """
    asked = headline(group)
    tables = by_table(group)
    names = dict.fromkeys((space.model, space.space) for space in group)
    found = {(space.model, space.space, space.table): space for space in group}
    lines = []
    for model, space in names if asked else ():
        there = [found.get((model, space, table)) for table in tables]
        lines.append(
            (f"{model} {space}", [asked.of(one) if asked and one else None for one in there])
        )
    pairs = compare_rules(group, asked.score, asked.metric) if asked else RulePairs()
    if asked:
        for method in known_scores()[asked.score].baselines:
            values = [shared_baseline(its, asked, method) for its in tables.values()]
            lines += [(method_name(method), values)] if any(values) else []
    return {
        "pairs": pairs,
        "differences": [
            (name, one, other, found, pairs.decide(found))
            for (name, one, other), found in pairs.differences.items()
            if list(tables).index(one) < list(tables).index(other)
        ],
        "words": rules_verdict(group),
        "asked": asked,
        "tables": [(table, rule_of(its[0]), its[0].rows) for table, its in tables.items()],
        "lines": lines,
    }


def shared_baseline(
    spaces: Sequence[ComparedSpace], asked: Headline, method: str
) -> ScoreValue | None:
    """Return a baseline that is the same for every space of a table."""
    return next((found for space in spaces if (found := asked.of(space, method))), None)


def further_scores(rows: Sequence[ScoreLine]) -> list[dict[str, Any]]:
    """Return the scores that the page does not know, each as a table; groups where it must.

    A line per table, model, space, method (and group, where a score has nothing over all), a
    column per metric.
    """
    tables = []
    for score in dict.fromkeys(row.score for row in rows if row.score not in known_scores()):
        mine = [row for row in rows if row.score == score]
        over_all = [row for row in mine if row.by == "all"]
        metrics = list(dict.fromkeys(row.metric for row in over_all or mine))
        lines: dict[tuple[str, ...], dict[str, ScoreValue]] = {}
        for row in over_all or mine:
            key = (row.table, row.model, row.space, *(() if over_all else (row.by, row.group)))
            lines.setdefault((*key, row.method), {})[row.metric] = row.found
        own_first = sorted(lines.items(), key=lambda one: (one[0][:-1], one[0][-1] != OWN_METHOD))
        tables.append(
            {
                "title": score[:1].upper() + score[1:].replace("_", " "),
                "columns": [
                    "Table",
                    "Model",
                    "Space",
                    *([] if over_all else ["By", "Group"]),
                    "Method",
                ],
                "heads": [metric.replace("_", " ") for metric in metrics],
                "lines": [
                    ([*key[:-1], method_name(key[-1])], [found.get(metric) for metric in metrics])
                    for key, found in own_first[:MOST_LINES]
                ],
                "hidden": max(len(lines) - MOST_LINES, 0),
            }
        )
    return tables
